import Chunking
import DiskFormat
import Trees
import XCTest

@testable import Folding

/// What folds and reads cost: nodes, chunks, memory. Also prints how fast a stream is folded.
final class CostTests: XCTestCase {
    private typealias Store = MemoryContentStore

    /// Bytes that repeat, as a patch of any length.
    private final class RepeatedBytes: PatchBytes {
        let bytes: [UInt8]
        var longestCopy = 0
        var copiedBytes = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        func copy(_ range: Range<UInt64>, into buffer: UnsafeMutableRawBufferPointer) {
            longestCopy = max(longestCopy, buffer.count)
            copiedBytes += buffer.count
            bytes.withUnsafeBytes { source in
                var position = 0
                while position < buffer.count {
                    let from = Int((range.lowerBound + UInt64(position)) % UInt64(source.count))
                    let count = min(source.count - from, buffer.count - position)
                    UnsafeMutableRawBufferPointer(rebasing: buffer[position..<position + count])
                        .copyMemory(from: .init(rebasing: source[from..<from + count]))
                    position += count
                }
            }
        }
    }

    private let periodBytes = 40 << 20
    private let parameters = ChunkerParameters.gear(meanBytes: 32768)

    /// The content of a file of about `extentCount` extents that repeats `bytes`, without making
    /// the file: where a cut lies one period behind another, all between repeats. A period needs
    /// some thousand extents, or no entry in it ends a node.
    private func repeated(
        _ bytes: [UInt8], extentCount: Int, in store: Store
    ) throws -> StoredContent {
        let length = UInt64(bytes.count)
        let short = try Folder(chunker: Chunker(parameters: parameters), store: store).fold(
            StoredContent(), patches: [Patch(range: 0..<3 * length, kind: .bytes)],
            bytes: RepeatedBytes(bytes), newSize: 3 * length)
        var extents: [(start: UInt64, extent: Extent)] = []
        try ContentReader(store: store).forEachSegment(of: short.content, in: 0..<3 * length) {
            (range, segment) throws(TreeError) in
            guard case .data(let name, let count, 0) = segment else { return false }
            extents.append((range.lowerBound, .data(name, length: count)))
            return true
        }
        let starts = Set(extents.map(\.start))
        let first = try XCTUnwrap(
            extents.first { $0.start > length && starts.contains($0.start + length) })
        var list = extents.filter { $0.start < first.start }.map(\.extent)
        let cycle = extents.filter {
            $0.start >= first.start && $0.start < first.start + length
        }.map(\.extent)
        while list.count < extentCount { list += cycle }
        let size = list.reduce(0) { $0 + $1.length }
        let root = try XCTUnwrap(try RecipeEdit.build(list, in: store))
        return StoredContent(key: .recipe(root), size: size, keyAllocatedBytes: size)
    }

    /// The content of a file of about `extentCount` extents in which no part is like another, with
    /// the ranges of its data: runs of few chunks in random order, and a hole behind each, as a
    /// hole ends a chunk and cutting begins anew behind it. In content that repeats, few names of
    /// nodes differ, and it may be that none of them ends a node of the level above.
    private func varied(
        extentCount: Int, in store: Store, _ generator: inout SeededGenerator
    ) throws -> (content: StoredContent, data: [Range<UInt64>]) {
        let runs = try (0..<64).map { _ -> [Extent] in
            let length = UInt64(640 << 10)
            let run = try Folder(chunker: Chunker(parameters: parameters), store: store).fold(
                StoredContent(), patches: [Patch(range: 0..<length, kind: .bytes)],
                bytes: RepeatedBytes(generator.bytes(Int(length))), newSize: length)
            var extents: [Extent] = []
            try ContentReader(store: store).forEachSegment(of: run.content, in: 0..<length) {
                (_, segment) throws(TreeError) in
                guard case .data(let name, let count, 0) = segment else { return false }
                extents.append(.data(name, length: count))
                return true
            }
            return extents
        }
        var list: [Extent] = []
        var data: [Range<UInt64>] = []
        var size: UInt64 = 0
        while list.count < extentCount {
            let run = runs.randomElement(using: &generator) ?? []
            let end = size + run.reduce(0) { $0 + $1.length }
            data.append(size..<end)
            let hole = 4096 * UInt64.random(in: 1...256, using: &generator)
            list += run + [.hole(length: hole)]
            size = end + hole
        }
        let root = try XCTUnwrap(try RecipeEdit.build(list, in: store))
        let allocated = data.reduce(0) { $0 + $1.upperBound - $1.lowerBound }
        return (StoredContent(key: .recipe(root), size: size, keyAllocatedBytes: allocated), data)
    }

