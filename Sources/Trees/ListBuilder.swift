import DiskFormat

/// Makes a list from its entries in order, node by node: memory for one open node a level.
///
/// Whole subtrees of an older list are taken over without being read, where that gives the same
/// nodes as adding their entries would: see `canAdopt`.
public struct ListBuilder<Schema: ListSchema, Store: NodeStore> {
    private let store: Store
    private var levels: [OpenNode] = [OpenNode()]
    /// Names of all nodes written, in order; some may have been in the store before.
    public private(set) var written: [ChunkName] = []

    public init(store: Store) {
        self.store = store
    }

    /// Adds an entry behind all others.
    public mutating func append(_ entry: Schema.Entry) throws(TreeError) {
        let isFirst = levels[0].count == 0
        let start = levels[0].entries.count
        Schema.write(entry, to: &levels[0].entries)
        levels[0].note(
            measure: Schema.measure(entry), key: isFirst ? Schema.key(entry) : [], child: nil)
        if levels[0].ends(from: start, level: 0, Schema.domain) { try close(0) }
    }

    /// Adds an entry behind all others, as it lies in another list's leaf.
    mutating func append(
        _ entry: EncodedEntry, of leaf: UnsafeRawBufferPointer, measure: UInt64
    ) throws(TreeError) {
        let start = levels[0].entries.count
        levels[0].entries.raw(UnsafeRawBufferPointer(rebasing: leaf[entry.bytes]))
        levels[0].note(measure: measure, key: entry.key, child: nil)
        if levels[0].ends(from: start, level: 0, Schema.domain) { try close(0) }
    }

    /// Whether a whole node of `level` that ended naturally may be taken over now: no node of that
    /// level or below is open, as it was when that node was begun.
    public func canAdopt(level: UInt8) -> Bool {
        levels.prefix(Int(level) + 1).allSatisfy { $0.count == 0 }
    }

    /// Adds a whole node of `level`, which must have ended naturally.
    public mutating func adopt(_ node: InnerEntry, level: UInt8) throws(TreeError) {
        precondition(canAdopt(level: level))
        try addChild(node, level: Int(level) + 1)
    }

    /// Ends the list; nil when it is empty.
    public mutating func finish() throws(TreeError) -> NodeReference? {
        var level = 0
        while level < levels.count {
            let isTop = levels[(level + 1)...].allSatisfy { $0.count == 0 }
            if isTop, level > 0, levels[level].count == 1, let only = levels[level].onlyChild {
                return NodeReference(name: only, level: UInt8(level - 1))
            }
            if levels[level].count > 0 { try close(level) }
            level += 1
        }
        return nil
    }

    private mutating func addChild(_ entry: InnerEntry, level: Int) throws(TreeError) {
        guard level <= Int(NodeReference.levelMax) + 1 else { throw .badEdit }
        while levels.count <= level { levels.append(OpenNode()) }
        let start = levels[level].entries.count
        entry.write(to: &levels[level].entries)
        levels[level].note(measure: entry.measure, key: entry.firstKey, child: entry.child)
        if levels[level].ends(from: start, level: UInt8(level), Schema.domain) { try close(level) }
    }

    private mutating func close(_ level: Int) throws(TreeError) {
        let node = levels[level]
        levels[level] = OpenNode()
        var writer = ByteWriter(reservingBytes: NodeHead.byteCount + node.entries.count)
        NodeHead(kind: Schema.kind, level: UInt8(level), entryCount: node.count)
            .write(to: &writer)
        writer.raw(node.entries.bytes)
        let name = try store.writeNode(writer.bytes, domain: Schema.domain)
        written.append(name)
        try addChild(
            InnerEntry(child: name, measure: node.measure, firstKey: node.firstKey),
            level: level + 1)
    }
}

/// A node that is being made. Not nested in the builder: it is the same of all schemas and stores, which
/// code that other modules make of the builder could not know.
private struct OpenNode {
    var entries = ByteWriter()
    var count: UInt32 = 0
    var measure: UInt64 = 0
    var firstKey: [UInt8] = []
    /// The only child so far, where there is one: what `finish` does not wrap.
    var onlyChild: ChunkName?

    /// An entry was written.
    mutating func note(measure: UInt64, key: [UInt8], child: ChunkName?) {
        if count == 0 { firstKey = key }
        onlyChild = count == 0 ? child : nil
        count += 1
        self.measure += measure
    }

    /// Whether the entry that lies from `start` on is the node's last.
    func ends(from start: Int, level: UInt8, _ domain: ChunkDomain) -> Bool {
        entries.bytes.withUnsafeBytes {
            NodeBoundary.ends(
                UnsafeRawBufferPointer(rebasing: $0[start...]), nodeBytes: $0.count, level: level,
                domain: domain)
        }
    }
}
