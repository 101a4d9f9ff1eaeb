// One fault in the packs at a time: found, once, with the paths that it touches.
import Backends
import DiskFormat
import Packs
import XCTest

@testable import Checking

final class PackDamageTests: XCTestCase {
    /// The record, in the first pack, of the frame in which a chunk lies.
    private func copy(
        _ scene: Scene, of name: ChunkName
    ) throws -> (inventory: Inventory, copies: [ChunkTable.Copy]) {
        let inventory = try Inventory(scene.store.backend)
        let number = try XCTUnwrap(inventory.table.number(of: name))
        return (inventory, inventory.table.range(of: number).map { inventory.table.copies[$0] })
    }

    private func chunkName(_ scene: Scene, _ key: String) throws -> ChunkName {
        switch try XCTUnwrap(scene.volume.images[try scene.inode(key)]).content {
        case .chunk(let name): return name
        case .recipe(let node): return node.name
        default: throw XCTSkip("no content")
        }
    }

    private func one(
        _ report: CheckReport, _ kind: Problem.Kind, _ severity: Problem.Severity? = nil,
        line: UInt = #line
    ) throws -> Problem {
        XCTAssertEqual(report.complaints.count, 1, report.text, line: line)
        let problem = try XCTUnwrap(report.complaints.first, line: line)
        XCTAssertEqual(problem.kind, kind, report.text, line: line)
        if let severity { XCTAssertEqual(problem.severity, severity, report.text, line: line) }
        return problem
    }

    private func texts(_ problem: Problem) -> [String] {
        XCTAssertEqual(problem.pathCount, UInt64(problem.paths.count))
        return problem.paths.map(\.text).sorted()
    }

    /// The live paths of the inodes whose content needs a chunk of the same frame.
    private func paths(_ scene: Scene, needing names: Set<ChunkName>) throws -> [String] {
        let state = try State.open(scene.store.backend)
        let volume = try XCTUnwrap(state.volumes.first)
        var result: [String] = []
        for (path, _) in scene.volume.paths() {
            let image = try XCTUnwrap(try volume.resolve(path))
            var needs = false
            try volume.forEachExtent(of: image) { extent in
                if case .data(let name, _, _) = extent.source, names.contains(name) { needs = true }
                return true
            }
            if case .chunk(let name, _) = image.attributes, names.contains(name) { needs = true }
            // What lies below a piece is needed by the recipe.
            if case .recipe(let node) = image.content {
                try state.chunks.eachData(node) { if names.contains($0) { needs = true } }
            }
            if needs { result.append(path) }
        }
        return result.sorted()
    }

    func testFlippedFrameNamesEveryFileInIt() throws {
        let scene = try Scene()
        let name = try chunkName(scene, "small")
        let (inventory, copies) = try copy(scene, of: name)
        XCTAssertEqual(copies.count, 1)
        let place = try inventory.frameOffset(copies[0])
        let damaged = try scene.store.backend.flipping(place.pack, at: place.offset + 3)
        for depth in [CheckDepth.full, .deep] {
            let problem = try one(try checkStore(damaged, depth), .frameDamaged, .loss)
            let together = Set(
                inventory.table.copies.filter {
                    $0.record == copies[0].record && $0.frame == copies[0].frame
                }.map(\.name))
            XCTAssertEqual(texts(problem), try paths(scene, needing: together))
            XCTAssertTrue(texts(problem).contains("/small-too"))
            XCTAssertTrue(texts(problem).contains("/etc/small"))
        }
        XCTAssertEqual(try checkStore(damaged, .quick).complaints, [])
        // What cannot be verified is not read; the rest is.
        let volume = try XCTUnwrap(try State.open(damaged).volumes.first)
        let image = try XCTUnwrap(try volume.resolve("/etc/small"))
        XCTAssertThrowsError(try volume.read(image, at: 0, count: 10))
        XCTAssertNoThrow(try volume.resolve("/etc/deep/long"))
    }

    func testHealedFrameIsNoLoss() throws {
        let scene = try Scene()
        let name = try chunkName(scene, "small")
        let (inventory, copies) = try copy(scene, of: name)
        let place = try inventory.frameOffset(copies[0])
        for other in inventory.table.copies
        where other.record == copies[0].record && other.frame == copies[0].frame {
            try scene.store.putAgain(other.name)
        }
        try scene.volume.makeFile("x", [1, 2])
        try scene.volume.commit()
        let damaged = try scene.store.backend.flipping(place.pack, at: place.offset + 3)
        _ = try one(try checkStore(damaged), .frameDamaged, .damage)
    }

