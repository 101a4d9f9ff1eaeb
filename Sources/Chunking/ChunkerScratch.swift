/// What a worker keeps between calls of `Chunker.cut`, so that cutting allocates nothing: one per
/// thread, usable with any chunker. 64 KiB, whatever the data.
public struct ChunkerScratch: Sendable {
    /// How much is scanned at once. Every byte may be a candidate (a file of one repeated byte),
    /// so this bounds the memory. Smaller blocks also skip more of what lies below a chunk's
    /// minimum, until the warming of the lanes outweighs it: 16 and 32 KiB measured best.
    static let blockBytes = 16 << 10

    var positions = [UInt32](repeating: 0, count: blockBytes)

    public init() {}
}