    func testASmallChangeOfALargeFileTouchesAFewChunksAndNodes() throws {
        var generator = SeededGenerator()
        let store = try Store()
        let (content, data) = try varied(extentCount: 300_000, in: store, &generator)
        let folder = Folder(chunker: Chunker(parameters: parameters), store: store)
        for _ in 0..<10 {
            let run = try XCTUnwrap(data.randomElement(using: &generator))
            let offset = UInt64.random(
                in: run.lowerBound..<run.upperBound - 4096, using: &generator)
            store.resetCounters()
            let result = try folder.fold(
                content, patches: [Patch(range: offset..<offset + 4096, kind: .bytes)],
                bytes: RepeatedBytes(generator.bytes(4096)), newSize: content.size)
            XCTAssertNotEqual(result.content.key, content.key)
            XCTAssertEqual(result.allocatedBytes, content.keyAllocatedBytes)
            // Of several hundred. How soon old and new nodes end together again is chance: usually
            // within two or three.
            XCTAssertLessThan(store.nodeReads, 96)
            XCTAssertLessThan(store.nodeWrites, 48)
            XCTAssertLessThan(result.dataBytesRead, 1 << 20)
            XCTAssertLessThan(result.chunksPut, 32)
            // Changed back, it is what it was.
            var before = [UInt8](repeating: 0, count: 4096)
            try before.withUnsafeMutableBytes {
                try ContentReader(store: store).read(of: content, at: offset, into: $0)
            }
            let rotation = Int(offset % 4096)
            let aligned = Array(before[(4096 - rotation)...] + before[..<(4096 - rotation)])
            let restored = try folder.fold(
                result.content, patches: [Patch(range: offset..<offset + 4096, kind: .bytes)],
                bytes: RepeatedBytes(aligned), newSize: content.size)
            XCTAssertEqual(restored.content.key, content.key)
        }
    }

    func testSizesAreChangedWithoutReadingTheFile() throws {
        var generator = SeededGenerator()
        let store = try Store()
        let content = try repeated(generator.bytes(periodBytes), extentCount: 100_000, in: store)
        let folder = Folder(chunker: Chunker(parameters: parameters), store: store)
        let none = RepeatedBytes([1])
        store.resetCounters()
        let extended = try folder.fold(
            content, patches: [], bytes: none, newSize: content.size + 1 << 40)
        XCTAssertEqual(extended.dataBytesRead, 0)
        XCTAssertEqual(extended.allocatedBytes, content.size)
        let allocated = try folder.fold(
            extended.content,
            patches: [Patch(range: content.size..<content.size + 1 << 40, kind: .zeros)],
            bytes: none, newSize: content.size + 1 << 40)
        XCTAssertEqual(allocated.allocatedBytes, content.size + 1 << 40)
        let shortened = try folder.fold(
            allocated.content, patches: [], bytes: none, newSize: content.size)
        XCTAssertEqual(shortened.content, content)
        let cut = try folder.fold(content, patches: [], bytes: none, newSize: 1 << 30)
        XCTAssertEqual(cut.allocatedBytes, 1 << 30)
        XCTAssertLessThan(cut.dataBytesRead, 1 << 20)
        XCTAssertLessThan(store.nodeReads, 60)
        XCTAssertLessThan(store.dataPuts, 40)
        let emptied = try folder.fold(content, patches: [], bytes: none, newSize: 0)
        XCTAssertEqual(
            emptied.content, StoredContent(keyAllocatedBytes: 0))
    }

