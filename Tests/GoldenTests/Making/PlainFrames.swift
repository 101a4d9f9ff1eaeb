// Frames of zstd that are the same bytes on every machine.
//
// libzstd's output differs from release to release, so images that are compared byte for byte do
// not come from it. These frames (RFC 8878, 3.1.1) have blocks of two kinds only: raw bytes, and
// runs of one byte. Any decoder takes them; they also are what another writer than ours may make.
//
//     28 b5 2f fd │ a0 (single segment, four bytes of size) │ content bytes u32 │ blocks
//     block: u24 last bit 0, type bits 1-2 (0 raw, 1 run), size << 3 │ the bytes, or the one byte

enum PlainFrames {
    /// Shorter runs cost more as a block of their own than among raw bytes.
    private static let runBytesMin = 16
    /// Largest block (RFC 8878, 3.1.1.2.3).
    private static let blockBytesMax = 128 << 10

    /// A frame of `raw`; nil where it would not be shorter.
    static func frame(of raw: [UInt8]) -> [UInt8]? {
        var frame: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0xa0]
        for shift in [0, 8, 16, 24] { frame.append(UInt8(raw.count >> shift & 0xff)) }
        var blocks: [(isRun: Bool, range: Range<Int>)] = []
        var rawBegin = 0
        var position = 0
        while position < raw.count {
            let limit = min(raw.count, position + blockBytesMax)
            let end = (position..<limit).first { raw[$0] != raw[position] } ?? limit
            if end - position >= runBytesMin {
                if rawBegin < position { blocks.append((false, rawBegin..<position)) }
                blocks.append((true, position..<end))
                rawBegin = end
            }
            position = end
        }
        if rawBegin < raw.count { blocks.append((false, rawBegin..<raw.count)) }
        for (index, block) in blocks.enumerated() {
            precondition(block.range.count <= blockBytesMax, "images have no longer frames")
            let isLast = index == blocks.count - 1
            let head = (isLast ? 1 : 0) | (block.isRun ? 2 : 0) | block.range.count << 3
            for shift in [0, 8, 16] { frame.append(UInt8(head >> shift & 0xff)) }
            frame += block.isRun ? [raw[block.range.lowerBound]] : Array(raw[block.range])
        }
        return frame.count < raw.count ? frame : nil
    }
}
