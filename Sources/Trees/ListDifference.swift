import DiskFormat

/// What differs between two lists ordered by keys.
///
/// Nodes that both have at the same place are not opened, and since nodes end where their content
/// says, lists that differ in few entries share most of them: the cost is what differs. Memory: the
/// nodes on one path of each.
public struct ListDifference<Schema: KeyedSchema, Store: NodeStore> {
    /// An entry that one of the lists has, or that both have and that is not the same; in the order of
    /// keys.
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

    private let reader: ListReader<Schema, Store>
    private var old: Side
    private var new: Side

    private init(_ old: NodeReference?, _ new: NodeReference?, _ store: Store) {
        reader = ListReader(store: store)
        self.old = Side(old)
        self.new = Side(new)
    }

    /// Visits all differences until `body` returns false. Returns false when it was stopped.
    @discardableResult
    public static func forEach(
        from old: NodeReference?, to new: NodeReference?, in store: Store, _ body: Body
    ) throws(TreeError) -> Bool {
        var difference = ListDifference(old, new, store)
        return try difference.run(body)
    }

    private mutating func run(_ body: Body) throws(TreeError) -> Bool {
        while true {
            switch (old.items.last, new.items.last) {
            case (nil, nil): return true
            case (.node?, nil): try old.open(reader)
            case (nil, .node?): try new.open(reader)
            case (.entry(let entry)?, nil):
                old.drop()
                if try !body(entry, nil) { return false }
            case (nil, .entry(let entry)?):
                new.drop()
                if try !body(nil, entry) { return false }
            case (let a?, let b?):
                if try !step(a, b, body) { return false }
            }
        }
    }

    private mutating func step(
        _ a: Side.Item, _ b: Side.Item, _ body: Body
    ) throws(TreeError) -> Bool {
        switch (a, b) {
        case (.node(let x, _), .node(let y, _)):
            if x == y {
                old.drop()
                new.drop()
            } else if x.level != y.level {
                // The higher one may have the other below it.
                if x.level > y.level { try old.open(reader) } else { try new.open(reader) }
            } else if b.key.lexicographicallyPrecedes(a.key) {
                try new.open(reader)
            } else {
                try old.open(reader)
            }
        case (.node, .entry(let entry)):
            guard b.key.lexicographicallyPrecedes(a.key) else {
                try old.open(reader)
                return true
            }
            new.drop()
            return try body(nil, entry)
        case (.entry(let entry), .node):
            guard a.key.lexicographicallyPrecedes(b.key) else {
                try new.open(reader)
                return true
            }
            old.drop()
            return try body(entry, nil)
        case (.entry(let x), .entry(let y)):
            if a.key == b.key {
                old.drop()
                new.drop()
                return x == y ? true : try body(x, y)
            }
            if a.key.lexicographicallyPrecedes(b.key) {
                old.drop()
                return try body(x, nil)
            }
            new.drop()
            return try body(nil, y)
        }
        return true
    }
}