    /// Also the timing of a stream; the figure counts in release builds.
    func testAStreamReadsNothingBack() throws {
        var generator = SeededGenerator()
        let store = try Store()
        let folder = Folder(chunker: Chunker(parameters: parameters), store: store)
        // No batch of 4 MiB ends where another does in the bytes that repeat.
        let bytes = RepeatedBytes(generator.bytes((13 << 20) + 50_001))
        let total: UInt64 = 256 << 20
        var content = StoredContent()
        var readBytes: UInt64 = 0
        var puts = 0
        let start = ContinuousClock.now
        for end in stride(from: 4 << 20, through: total, by: 4 << 20) {
            let result = try folder.fold(
                content, patches: [Patch(range: content.size..<end, kind: .bytes)], bytes: bytes,
                newSize: end, mode: end == total ? .complete : .upToDecidedCut)
            content = result.content
            readBytes += result.dataBytesRead
            puts += result.chunksPut
            XCTAssertGreaterThan(content.size + (1 << 18), end)
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        print(
            "stream: \(Int(Double(total) / seconds / 1e6)) MB/s, \(puts) chunks, read \(readBytes)")
        XCTAssertEqual(content.size, total)
        // Of 63 chunks that end a batch, one in 256 ends with a zero and is read again.
        XCTAssertLessThan(readBytes, 640 << 10)
        let whole = try folder.fold(
            StoredContent(), patches: [Patch(range: 0..<total, kind: .bytes)], bytes: bytes,
            newSize: total)
        XCTAssertEqual(whole.content.key, content.key)
    }

    func testMemoryIsBounded() throws {
        var generator = SeededGenerator()
        let store = try Store(forgetsData: true)
        let folder = Folder(
            chunker: Chunker(parameters: parameters), store: store, windowBytes: 1 << 20,
            stepExtentsMax: 1000)
        let bytes = RepeatedBytes(generator.bytes((4 << 20) - 5))
        let total: UInt64 = 512 << 20
        let before = try residentBytes()
        let result = try folder.fold(
            StoredContent(), patches: [Patch(range: 0..<total, kind: .bytes)], bytes: bytes,
            newSize: total)
        XCTAssertEqual(result.content.size, total)
        XCTAssertLessThanOrEqual(bytes.longestCopy, 1 << 20)
        XCTAssertEqual(bytes.copiedBytes, Int(total), "bytes were asked for twice")
        XCTAssertLessThan(try residentBytes() - before, 24 << 20)
    }

    private func residentBytes() throws -> Int {
        let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
            .split(separator: " ")
        return try XCTUnwrap(Int(fields[1])) * 4096
    }

    func testSmallNewFilesHaveNoTree() throws {
        var generator = SeededGenerator()
        let store = try Store()
        let folder = Folder(chunker: Chunker(parameters: parameters), store: store)
        for size in [1, 300, 8191, 200_000, 1 << 20] {
            let bytes = ArrayBytes(bytes: generator.bytes(size))
            store.resetCounters()
            let range = 0..<UInt64(size)
            let result = try folder.fold(
                StoredContent(), patches: [Patch(range: range, kind: .bytes)], bytes: bytes,
                newSize: UInt64(size))
            XCTAssertEqual(
                result.content.key,
                try PlainFile(bytes: bytes.bytes).key(folder.chunker, in: try Store()))
            XCTAssertEqual(store.nodeWrites, result.chunksPut == 1 ? 0 : 1)
            XCTAssertEqual(store.nodeReads, 0)
            // The same in two patches takes the long way.
            let halves = [0..<UInt64(size) / 2, UInt64(size) / 2..<UInt64(size)]
            let again = try folder.fold(
                StoredContent(),
                patches: halves.filter { !$0.isEmpty }.map { Patch(range: $0, kind: .bytes) },
                bytes: bytes, newSize: UInt64(size))
            XCTAssertEqual(again, result)
        }
    }

    func testReadingInOrderDecodesEachNodeOnce() throws {
        var generator = SeededGenerator()
        let store = try Store()
        let content = try repeated(generator.bytes(periodBytes), extentCount: 30_000, in: store)
        let reader = ContentReader(store: store)
        store.resetCounters()
        for offset in stride(from: 0, to: content.size, by: 128 << 10) {
            _ = try reader.segment(of: content, at: offset)
        }
        var expected = 0
        guard case .recipe(let root) = content.key else { return XCTFail("no recipe") }
        let nodes = ListReader<RecipeSchema, Store>(store: store)
        let reads = store.nodeReads
        try nodes.forEachNode(of: root) { _ throws(TreeError) in
            expected += 1
            return true
        }
        XCTAssertEqual(reads, expected)
        let recipeOnly = StoredContent(key: content.key, size: content.size)
        store.resetCounters()
        XCTAssertEqual(
            try reader.nextHole(of: content, from: 5, size: content.size + 9), content.size)
        XCTAssertEqual(store.nodeReads, 0)
        XCTAssertEqual(
            try reader.nextHole(of: recipeOnly, from: 5, size: content.size + 9), content.size)
        XCTAssertEqual(
            try reader.allocatedBytes(of: recipeOnly, in: 7..<content.size + 9), content.size - 7)
    }
}
