import Chunking
import DiskFormat
import Trees
import XCTest

@testable import Folding

/// Folds against cutting from scratch: whatever the order of changes, the key is the same.
final class FoldingTests: XCTestCase {
    private func parameters(using generator: inout SeededGenerator) -> ChunkerParameters {
        switch Int.random(in: 0..<8, using: &generator) {
        case 0, 1: return .fixed(bytes: 4096)
        case 2, 3: return .gear(meanBytes: 4096)
        case 4: return .gear(meanBytes: 32768)
        default:
            var parameters = ChunkerParameters.gear(meanBytes: 4096)
            parameters.minimumBytes = [64, 1024, 4096].randomElement(using: &generator) ?? 64
            parameters.maximumBytes = [4096, 5000, 16384].randomElement(using: &generator) ?? 4096
            parameters.zeroRunMinimumBytes =
                [64, 100, 4096, 9000].randomElement(using: &generator) ?? 64
            let masks: [(UInt64, UInt64)] = [
                (0, 0), (~0, 0), (~0 << 55, ~0 << 57), (~0 << 51, ~0 << 53), (~0, ~0),
            ]
            (parameters.strictMask, parameters.looseMask) =
                masks.randomElement(using: &generator) ?? (0, 0)
            XCTAssertTrue(parameters.areSane)
            return parameters
        }
    }

