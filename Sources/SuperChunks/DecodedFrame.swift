// What reading ends with, and what the cache keeps.
import DiskFormat
import Platform

/// The raw bytes of a frame and the table of its chunks.
///
/// Immutable, so any thread, `@unchecked` since its buffer is not; the bytes live as long as the
/// last reference, also when a cache has let go of the frame.
public final class DecodedFrame: @unchecked Sendable {
    /// Where a chunk lies in the frame.
    public struct Entry: Equatable, Sendable {
        public let name: ChunkName
        /// First byte within `bytes`.
        public let offset: Int
        /// Bytes; at least 1.
        public let length: Int
        public let domain: ChunkDomain
    }

    /// The frame's number within its super-chunk.
    public let index: Int
    /// The slot of `entries[0]` within the super-chunk.
    public let firstSlot: Int
    /// In the order in which they lie, without gaps.
    public let entries: [Entry]
    /// Positions in `entries`, by name and then by position. Sorted, not hashed: names come from
    /// outside, and whoever chooses them could make every probe of a hash table collide.
    private let order: [UInt32]
    private let buffer: PooledBuffer

    /// `chunks` must fill `buffer` exactly, as a checked prefix guarantees.
    init(
        index: Int, firstSlot: Int, chunks: ArraySlice<SuperChunkPrefix.Chunk>,
        buffer: PooledBuffer
    ) {
        self.index = index
        self.firstSlot = firstSlot
        self.buffer = buffer
        var entries: [Entry] = []
        entries.reserveCapacity(chunks.count)
        var offset = 0
        for chunk in chunks {
            let length = Int(chunk.rawBytes)
            entries.append(
                Entry(name: chunk.name, offset: offset, length: length, domain: chunk.domain))
            offset += length
        }
        precondition(offset == buffer.count, "the chunks do not fill the frame")
        self.entries = entries
        order = (0..<UInt32(entries.count)).sorted { a, b in
            let first = entries[Int(a)].name
            let second = entries[Int(b)].name
            return first == second ? a < b : first < second
        }
    }

    /// The frame's raw bytes; valid while the frame is held.
    public var bytes: UnsafeRawBufferPointer { buffer.bytes }

    /// What the frame costs: its buffer as allocated, and its table.
    public var memoryBytes: Int {
        buffer.capacityBytes + entries.count
            * (MemoryLayout<Entry>.stride + MemoryLayout<UInt32>.stride)
    }

    /// The entry of the chunk `name`; nil when it is not in this frame.
    ///
    /// - Parameter slotHint: where it probably is, a slot of the super-chunk. A wrong one, also one
    ///   that does not exist, costs a search, of which it does not change the answer.
    public func find(_ name: ChunkName, slotHint: Int? = nil) -> Entry? {
        if let slotHint, slotHint >= firstSlot, slotHint - firstSlot < entries.count,
            entries[slotHint - firstSlot].name == name
        {
            return entries[slotHint - firstSlot]
        }
        var low = 0
        var high = order.count
        while low < high {
            let middle = (low + high) / 2
            if entries[Int(order[middle])].name < name { low = middle + 1 } else { high = middle }
        }
        guard low < order.count else { return nil }
        let entry = entries[Int(order[low])]
        return entry.name == name ? entry : nil
    }

    /// Calls `body` with the bytes of `entry`, which must be of this frame; they are valid during the
    /// call.
    public func withBytes<Result: ~Copyable, Failure: Error>(
        of entry: Entry, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { withExtendedLifetime(self) {} }
        return try body(
            UnsafeRawBufferPointer(rebasing: bytes[entry.offset..<entry.offset + entry.length]))
    }
}
