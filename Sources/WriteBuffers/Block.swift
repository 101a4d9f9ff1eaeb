import Glibc

/// The memory that buffered bytes lie in.
///
/// Invariants: `filledBytes <= capacityBytes`; bytes at and behind `filledBytes` belong to no range.
/// Belongs to one `DirtyRanges`, whose owner guards it.
final class Block {
    private(set) var base: UnsafeMutableRawPointer
    private(set) var capacityBytes: Int
    private(set) var filledBytes = 0
    /// How many ranges lie in it, as the `DirtyRanges` that it belongs to counts.
    var useCount = 0

    /// Room for at least `capacityBytes`, which is at most `DirtyRanges.blockBytesMax`.
    init(capacityBytes: Int) {
        self.capacityBytes = Block.rounded(capacityBytes)
        base = Block.resized(nil, to: self.capacityBytes)
    }

    deinit {
        free(base)
    }

    /// Copies the first `count` of `bytes` to `offset`, within what is filled.
    func copy(_ bytes: UnsafeRawBufferPointer, _ count: Int, to offset: Int) {
        precondition(count <= bytes.count && offset >= 0 && offset + count <= filledBytes)
        guard let source = bytes.baseAddress else { return }
        (base + offset).copyMemory(from: source, byteCount: count)
    }

    /// Copies the first `count` of `bytes` behind what is filled, with more room where it is needed.
    func append(_ bytes: UnsafeRawBufferPointer, _ count: Int) {
        let offset = filledBytes
        if offset + count > capacityBytes {
            let larger = Block.rounded(max(offset + count, 2 * capacityBytes))
            base = Block.resized(base, to: larger)
            capacityBytes = larger
        }
        filledBytes += count
        copy(bytes, count, to: offset)
    }

    /// Gives up what is filled at and behind `byteCount`.
    func shorten(to byteCount: Int) {
        precondition(byteCount <= filledBytes)
        filledBytes = byteCount
    }

    /// A power of two, within the limits of a block.
    private static func rounded(_ byteCount: Int) -> Int {
        precondition(byteCount <= DirtyRanges.blockBytesMax)
        var size = DirtyRanges.blockBytesMin
        while size < byteCount { size *= 2 }
        return size
    }

    private static func resized(
        _ old: UnsafeMutableRawPointer?, to byteCount: Int
    ) -> UnsafeMutableRawPointer {
        guard let new = realloc(old, byteCount) else {
            preconditionFailure("no memory for a write buffer")
        }
        return new
    }
}
