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
        return try visit(root, at: 0, from: start, body)
    }

    private func visit(
        _ reference: NodeReference, at position: UInt64, from start: UInt64,
        _ body: (_ position: UInt64, Schema.Entry) throws(TreeError) -> Bool
    ) throws(TreeError) -> Bool {
        var position = position
        switch try node(reference) {
        case .leaf(let entries):
            for entry in entries {
                let end = try end(of: Schema.measure(entry), at: position, in: reference)
                if end > start, try !body(position, entry) { return false }
                position = end
            }
        case .inner(let level, let children):
            for child in children {
                let end = try end(of: child.measure, at: position, in: reference)
                if end > start {
                    let below = NodeReference(name: child.child, level: level - 1)
                    if try !visit(below, at: position, from: start, body) { return false }
                }
                position = end
            }
        }
        return true
    }

    /// Where a part of a node ends; measures come from outside and may be anything.
    private func end(
        of measure: UInt64, at position: UInt64, in node: NodeReference
    ) throws(TreeError) -> UInt64 {
        let (end, overflows) = position.addingReportingOverflow(measure)
        guard !overflows, end <= UInt64(Int64.max) else {
            throw .format(.badValue("node: measure"), node: node.name)
        }
        return end
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
