/// Frames by key and by last use: a dictionary into a doubly linked list that lives in an array,
/// so that a use moves a few integers and allocates nothing. Not thread safe.
///
/// Invariants:
/// 1. Node 0 is the ring's head: its `next` was used last, its `previous` longest ago.
/// 2. Every other node is either in the ring, with a frame and an entry in `nodes`, or in `free`,
///    without a frame.
/// 3. `bytes` is the sum of the costs in the ring.
struct FrameList {
    private struct Node {
        var key = FrameKey(pack: 0, offset: 0, frame: 0)
        var frame: DecodedFrame?
        var cost = 0
        var previous = 0
        var next = 0
    }

    private var ring = [Node()]
    private var nodes: [FrameKey: Int] = [:]
    private var free: [Int] = []
    private(set) var bytes = 0

    var count: Int { nodes.count }

    /// The frame, which counts as used now.
    mutating func use(_ key: FrameKey) -> DecodedFrame? {
        guard let node = nodes[key] else { return nil }
        unlink(node)
        linkFirst(node)
        return ring[node].frame
    }

    /// Puts `frame` in as used last. The key must not be there.
    mutating func insert(_ frame: DecodedFrame, key: FrameKey) {
        assert(nodes[key] == nil)
        let node = free.popLast() ?? ring.count
        if node == ring.count { ring.append(Node()) }
        ring[node].key = key
        ring[node].frame = frame
        ring[node].cost = frame.memoryBytes
        bytes += ring[node].cost
        nodes[key] = node
        linkFirst(node)
    }

    /// Takes out what was not used for longest until at most `limit` bytes are left.
    mutating func evict(downTo limit: Int) -> [DecodedFrame] {
        var evicted: [DecodedFrame] = []
        while bytes > limit, ring[0].previous != 0 {
            if let frame = remove(ring[0].previous) { evicted.append(frame) }
        }
        return evicted
    }

    /// Takes out all frames of `pack`.
    mutating func remove(pack: UInt32) -> [DecodedFrame] {
        nodes.values.filter { ring[$0].key.pack == pack }.compactMap { remove($0) }
    }

    private mutating func remove(_ node: Int) -> DecodedFrame? {
        unlink(node)
        nodes[ring[node].key] = nil
        bytes -= ring[node].cost
        free.append(node)
        return ring[node].frame.take()
    }

    private mutating func unlink(_ node: Int) {
        ring[ring[node].previous].next = ring[node].next
        ring[ring[node].next].previous = ring[node].previous
    }

    private mutating func linkFirst(_ node: Int) {
        let second = ring[0].next
        ring[node].previous = 0
        ring[node].next = second
        ring[second].previous = node
        ring[0].next = node
    }
}
