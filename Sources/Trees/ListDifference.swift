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

    /// What is still to be looked at of a list, the next last.
    private struct Side {
        enum Item {
            case node(NodeReference, firstKey: [UInt8])
            case entry(Schema.Entry)

            var key: [UInt8] {
                switch self {
                case .node(_, let firstKey): firstKey
                case .entry(let entry): Schema.key(entry)
                }
            }
        }

        private(set) var items: [Item] = []
        /// The last entry's key: a hostile list that goes back is refused, and so has an end.
        private var lastKey: [UInt8]?

        init(_ root: NodeReference?) {
            if let root { items = [.node(root, firstKey: [])] }
        }

        mutating func drop() { items.removeLast() }

        /// Puts what is in the next node in its place.
        mutating func open(_ reader: ListReader<Schema, Store>) throws(TreeError) {
            guard case .node(let reference, _)? = items.popLast() else { return }
            switch try reader.node(reference) {
            case .leaf(let entries):
                for entry in entries {
                    let key = Schema.key(entry)
                    guard lastKey.map({ $0.lexicographicallyPrecedes(key) }) ?? true else {
                        throw .format(.badValue("node: order of keys"), node: reference.name)
                    }
                    lastKey = key
                }
                items += entries.reversed().map { .entry($0) }
            case .inner(let level, let children):
                items += children.reversed().map {
                    .node(
                        NodeReference(name: $0.child, level: level - 1), firstKey: $0.firstKey)
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
            switch (old.items.last, new.items.last) {
            case (nil, nil): return nil
            case (.node?, nil): try old.open(oldReader)
            case (nil, .node?): try new.open(newReader)
            case (.entry(let entry)?, nil):
                old.drop()
                return (entry, nil)
            case (nil, .entry(let entry)?):
                new.drop()
                return (nil, entry)
            case (let a?, let b?):
                if let pair = try step(a, b) { return pair }
            }
        }
    }

    private mutating func step(_ a: Side.Item, _ b: Side.Item) throws(TreeError) -> Pair? {
        switch (a, b) {
        case (.node(let x, _), .node(let y, _)):
            if x == y {
                old.drop()
                new.drop()
            } else if x.level != y.level {
                // The higher one may have the other below it.
                if x.level > y.level {
                    try old.open(oldReader)
                } else {
                    try new.open(newReader)
                }
            } else if b.key.lexicographicallyPrecedes(a.key) {
                try new.open(newReader)
            } else {
                try old.open(oldReader)
            }
        case (.node, .entry(let entry)):
            guard b.key.lexicographicallyPrecedes(a.key) else {
                try old.open(oldReader)
                return nil
            }
            new.drop()
            return (nil, entry)
        case (.entry(let entry), .node):
            guard a.key.lexicographicallyPrecedes(b.key) else {
                try new.open(newReader)
                return nil
            }
            old.drop()
            return (entry, nil)
        case (.entry(let x), .entry(let y)): return compare(x, a.key, y, b.key)
        }
        return nil
    }

    private mutating func compare(
        _ x: Schema.Entry, _ xKey: [UInt8], _ y: Schema.Entry, _ yKey: [UInt8]
    ) -> Pair? {
        if xKey == yKey {
            old.drop()
            new.drop()
            return x == y ? nil : (x, y)
        }
        if xKey.lexicographicallyPrecedes(yKey) {
            old.drop()
            return (x, nil)
        }
        new.drop()
        return (nil, y)
    }
}
