import DiskFormat

/// Makes a list from its entries in order, node by node: memory for one open node a level.
///
/// Whole subtrees of an older list are taken over without being read, where that gives the same
/// nodes as adding their entries would: see `canAdopt`.
public struct ListBuilder<Schema: ListSchema, Store: NodeStore> {
    private struct OpenNode {
        var entries = ByteWriter()
        var count: UInt32 = 0
        var measure: UInt64 = 0
        var firstKey: [UInt8] = []
        /// The only child so far, where there is one: what `finish` does not wrap.
        var onlyChild: ChunkName?
    }

    private let store: Store
    private var levels: [OpenNode] = [OpenNode()]
    /// Names of all nodes written, in order; some may have been in the store before.
    public private(set) var written: [ChunkName] = []

    public init(store: Store) {
        self.store = store
    }

    /// Adds an entry behind all others.
    public mutating func append(_ entry: Schema.Entry) throws(TreeError) {
        var writer = ByteWriter(reservingBytes: 160)
        Schema.write(entry, to: &writer)
        try add(
            writer.bytes, measure: Schema.measure(entry), key: Schema.key(entry), child: nil,
            level: 0)
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
        var writer = ByteWriter(reservingBytes: 64)
        entry.write(to: &writer)
        try add(
            writer.bytes, measure: entry.measure, key: entry.firstKey, child: entry.child,
            level: level)
    }

    private mutating func add(
        _ bytes: [UInt8], measure: UInt64, key: [UInt8], child: ChunkName?, level: Int
    ) throws(TreeError) {
        if levels[level].count == 0 { levels[level].firstKey = key }
        levels[level].onlyChild = levels[level].count == 0 ? child : nil
        levels[level].entries.raw(bytes)
        levels[level].count += 1
        levels[level].measure += measure
        let nodeBytes = levels[level].entries.count
        let ends = bytes.withUnsafeBytes {
            NodeBoundary.ends(
                $0, nodeBytes: nodeBytes, level: UInt8(level), domain: Schema.domain)
        }
        if ends { try close(level) }
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
