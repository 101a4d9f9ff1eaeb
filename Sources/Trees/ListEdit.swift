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
    /// Of the changes, in order. Apart from the entries, so that what is done for each entry of a leaf is
    /// no generic code.
    private let keys: [[UInt8]]
    private let entries: [Schema.Entry?]
    private var next = 0
    private var opened: [ChunkName] = []

    /// Applies `changes`, in strictly ascending order of keys, to the list below `root`.
    public static func apply(
        _ changes: [Change], to root: NodeReference?, in store: Store
    ) throws(TreeError) -> ListEditResult {
        var edit = KeyedEdit(store: store, changes: changes)
        for (a, b) in zip(edit.keys, edit.keys.dropFirst()) where !a.lexicographicallyPrecedes(b) {
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
        keys = changes.map(\.key)
        entries = changes.map(\.entry)
    }

    private func hasChange(before limit: [UInt8]?) -> Bool {
        guard next < keys.count else { return false }
        return limit.map { keys[next].lexicographicallyPrecedes($0) } ?? true
    }

    private mutating func addChanges(before limit: [UInt8]?) throws(TreeError) {
        while hasChange(before: limit) {
            if let entry = entries[next] { try builder.append(entry) }
            next += 1
        }
    }

    /// Copies a subtree with its changes; `limit` is the first key behind it, nil at the list's end
    /// (whose nodes did not end naturally, so they are always opened).
    private mutating func walk(
        _ reference: NodeReference, before limit: [UInt8]?
    ) throws(TreeError) {
        opened.append(reference.name)
        if reference.level == 0 { return try walkLeaf(reference, before: limit) }
        guard case .inner(let level, let children) = try reader.node(reference) else { return }
        for (index, child) in children.enumerated() {
            let end = index + 1 < children.count ? children[index + 1].firstKey : limit
            if end != nil, !hasChange(before: end), builder.canAdopt(level: level - 1) {
                try builder.adopt(child, level: level - 1)
            } else {
                try walk(NodeReference(name: child.child, level: level - 1), before: end)
            }
        }
    }

    /// Entries that do not change are moved as they lie there.
    private mutating func walkLeaf(
        _ reference: NodeReference, before limit: [UInt8]?
    ) throws(TreeError) {
        let leaf = try reader.store.readNode(reference.name, domain: Schema.domain)
        let old: [EncodedEntry]
        do throws(FormatError) {
            old = try leaf.borrowing { (raw) throws(FormatError) in try Schema.encodedEntries(raw) }
        } catch {
            throw .format(error, node: reference.name)
        }
        try leaf.borrowing { (raw) throws(TreeError) in
            for entry in old {
                if next == keys.count || entry.key.lexicographicallyPrecedes(keys[next]) {
                    try builder.append(entry, of: raw, measure: 1)
                    continue
                }
                try addChanges(before: entry.key)
                if next < keys.count, keys[next] == entry.key {
                    if let replacement = entries[next] { try builder.append(replacement) }
                    next += 1
                } else {
                    try builder.append(entry, of: raw, measure: 1)
                }
            }
        }
        try addChanges(before: limit)
    }
}
