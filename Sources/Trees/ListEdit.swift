import DiskFormat

/// What an edit made of a list.
public struct ListEditResult: Equatable, Sendable {
    /// nil: the list is empty now.
    public var root: NodeReference?
    /// Nodes that the new list has and the old one had not.
    public var taken: Set<ChunkName>
    /// Nodes that the old list had and the new one has not. Of recipes, whose parents own their
    /// children, only those that were opened: what lies below a replaced range is not read.
    public var left: Set<ChunkName>

    init(root: NodeReference?, written: [ChunkName], opened: [ChunkName]) {
        self.root = root
        let new = Set(written)
        let old = Set(opened)
        taken = new.subtracting(old)
        left = old.subtracting(new)
    }
}

/// Edits of lists ordered by keys: directories and tables of inodes.
public struct KeyedEdit<Schema: KeyedSchema, Store: NodeStore> {
    /// The entry that the key shall have, or nil for none.
    public typealias Change = (key: [UInt8], entry: Schema.Entry?)

    private let reader: ListReader<Schema, Store>
    private var builder: ListBuilder<Schema, Store>
    private let changes: [Change]
    private var next = 0
    private var opened: [ChunkName] = []

    /// Applies `changes`, in strictly ascending order of keys, to the list below `root`.
    public static func apply(
        _ changes: [Change], to root: NodeReference?, in store: Store
    ) throws(TreeError) -> ListEditResult {
        var edit = KeyedEdit(store: store, changes: changes)
        for (a, b) in zip(changes, changes.dropFirst())
        where !a.key.lexicographicallyPrecedes(b.key) {
            throw .badEdit
        }
        if let root { try edit.walk(root, before: nil) }
        try edit.addChanges(before: nil)
        let newRoot = try edit.builder.finish()
        return ListEditResult(
            root: newRoot, written: edit.builder.written, opened: edit.opened)
    }

    private init(store: Store, changes: [Change]) {
        reader = ListReader(store: store)
        builder = ListBuilder(store: store)
        self.changes = changes
    }

    private func hasChange(before limit: [UInt8]?) -> Bool {
        guard next < changes.count else { return false }
        return limit.map { changes[next].key.lexicographicallyPrecedes($0) } ?? true
    }

    private mutating func addChanges(before limit: [UInt8]?) throws(TreeError) {
        while hasChange(before: limit) {
            if let entry = changes[next].entry { try builder.append(entry) }
            next += 1
        }
    }

    /// Copies a subtree with its changes; `limit` is the first key behind it, nil at the list's end
    /// (whose nodes did not end naturally, so they are always opened).
    private mutating func walk(
        _ reference: NodeReference, before limit: [UInt8]?
    ) throws(TreeError) {
        opened.append(reference.name)
        switch try reader.node(reference) {
        case .leaf(let entries):
            for entry in entries {
                let key = Schema.key(entry)
                try addChanges(before: key)
                if next < changes.count, changes[next].key == key {
                    if let replacement = changes[next].entry {
                        try builder.append(replacement)
                    }
                    next += 1
                } else {
                    try builder.append(entry)
                }
            }
            try addChanges(before: limit)
        case .inner(let level, let children):
            for (index, child) in children.enumerated() {
                let end = index + 1 < children.count ? children[index + 1].firstKey : limit
                if end != nil, !hasChange(before: end), builder.canAdopt(level: level - 1) {
                    try builder.adopt(child, level: level - 1)
                } else {
                    try walk(NodeReference(name: child.child, level: level - 1), before: end)
                }
            }
        }
    }
}
