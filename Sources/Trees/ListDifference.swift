import DiskFormat

/// What differs between two lists ordered by keys.
///
/// Nodes that both have at the same place are not opened, and since nodes end where their content
/// says, lists that differ in few entries share most of them: the cost is what differs. Memory: the
/// nodes on one path of each.
public struct ListDifference<Schema: KeyedSchema, Store: NodeStore> {
    /// An entry that one of the lists has, or that both have and that is not the same; in the order of
    /// keys.
    public typealias Pair = (old: Schema.Entry?, new: Schema.Entry?)
    public typealias Body = (_ old: Schema.Entry?, _ new: Schema.Entry?) throws(TreeError) -> Bool

    /// What is still to be looked at of a list: the rest of a leaf, and the nodes behind it.
    private struct Side {
        /// The next last.
        private var nodes: [(reference: NodeReference, firstKey: [UInt8])] = []
        private(set) var leaf: [Schema.Entry] = []
        /// The next entry of the leaf.
        private(set) var position = 0
        /// The last leaf's last key: a hostile list that goes back is refused, and so has an end.
        private var lastKey: [UInt8]?

        init(_ root: NodeReference?) {
            if let root { nodes = [(root, [])] }
        }

        var hasEntry: Bool { position < leaf.count }
        /// The next node, where no entry comes before it.
        var node: (reference: NodeReference, firstKey: [UInt8])? { nodes.last }

        mutating func pass(_ count: Int) { position += count }

        mutating func takeEntry() -> Schema.Entry {
            position += 1
            return leaf[position - 1]
        }

        mutating func dropNode() { nodes.removeLast() }

        /// Puts what is in the next node in its place. The leaf before it is done.
        mutating func open(_ reader: ListReader<Schema, Store>) throws(TreeError) {
            guard let reference = nodes.popLast()?.reference else { return }
            switch try reader.node(reference) {
            case .leaf(let entries):
                guard Schema.isAscending(entries, behind: lastKey) else {
                    throw .format(.badValue("node: order of keys"), node: reference.name)
                }
                if let last = entries.last { lastKey = Schema.key(last) }
                leaf = entries
                position = 0
            case .inner(let level, let children):
                nodes += children.reversed().map {
                    (NodeReference(name: $0.child, level: level - 1), $0.firstKey)
                }
            }
        }
    }

    private let oldReader: ListReader<Schema, Store>
    private let newReader: ListReader<Schema, Store>
    private var old: Side
    private var new: Side

    /// - Parameter store: has the nodes of both.
    public init(from old: NodeReference?, to new: NodeReference?, in store: Store) {
        self.init(from: old, in: store, to: new, in: store)
    }

    /// Of two stores, which must give equal names to equal nodes.
    public init(
        from old: NodeReference?, in oldStore: Store, to new: NodeReference?, in newStore: Store
    ) {
        oldReader = ListReader(store: oldStore)
        newReader = ListReader(store: newStore)
        self.old = Side(old)
        self.new = Side(new)
    }

    /// Visits all differences until `body` returns false. Returns false when it was stopped.
    @discardableResult
    public static func forEach(
        from old: NodeReference?, to new: NodeReference?, in store: Store, _ body: Body
    ) throws(TreeError) -> Bool {
        var difference = ListDifference(from: old, to: new, in: store)
        while let (old, new) = try difference.next() {
            if try !body(old, new) { return false }
        }
        return true
    }

    /// The next difference; nil where there is none any more.
    public mutating func next() throws(TreeError) -> Pair? {
        while true {
            if old.hasEntry, new.hasEntry {
                let count = Schema.equalCount(
                    old.leaf, from: old.position, new.leaf, from: new.position)
                old.pass(count)
                new.pass(count)
                if count == 0 { return nextUnequal() }
            } else if old.hasEntry {
                if let node = new.node, !precedes(old, node.firstKey) {
                    try new.open(newReader)
                } else {
                    return (old.takeEntry(), nil)
                }
            } else if new.hasEntry {
                if let node = old.node, !precedes(new, node.firstKey) {
                    try old.open(oldReader)
                } else {
                    return (nil, new.takeEntry())
                }
            } else if old.node == nil, new.node == nil {
                return nil
            } else {
                try openNodes()
            }
        }
    }

    /// Whether the next entry of a side comes before a key.
    private func precedes(_ side: Side, _ key: [UInt8]) -> Bool {
        Schema.key(side.leaf[side.position]).lexicographicallyPrecedes(key)
    }

    /// Both sides have an entry, and they are not equal.
    private mutating func nextUnequal() -> Pair {
        let a = Schema.key(old.leaf[old.position])
        let b = Schema.key(new.leaf[new.position])
        if a == b { return (old.takeEntry(), new.takeEntry()) }
        return a.lexicographicallyPrecedes(b)
            ? (old.takeEntry(), nil) : (nil, new.takeEntry())
    }

    /// Neither side has an entry: passes over nodes that both have, or opens one.
    private mutating func openNodes() throws(TreeError) {
        guard let x = old.node else { return try new.open(newReader) }
        guard let y = new.node else { return try old.open(oldReader) }
        if x.reference == y.reference {
            old.dropNode()
            new.dropNode()
        } else if x.reference.level != y.reference.level {
            // The higher one may have the other below it.
            if x.reference.level > y.reference.level {
                try old.open(oldReader)
            } else {
                try new.open(newReader)
            }
        } else if y.firstKey.lexicographicallyPrecedes(x.firstKey) {
            try new.open(newReader)
        } else {
            try old.open(oldReader)
        }
    }
}