    func testOneCopyOfANodeIsDamageAndBothAreLoss() throws {
        var options = SmallStore.Options()
        // A frame for each node, so that no directory is lost with the recipe.
        options.frameBytes = 1
        let scene = try Scene(options)
        let name = try chunkName(scene, "linked")
        let (inventory, copies) = try copy(scene, of: name)
        XCTAssertEqual(copies.count, 2)
        let first = try inventory.frameOffset(copies[0])
        let second = try inventory.frameOffset(copies[1])
        for place in [first, second] {
            let damaged = try scene.store.backend.flipping(place.pack, at: place.offset + 2)
            let report = try checkStore(damaged)
            XCTAssertEqual(try one(report, .frameDamaged, .damage).pathCount, 0)
            XCTAssertGreaterThan(report.summary.singleCopyNodes, 0)
        }
        let both = try scene.store.backend.flipping(first.pack, at: first.offset + 2)
            .flipping(second.pack, at: second.offset + 2)
        let report = try checkStore(both)
        XCTAssertEqual(Set(report.complaints.map(\.kind)), [.frameDamaged], report.text)
        XCTAssertEqual(report.complaints.count, 2, report.text)
        for problem in report.complaints {
            XCTAssertEqual(problem.severity, .loss)
            XCTAssertTrue(texts(problem).contains("/one"), report.text)
            XCTAssertTrue(texts(problem).contains("/etc/deep/two"), report.text)
        }
    }

    func testDamagedTableOfASuperChunk() throws {
        let scene = try Scene()
        let (inventory, copies) = try copy(scene, of: try chunkName(scene, "small"))
        let record = inventory.records[Int(copies[0].record)]
        let pack = inventory.packs[Int(record.pack)].id
        let names = Set(
            inventory.table.copies.filter { $0.record == copies[0].record }.map(\.name))
        let body = try scene.store.backend.flipping(pack, at: record.offset + 48 + 5)
        let header = try scene.store.backend.flipping(pack, at: record.offset + 9)
        for (damaged, kind) in [
            (body, Problem.Kind.recordDamaged), (header, .rangeDamaged),
        ] {
            for depth in [CheckDepth.quick, .full] {
                let problem = try one(try checkStore(damaged, depth), kind, .loss)
                XCTAssertEqual(texts(problem), try paths(scene, needing: names))
            }
        }
    }

    func testDamagedHeaderTableAndTrailer() throws {
        let scene = try Scene()
        let inventory = try Inventory(scene.store.backend)
        let pack = inventory.packs[0]
        let table = try XCTUnwrap(pack.records.last.map { inventory.records[$0] })
        let backend = scene.store.backend
        let cases: [(UInt64, Problem.Kind)] = [
            (100, .packHeaderDamaged), (4_095, .packHeaderDamaged), (table.offset + 3, .packTable),
            (table.offset + 60, .packTable), (pack.end.fileBytes - 1, .packTrailer),
            (pack.end.fileBytes - 30, .packTrailer),
        ]
        for (offset, kind) in cases {
            let report = try checkStore(try backend.flipping(pack.id, at: offset))
            XCTAssertEqual(report.complaints.map(\.kind), [kind], "\(offset): \(report.text)")
            guard let problem = report.complaints.first else { continue }
            XCTAssertLessThan(problem.severity, .loss)
            XCTAssertEqual(problem.pathCount, 0)
        }
    }

    func testTruncationAtRecordBoundaries() throws {
        let scene = try Scene(commits: false)
        // Behind the checkpoint's promise, so that every cut is damage.
        try scene.store.roll()
        try scene.volume.checkpoint()
        let inventory = try Inventory(scene.store.backend)
        let pack = inventory.packs[0]
        for index in pack.records {
            let record = inventory.records[index]
            let cut = try scene.store.backend.damaging(pack.id) {
                $0.removeSubrange(Int(record.offset)...)
            }
            let report = try checkStore(cut)
            XCTAssertEqual(report.complaints.filter { $0.kind == .packShort }.count, 1, report.text)
            XCTAssertEqual(report.complaints.count, 1, report.text)
        }
    }

    func testMissingPack() throws {
        let scene = try Scene()
        let all = Set(scene.volume.paths().keys)
        for sequence in [UInt64(1), 2] {
            let id = PackID(writer: 0xfeed, sequence: sequence)
            let without = scene.store.backend.copy()
            try without.removeFile(id.fileName)
            let report = try checkStore(without)
            if sequence == 2 {
                // The copies alone: nothing is lost.
                let problem = try one(report, .packMissing, .damage)
                XCTAssertEqual(problem.pathCount, 0)
            } else {
                // The only checkpoint lay in it.
                XCTAssertEqual(report.summary.volumes, [])
                XCTAssertEqual(report.problems.map(\.severity).max(), .loss, report.text)
            }
        }
        try scene.store.roll()
        scene.volume.folded = [
            ExtentChange(inode: try scene.inode("long"), range: 0..<1, pieces: [])
        ]
        try scene.volume.checkpoint()
        let without = scene.store.backend.copy()
        try without.removeFile(PackID(writer: 0xfeed, sequence: 1).fileName)
        let problem = try one(try checkStore(without), .packMissing, .loss)
        XCTAssertTrue(Set(texts(problem)).isSubset(of: all.union(["/"])))
        XCTAssertTrue(texts(problem).contains("/etc/small"))
        XCTAssertTrue(texts(problem).contains("/small-too"))
        XCTAssertTrue(texts(problem).contains("/etc/deep/moved/file-3"))
        XCTAssertFalse(texts(problem).contains("/etc/later"))
    }

