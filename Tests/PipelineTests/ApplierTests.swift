import Backends
import DiskFormat
import Metadata
import NamespaceIndex
import Platform
import Foundation
import XCTest

@testable import Pipeline

/// Details of what a commit does to the index.
final class ApplierTests: XCTestCase {
    private func withStore(_ body: (ChunkStore) throws -> Void) throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let store = try ChunkStore.open(backend, index: index, options: options())
        try body(store)
        try store.close()
    }

    private func name(_ collision: UInt8, _ inode: UInt64?) -> NameChange {
        // Names that hash alike, as far as cookies tell: the same name at several collisions.
        NameChange(
            parent: 1, name: Array("same".utf8), collision: collision,
            target: inode.map { .init(inode: $0, kind: 8) })
    }

    private func chain(_ store: ChunkStore) throws -> [NameRecord?] {
        try (UInt8(0)..<4).map { collision in
            let key = NamespaceKey.name(
                1, parent: 1, cookie: cookie("same", collision: collision))
            return try store.index.value(of: key) { (bytes) throws(FormatError) in
                try NameRecord(bytes)
            }
        }
    }

    func testRemovedCollisionsStayAsTombstonesWhileOthersFollow() throws {
        try withStore { store in
            func commit(_ names: [NameChange]) throws {
                _ = try store.commit(
                    store.draft { changes in
                        changes.nextInode = 9
                        changes.inodes = (2...4).map { .put(file($0)) }
                        changes.names = names
                    })
            }
            func entry(_ inode: UInt64) -> NameRecord {
                .entry(name: Array("same".utf8), inode: inode, kind: 8)
            }
            try commit([name(0, 2), name(1, 3), name(2, 4)])
            XCTAssertEqual(try chain(store), [entry(2), entry(3), entry(4), nil])
            XCTAssertEqual(try store.index.inode(1, 3)?.cookie, cookie("same", collision: 1))
            try commit([name(1, nil)])
            XCTAssertEqual(try chain(store), [entry(2), .tombstone, entry(4), nil])
            try commit([name(0, nil)])
            XCTAssertEqual(try chain(store), [.tombstone, .tombstone, entry(4), nil])
            try commit([name(1, 3)])
            XCTAssertEqual(try chain(store), [.tombstone, entry(3), entry(4), nil])
            try commit([name(2, nil)])
            XCTAssertEqual(try chain(store), [.tombstone, entry(3), nil, nil])
            try commit([name(1, nil)])
            XCTAssertEqual(try chain(store), [nil, nil, nil, nil])
            // Removed and made in one commit, in either order; a later one made with the removal.
            try commit([name(0, 2), name(1, 3)])
            try commit([name(0, nil), name(0, 4), name(2, 2)])
            XCTAssertEqual(try chain(store), [entry(4), entry(3), entry(2), nil])
            try commit([name(2, nil), name(1, nil), name(0, nil)])
            XCTAssertEqual(try chain(store), [nil, nil, nil, nil])
        }
    }

    /// Many ranges in one pass, as one after the other.
    func testRangesOfPiecesAreReplacedAtOnce() {
        var random = seeded()
        for round in 0..<300 {
            func list(in range: Range<UInt64>, gaps: UInt64) -> [ExtentChange.Piece] {
                var pieces: [ExtentChange.Piece] = []
                var position = range.lowerBound
                while position < range.upperBound {
                    position += UInt64.random(in: 0...gaps, using: &random)
                    guard position < range.upperBound else { break }
                    let length = min(
                        UInt64.random(in: 1...gaps, using: &random), range.upperBound - position)
                    let name = ChunkName(w0: random.next(), w1: 0, w2: 0, w3: 0)
                    pieces.append(
                        ExtentChange.Piece(
                            offset: position, length: length,
                            source: Bool.random(using: &random)
                                ? .hole : .data(name, chunkBytes: 1 << 20, offset: 7)))
                    position += length
                }
                return pieces
            }
            let old = list(in: 0..<4000, gaps: round % 2 == 0 ? 40 : 900)
            var changes: [ExtentChange] = []
            var position: UInt64 = 0
            while position < 4000 {
                let from = position + UInt64.random(in: 0...300, using: &random)
                let to = from + UInt64.random(in: 1...300, using: &random)
                changes.append(
                    ExtentChange(inode: 2, range: from..<to, pieces: list(in: from..<to, gaps: 60)))
                position = to
            }
            if round % 3 == 0 { changes.shuffle(using: &random) }
            XCTAssertEqual(
                NamespaceStage.replacing(old, changes),
                changes.reduce(old) { NamespaceStage.replacing($0, $1) })
        }
    }

    func testPiecesAreTrimmedSplitAndCounted() throws {
        try withStore { store in
            let chunk = try store.put([UInt8](repeating: 5, count: 1000))
            func piece(_ offset: UInt64, _ length: UInt64, _ within: UInt32 = 0)
                -> ExtentChange.Piece
            {
                ExtentChange.Piece(
                    offset: offset, length: length,
                    source: .data(chunk, chunkBytes: 1000, offset: within))
            }
            func commit(_ changes: [ExtentChange]) throws -> [ExtentChange.Piece] {
                _ = try store.commit(
                    store.draft { draft in
                        draft.nextInode = 3
                        draft.inodes = [.put(file(2, size: 5000))]
                        draft.extents = changes
                    })
                let stage = NamespaceStage(
                    volume: 1, before: try XCTUnwrap(try store.volumes().first?.record))
                let pieces = try stage.pieces(
                    of: 2, in: 0..<ExtentChange.endOfFile, store.index)
                XCTAssertEqual(
                    try store.index.inode(1, 2)?.pieceCount, UInt64(pieces.count))
                XCTAssertEqual(
                    try store.index.chunk(chunk)?.count,
                    UInt32(pieces.filter { $0.chunk != nil }.count))
                return pieces
            }
            XCTAssertEqual(
                try commit([ExtentChange(inode: 2, range: 0..<1000, pieces: [piece(0, 1000)])]),
                [piece(0, 1000)])
            let hole = ExtentChange.Piece(offset: 400, length: 100, source: .hole)
            XCTAssertEqual(
                try commit([ExtentChange(inode: 2, range: 400..<500, pieces: [hole])]),
                [piece(0, 400), hole, piece(500, 500, 500)])
            XCTAssertEqual(
                try commit([
                    ExtentChange(inode: 2, range: 300..<600, pieces: []),
                    ExtentChange(inode: 2, range: 900..<4000, pieces: [piece(3000, 1000)]),
                ]),
                [piece(0, 300), piece(600, 300, 600), piece(3000, 1000)])
            // Far behind a long piece: its beginning is found by looking back.
            let long = ExtentChange.Piece(offset: 10_000, length: 1 << 40, source: .zeros)
            _ = try commit([
                ExtentChange(inode: 2, range: 10_000..<(10_000 + 1 << 40), pieces: [long])
            ])
            let middle: UInt64 = 1 << 39
            let pieces = try commit([
                ExtentChange(inode: 2, range: middle..<(middle + 1), pieces: [])
            ])
            XCTAssertEqual(pieces.map(\.offset), [0, 600, 3000, 10_000, middle + 1])
            XCTAssertEqual(pieces[3].length, middle - 10_000)
            _ = try store.commit(store.draft { $0.inodes = [.gone(2)] })
            XCTAssertEqual(try store.index.family("E").count, 0)
            XCTAssertEqual(try store.index.chunk(chunk)?.count, 0)
        }
    }

    func testAnOverlayReadsLikeTheIndexWithItsChanges() throws {
        var random = seeded()
        let base = MemoryMetadataStore()
        let plain = MemoryMetadataStore()
        func key() -> [UInt8] {
            [UInt8.random(in: 0..<3, using: &random), UInt8.random(in: 0..<40, using: &random)]
        }
        func change(_ stores: [any MetadataStore]) throws {
            var batch = MetadataBatch()
            for _ in 0..<10 {
                if Int.random(in: 0..<3, using: &random) == 0 {
                    batch.delete(key())
                } else {
                    batch.put(key(), random.bytes(Int.random(in: 0..<4, using: &random)))
                }
            }
            for store in stores { try store.write(batch) }
        }
        for _ in 0..<20 { try change([base, plain]) }
        let overlay = IndexOverlay(over: base)
        let before = try base.family("\u{1}")
        for _ in 0..<60 {
            try change([overlay, plain])
            let from = key()
            for limit in [1, 5, Int.max] {
                XCTAssertEqual(
                    try list(overlay, from, limit).map(\.key),
                    try list(plain, from, limit).map(\.key))
                XCTAssertEqual(
                    try list(overlay, from, limit).map(\.value),
                    try list(plain, from, limit).map(\.value))
            }
            let one = key()
            XCTAssertEqual(try overlay.get(one), try plain.get(one))
        }
        XCTAssertEqual(try base.family("\u{1}"), before)
    }

    private func list(
        _ store: any MetadataStore, _ from: [UInt8], _ limit: Int
    ) throws -> [(key: [UInt8], value: [UInt8])] {
        var result: [(key: [UInt8], value: [UInt8])] = []
        try store.scan(prefix: [from[0]], from: from) { key, value in
            result.append((Array(key), Array(value)))
            return result.count < limit
        }
        return result
    }

    func testAStoreOnDiskWithRocksDB() throws {
        var random = seeded()
        let path = NSTemporaryDirectory() + "ashlar-pipeline-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let index = RocksIndexProvider(path: path + "/index")
        let backend = try DirectoryBackend(path: path)
        try makeStore(backend, index)
        var model = ModelVolume()
        for round in 0..<3 {
            let log = EventLog()
            let store = try ChunkStore.open(backend, index: index, options: options(log: log))
            XCTAssertEqual(log.text.contains("rebuilding"), round == 2, log.text)
            XCTAssertNil(store.failure)
            if round == 0 { model.root = try store.volumes().first?.record.root }
            try assertHolds(store, model, "round \(round)")
            for number in 0..<6 {
                for _ in 0..<5 { try model.step(store, &random) }
                _ = try store.commit(try model.draft(store, checkpoint: number == 3))
            }
            try assertReadable(store, model)
            try store.close()
            if round == 1 { try FileManager.default.removeItem(atPath: path + "/index") }
        }
        let looking = try ChunkStore.open(backend, index: index, options: options(readOnly: true))
        try assertHolds(looking, model)
        try looking.close()
    }
}
