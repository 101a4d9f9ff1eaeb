import DiskFormat

/// Reads lists: all entries, those from a place on, or one.
public struct ListReader<Schema: ListSchema, Store: NodeStore> {
    public let store: Store

    public init(store: Store) {
        self.store = store
    }

    /// A node, decoded and of the level it should have.
    public func node(_ reference: NodeReference) throws(TreeError) -> ListNode<Schema.Entry> {
        let bytes = try store.readNode(reference.name, domain: Schema.domain)
        var decoded: Result<ListNode<Schema.Entry>, FormatError> = .failure(
            .badValue("node: unread"))
        bytes.withUnsafeBytes { raw in
            do throws(FormatError) {
                decoded = .success(try Schema.decode(raw))
            } catch {
                decoded = .failure(error)
            }
        }
        switch decoded {
        case .success(let node) where node.level == reference.level: return node
        case .success:
            throw .format(.badValue("node: level"), node: reference.name)
        case .failure(let error): throw .format(error, node: reference.name)
        }
    }

    /// Visits all entries in order with the measure of what lies before each, passing over whole
    /// subtrees that end at or before `start`; stops when `body` returns false. Returns false when
    /// it was stopped.
    @discardableResult
    public func forEach(
        of root: NodeReference?, from start: UInt64 = 0,
        _ body: (_ position: UInt64, Schema.Entry) throws(TreeError) -> Bool
    ) throws(TreeError) -> Bool {
        guard let root else { return true }
        return try visit(root, at: 0, from: start, measure: nil, body)
    }

    /// - Parameter measure: what the parent says of the node. A node that holds anything else is
    ///   refused: so positions grow with every entry, and a hostile list of a few nodes that list
    ///   each other many times cannot keep a reader busy beyond the range that it asks for.
    private func visit(
        _ reference: NodeReference, at position: UInt64, from start: UInt64, measure: UInt64?,
        _ body: (_ position: UInt64, Schema.Entry) throws(TreeError) -> Bool
    ) throws(TreeError) -> Bool {
        var position = position
        let node = try node(reference)
        let total = try self.measure(of: node, reference)
        guard total == measure ?? total, position <= UInt64(Int64.max) - total else {
            throw .format(.badValue("node: measure"), node: reference.name)
        }
        switch node {
        case .leaf(let entries):
            for entry in entries {
                let end = position + Schema.measure(entry)
                if end > start, try !body(position, entry) { return false }
                position = end
            }
        case .inner(let level, let children):
            for child in children {
                let end = position + child.measure
                if end > start {
                    let below = NodeReference(name: child.child, level: level - 1)
                    if try !visit(below, at: position, from: start, measure: child.measure, body) {
                        return false
                    }
                }
                position = end
            }
        }
        return true
    }

    /// As `forEach`, of a list that may be damaged: what lies below a node that cannot be read is passed
    /// over, and `lost` is told why, with the entries' measures that are missing (0 for a root, whose
    /// measure nobody tells). Returns false when `body` stopped it.
    @discardableResult
    public func forEachReadable(
        of root: NodeReference?, from start: UInt64 = 0,
        lost: (TreeError, _ measure: UInt64) -> Void,
        _ body: (_ position: UInt64, Schema.Entry) -> Bool
    ) -> Bool {
        guard let root else { return true }
        return visitReadable(root, at: 0, from: start, measure: nil, lost: lost, body)
    }

    private func visitReadable(
        _ reference: NodeReference, at position: UInt64, from start: UInt64, measure: UInt64?,
        lost: (TreeError, _ measure: UInt64) -> Void,
        _ body: (_ position: UInt64, Schema.Entry) -> Bool
    ) -> Bool {
        var position = position
        let node: ListNode<Schema.Entry>
        do throws(TreeError) {
            node = try self.node(reference)
            let total = try self.measure(of: node, reference)
            guard total == measure ?? total, position <= UInt64(Int64.max) - total else {
                throw .format(.badValue("node: measure"), node: reference.name)
            }
        } catch {
            lost(error, measure ?? 0)
            return true
        }
        switch node {
        case .leaf(let entries):
            for entry in entries {
                let end = position + Schema.measure(entry)
                if end > start, !body(position, entry) { return false }
                position = end
            }
        case .inner(let level, let children):
            for child in children {
                let end = position + child.measure
                let below = NodeReference(name: child.child, level: level - 1)
                if end > start,
                    !visitReadable(
                        below, at: position, from: start, measure: child.measure, lost: lost, body)
                {
                    return false
                }
                position = end
            }
        }
        return true
    }

    /// What a node says that it holds; measures come from outside and may add up to anything.
    private func measure(
        of node: ListNode<Schema.Entry>, _ reference: NodeReference
    ) throws(TreeError) -> UInt64 {
        var total: UInt64 = 0
        func add(_ measure: UInt64) throws(TreeError) {
            let (sum, overflows) = total.addingReportingOverflow(measure)
            guard !overflows, sum <= UInt64(Int64.max) else {
                throw .format(.badValue("node: measure"), node: reference.name)
            }
            total = sum
        }
        switch node {
        case .leaf(let entries): for entry in entries { try add(Schema.measure(entry)) }
        case .inner(_, let children): for child in children { try add(child.measure) }
        }
        return total
    }

    /// Names of all nodes of a list, parents before children.
    public func forEachNode(
        of root: NodeReference?, _ body: (NodeReference) throws(TreeError) -> Bool
    ) throws(TreeError) {
        guard let root, try body(root), root.level > 0 else { return }
        guard case .inner(let level, let children) = try node(root) else { return }
        for child in children {
            try forEachNode(of: NodeReference(name: child.child, level: level - 1), body)
        }
    }
}

extension ListReader where Schema: KeyedSchema {
    /// The entry of that key, if there is one: reads one node a level.
    public func find(
        _ key: [UInt8], in root: NodeReference?
    ) throws(TreeError) -> Schema.Entry? {
        var next = root
        while let reference = next {
            switch try node(reference) {
            case .leaf(let entries):
                return entries.first { Schema.key($0) == key }
            case .inner(let level, let children):
                let candidate = children.last { !key.lexicographicallyPrecedes($0.firstKey) }
                next = candidate.map { NodeReference(name: $0.child, level: level - 1) }
            }
        }
        return nil
    }
}