    /// Noise, repetitions, and zeros about as long as the run that counts.
    private func content(
        _ parameters: ChunkerParameters, using generator: inout SeededGenerator
    ) -> [UInt8] {
        let zeroRun = Int(parameters.zeroRunMinimumBytes)
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            let length = [3, 300, 3000, 12_000].randomElement(using: &generator) ?? 3
            switch Int.random(in: 0..<6, using: &generator) {
            case 0, 1, 2: bytes += generator.bytes(Int.random(in: 1...length, using: &generator))
            case 3: bytes += [UInt8](repeating: UInt8(length & 255) | 1, count: length)
            default:
                let count =
                    [1, zeroRun / 2, zeroRun - 1, zeroRun, zeroRun + 1, 3 * zeroRun]
                    .randomElement(using: &generator) ?? 1
                bytes += [UInt8](repeating: 0, count: count)
            }
        }
        return bytes
    }

    private func change(
        _ file: inout EditedFile, _ parameters: ChunkerParameters,
        using generator: inout SeededGenerator
    ) {
        let zeroRun = Int(parameters.zeroRunMinimumBytes)
        var offset = Int.random(in: 0...file.size, using: &generator)
        if Int.random(in: 0..<3, using: &generator) == 0 { offset -= offset % 4096 }
        let lengths = [1, 50, zeroRun - 1, zeroRun, 4096, 20_000]
        let length = lengths.randomElement(using: &generator) ?? 1
        switch Int.random(in: 0..<20, using: &generator) {
        case 0..<5: file.write(content(parameters, using: &generator), at: file.size)
        case 5..<8: file.write(content(parameters, using: &generator), at: offset)
        case 8..<12: file.write(generator.bytes(length), at: offset)
        case 12..<14: file.clear(offset..<min(file.size, offset + length), .hole)
        case 14..<17: file.clear(offset..<offset + length, .zeros)
        case 17: file.resize(offset)
        case 18: file.resize(file.size + length)
        default: file.write([UInt8](repeating: 0, count: length), at: offset)
        }
        if file.size > 60_000 { file.resize(offset) }
    }

    private func fold(
        _ file: inout EditedFile, _ folder: Folder<MemoryContentStore>, mode: FoldMode,
        using generator: inout SeededGenerator
    ) throws {
        if Bool.random(using: &generator) { file.stored.keyAllocatedBytes = nil }
        let splits = Set((0..<5).map { _ in Int.random(in: 0...file.size, using: &generator) })
        let result = try folder.fold(
            file.stored, patches: file.patches(splitAt: splits), bytes: file.patchBytes,
            newSize: UInt64(file.size), mode: mode)
        let folded = Int(result.foldedSize)
        XCTAssertEqual(result.content.size, result.foldedSize)
        XCTAssertEqual(result.content.pieces, [])
        if mode == .complete { XCTAssertEqual(folded, file.size) }
        XCTAssertLessThanOrEqual(folded, file.size)
        let prefix = PlainFile(bytes: Array(file.plain.bytes[..<folded]))
        XCTAssertEqual(
            result.content.key, try prefix.key(folder.chunker, in: folder.store),
            "not canonical: \(folder.chunker.parameters)")
        XCTAssertEqual(result.allocatedBytes, prefix.allocatedBytes)
        XCTAssertEqual(result.content.keyAllocatedBytes, prefix.allocatedBytes)
        // What is not in the key is with the caller, or a hole.
        XCTAssertTrue(
            (folded..<file.size).allSatisfy {
                file.dirty[$0] != .no || file.plain.bytes[$0] == nil
            })
        file.stored = result.content
        for index in file.dirty.indices where index < folded || index >= file.size {
            file.dirty[index] = .no
        }
    }

    private func checkReading(
        _ file: EditedFile, _ store: MemoryContentStore, using generator: inout SeededGenerator
    ) throws {
        let reader = ContentReader(store: store)
        let from = Int.random(in: 0...file.size, using: &generator)
        let known = (from..<file.size).prefix { file.dirty[$0] == .no }
        var buffer = [UInt8](repeating: 0xcc, count: known.count)
        try buffer.withUnsafeMutableBytes {
            try reader.read(of: file.stored, at: UInt64(from), into: $0)
        }
        XCTAssertTrue(buffer == file.plain.bytes[known].map { $0 ?? 0 }, "other bytes")
        guard file.dirty[..<file.size].allSatisfy({ $0 == .no }) else { return }
        let size = UInt64(file.size)
        let data = file.plain.bytes[from...].firstIndex { $0 != nil }.map(UInt64.init)
        XCTAssertEqual(
            try reader.nextData(of: file.stored, from: UInt64(from), size: size), data)
        let hole = file.plain.bytes[from...].firstIndex { $0 == nil } ?? file.size
        XCTAssertEqual(
            try reader.nextHole(of: file.stored, from: UInt64(from), size: size),
            from < file.size ? UInt64(hole) : nil)
        let to = Int.random(in: from...file.size, using: &generator)
        XCTAssertEqual(
            try reader.allocatedBytes(of: file.stored, in: UInt64(from)..<UInt64(to)),
            UInt64(file.plain.bytes[from..<to].count { $0 != nil }))
    }

    func testAnyOrderOfChangesGivesTheKeyOfTheBytes() throws {
        var generator = SeededGenerator()
        for _ in 0..<24 {
            let parameters = parameters(using: &generator)
            let folder = Folder(
                chunker: Chunker(parameters: parameters), store: try MemoryContentStore(),
                windowBytes: [0, 1 << 20].randomElement(using: &generator) ?? 0,
                stepExtentsMax: [1, 2, 7, 16384].randomElement(using: &generator) ?? 1)
            var file = EditedFile()
            for _ in 0..<16 {
                for _ in 0..<Int.random(in: 0...4, using: &generator) {
                    change(&file, parameters, using: &generator)
                }
                for _ in 0..<Int.random(in: 0...2, using: &generator) where file.size > 0 {
                    let from = Int.random(in: 0..<file.size, using: &generator)
                    let surplus = Int.random(in: 0...9, using: &generator)
                    try file.storePiece(
                        in: from..<min(file.size, from + 9000), surplus: surplus,
                        to: folder.store)
                }
                try checkReading(file, folder.store, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0, 1: try fold(&file, folder, mode: .complete, using: &generator)
                case 2, 3: try fold(&file, folder, mode: .upToDecidedCut, using: &generator)
                default: break
                }
                try checkReading(file, folder.store, using: &generator)
            }
        }
    }

    /// Old cuts amid zeros that were too few for a run are no cuts of a run that has become long
    /// enough, also where what was read so far ends at one.
    func testARunOfZerosThatGrowsOverOldCuts() throws {
        var generator = SeededGenerator()
        var parameters = ChunkerParameters.gear(meanBytes: 4096)
        (parameters.minimumBytes, parameters.maximumBytes) = (4096, 4096)
        parameters.zeroRunMinimumBytes = 9000
        let folder = Folder(
            chunker: Chunker(parameters: parameters), store: try MemoryContentStore())
        var file = EditedFile()
        file.write([UInt8](repeating: 1, count: 8192) + [UInt8](repeating: 0, count: 8500), at: 0)
        try fold(&file, folder, mode: .complete, using: &generator)
        file.clear(4096..<8192, .zeros)
        try fold(&file, folder, mode: .complete, using: &generator)
    }

    /// A chunk that ends with zeros was cut for what followed, which the writer may change still.
    func testADecidedCutBehindZerosIsLookedAtAgain() throws {
        var generator = SeededGenerator()
        var parameters = ChunkerParameters.gear(meanBytes: 4096)
        (parameters.minimumBytes, parameters.maximumBytes) = (4096, 4096)
        parameters.zeroRunMinimumBytes = 64
        let folder = Folder(
            chunker: Chunker(parameters: parameters), store: try MemoryContentStore())
        for zeroCount in [0, 40] {
            var file = EditedFile()
            file.write([UInt8](repeating: 1, count: 4096 - zeroCount), at: 0)
            file.write([UInt8](repeating: 0, count: zeroCount), at: file.size)
            file.write([UInt8](repeating: 1, count: 100), at: file.size)
            try fold(&file, folder, mode: .upToDecidedCut, using: &generator)
            XCTAssertEqual(file.stored.size, 4096)
            XCTAssertEqual(file.stored.endsAtCut, zeroCount == 0)
            file.write([UInt8](repeating: 0, count: 300), at: 4096)
            try fold(&file, folder, mode: .upToDecidedCut, using: &generator)
        }
    }

    /// What the caller has in patches need not be folded; what only the store has must be.
    func testUndecidedBytesStayWithTheCallerWhereItHasThem() throws {
        var generator = SeededGenerator()
        let folder = Folder(
            chunker: Chunker(parameters: .gear(meanBytes: 32768)), store: try MemoryContentStore())
        var file = EditedFile()
        file.write(generator.bytes(1000), at: 0)
        try fold(&file, folder, mode: .upToDecidedCut, using: &generator)
        XCTAssertEqual(file.stored, StoredContent(keyAllocatedBytes: 0))
        try fold(&file, folder, mode: .complete, using: &generator)
        file.write(generator.bytes(2000), at: 10)
        try fold(&file, folder, mode: .upToDecidedCut, using: &generator)
        XCTAssertEqual(file.stored.size, 10)
        file.resize(9000)
        try fold(&file, folder, mode: .upToDecidedCut, using: &generator)
        XCTAssertEqual(file.stored.size, 9000, "a hole ends a chunk")
    }

    /// A stream in batches of any size reads back nothing but what its chunks' ends hide.
    func testStreamsInBatchesGiveTheKeyOfTheBytes() throws {
        var generator = SeededGenerator()
        for round in 0..<12 {
            let parameters = round % 3 == 0 ? .gear(meanBytes: 4096) : parameters(using: &generator)
            let folder = Folder(
                chunker: Chunker(parameters: parameters), store: try MemoryContentStore(),
                windowBytes: 0, stepExtentsMax: round % 2 == 0 ? 3 : 16384)
            var file = EditedFile()
            let batch = [1500, 5000, 60_000].randomElement(using: &generator) ?? 100
            for _ in 0..<4 {
                let bytes = content(parameters, using: &generator)
                for start in stride(from: 0, to: bytes.count, by: batch) {
                    file.write(
                        Array(bytes[start..<min(bytes.count, start + batch)]), at: file.size)
                    guard start % (4 * batch) == 0 else { continue }
                    try fold(&file, folder, mode: .upToDecidedCut, using: &generator)
                }
            }
            try fold(&file, folder, mode: .complete, using: &generator)
        }
    }
}