    func testSwappedPacksAreNamed() throws {
        let scene = try Scene()
        try scene.store.roll()
        scene.volume.folded = [
            ExtentChange(inode: try scene.inode("long"), range: 0..<1, pieces: [])
        ]
        try scene.volume.checkpoint()
        let swapped = scene.store.backend.copy()
        let a = PackID(writer: 0xfeed, sequence: 1)
        let b = PackID(writer: 0xfeed, sequence: 3)
        try swapped.renameFile(a.fileName, to: "packs/x")
        try swapped.renameFile(b.fileName, to: a.fileName)
        try swapped.renameFile("packs/x", to: b.fileName)
        let report = try checkStore(swapped)
        XCTAssertEqual(
            report.complaints.map(\.kind), [.chunkMissing, .packMisnamed, .packMisnamed],
            report.text)
        XCTAssertEqual(
            Set(report.complaints.dropFirst().map(\.place)), [.pack(a), .pack(b)])
        XCTAssertTrue(report.complaints[0].paths.contains { $0.text == "/etc/small" })
    }

    func testForeignPackAndPastedRecord() throws {
        let scene = try Scene()
        var options = SmallStore.Options()
        options.storeID = UniqueID(random: (77, 78))
        options.secret = StoreSecret(high: 5, low: 6)
        options.writer = 0xbeef
        let other = try Scene(options)
        let id = PackID(writer: 0xbeef, sequence: 1)
        let both = scene.store.backend.copy()
        try both.writeWhole(id.fileName, try other.store.backend.bytes(id))
        XCTAssertEqual(try one(try checkStore(both), .packForeign, .warning).place, .pack(id))
        // A record of the other store, at the same place of the same pack.
        options.writer = 0xfeed
        let twin = try Scene(options)
        let inventory = try Inventory(scene.store.backend)
        let (_, copies) = try copy(scene, of: try chunkName(scene, "small"))
        let record = inventory.records[Int(copies[0].record)]
        let pack = inventory.packs[Int(record.pack)].id
        let range = Int(record.offset)..<Int(record.end)
        let foreign = try twin.store.backend.bytes(pack)[range]
        let pasted = try scene.store.backend.damaging(pack) {
            $0.replaceSubrange(range, with: foreign)
        }
        let problem = try one(try checkStore(pasted), .rangeDamaged, .loss)
        XCTAssertEqual(problem.place, .range(pack, record.offset..<record.end))
        XCTAssertTrue(texts(problem).contains("/etc/small"))
    }

    func testStaleTailIsNormal() throws {
        let scene = try Scene()
        let id = scene.store.main.id
        let first = try scene.store.backend.bytes(PackID(writer: 0xfeed, sequence: 1))
        let stale = try scene.store.backend.damaging(id) { $0 += first[4_096..<9_000] }
        let report = try checkStore(stale)
        XCTAssertEqual(report.complaints, [], report.text)
        XCTAssertTrue(report.problems.contains { $0.kind == .tornTail })
    }

    func testNewerPackIsTold() throws {
        let scene = try Scene()
        let id = PackID(writer: 0xfeed, sequence: 9)
        var header = try scene.store.backend.bytes(PackID(writer: 0xfeed, sequence: 1))
        header.removeSubrange(4_096...)
        var made = try header.withUnsafeBytes { try PackHeader($0) }
        made.id = id
        made.parameters.features.incompatible = 1 << 40
        let newer = scene.store.backend.copy()
        try newer.writeWhole(id.fileName, made.encoded())
        XCTAssertEqual(try one(try checkStore(newer), .packNewer).place, .pack(id))
    }
}

extension ChunkReader {
    /// Names of all data below a recipe node.
    func eachData(_ reference: NodeReference, _ body: (ChunkName) -> Void) throws {
        let bytes = try chunk(reference.name, domain: .recipe)
        switch try bytes.withUnsafeBytes({ try RecipeNode($0) }) {
        case .leaf(let extents):
            for case .data(let name, _) in extents { body(name) }
        case .inner(let level, let children):
            for child in children {
                try eachData(NodeReference(name: child.child, level: level - 1), body)
            }
        }
    }
}
