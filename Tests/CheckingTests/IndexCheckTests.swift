// The index against the packs: a right one is silent, each fault is found once.
import ChunkIndex
import DiskFormat
import Metadata
import XCTest

@testable import Checking

final class IndexCheckTests: XCTestCase {
    /// What the index of a scene must hold, worked out from the model and the chunks' own bytes.
    private struct Expected {
        var records: [ChunkName: ChunkRecord] = [:]

        init(_ scene: Scene) throws {
            let inventory = try Inventory(scene.store.backend)
            for copy in inventory.table.copies {
                let record = inventory.records[Int(copy.record)]
                let place = ChunkPlace(
                    pack: record.pack, recordOffset: record.offset,
                    recordBytes: 48 + record.storedBytes, frame: copy.frame,
                    frameOffset: copy.frameOffset)
                records[
                    copy.name,
                    default: ChunkRecord(
                        count: 0, rawBytes: copy.rawBytes, domain: copy.domain, places: [])
                ].places.append(place)
            }
            for image in scene.volume.images.values { own(image) }
            for change in scene.written { own(change) }
            for (name, known) in scene.store.contents where known.domain == .recipe {
                _ = name
                countChildren(known.bytes)
            }
            try countTree(scene)
        }

        private mutating func own(_ name: ChunkName) {
            records[name]?.count += 1
        }

        private mutating func own(_ image: InodeImage) {
            switch image.content {
            case .chunk(let name): own(name)
            case .recipe(let node): own(node.name)
            default: break
            }
            if case .chunk(let name, _) = image.attributes { own(name) }
        }

        private mutating func countChildren(_ bytes: [UInt8]) {
            guard let node = bytes.withUnsafeBytes({ try? RecipeNode($0) }) else { return }
            var names: Set<ChunkName> = []
            switch node {
            case .leaf(let extents):
                for case .data(let name, _) in extents { names.insert(name) }
            case .inner(_, let entries):
                for entry in entries { names.insert(entry.child) }
            }
            for name in names { own(name) }
        }

        /// The scenes here have one checkpoint: every tree node belongs to it.
        private mutating func countTree(_ scene: Scene) throws {
            for (name, known) in scene.store.contents where known.domain == .tree { own(name) }
        }

        func store(_ change: (inout MetadataBatch) -> Void = { _ in }) throws
            -> MemoryMetadataStore
        {
            let store = MemoryMetadataStore()
            var batch = MetadataBatch()
            for (name, record) in records {
                batch.put(IndexKey.chunk(name), record.encoded())
            }
            for number in 0..<UInt32(4) {
                var writer = ByteWriter()
                writer.u64(0xfeed)
                writer.u64(UInt64(number) + 1)
                batch.put(IndexKey.pack(number), writer.bytes)
            }
            change(&batch)
            try store.write(batch)
            return store
        }
    }

    private func check(
        _ scene: Scene, _ store: MemoryMetadataStore, lastCommit: ChunkName? = nil
    ) throws -> CheckReport {
        try StoreCheck.run(
            scene.store.backend, index: IndexToCheck(store, lastCommit: lastCommit))
    }

    func testRightIndexIsSilent() throws {
        for commits in [false, true] {
            let scene = try Scene(commits: commits)
            let expected = try Expected(scene)
            let report = try check(scene, try expected.store())
            XCTAssertEqual(report.complaints, [], report.text)
        }
    }

    func testEachFaultIsFoundOnce() throws {
        let scene = try Scene()
        let expected = try Expected(scene)
        guard case .chunk(let name) = scene.volume.images[try scene.inode("small")]?.content else {
            return XCTFail("no chunk")
        }
        let right = try XCTUnwrap(expected.records[name])
        func find(
            _ kind: Problem.Kind, _ place: Problem.Place, line: UInt = #line,
            _ change: (inout MetadataBatch) -> Void
        ) throws {
            let report = try check(scene, try expected.store(change))
            XCTAssertEqual(report.complaints.map(\.kind), [kind], report.text, line: line)
            XCTAssertEqual(report.complaints.first?.place, place, line: line)
            XCTAssertEqual(report.complaints.first?.severity, .warning, line: line)
        }
        func put(_ change: (inout ChunkRecord) -> Void) -> (inout MetadataBatch) -> Void {
            var record = right
            change(&record)
            return { [record] in $0.put(IndexKey.chunk(name), record.encoded()) }
        }
        try find(.indexCount, .chunk(name), put { $0.count += 1 })
        try find(.indexCount, .chunk(name), put { $0.count -= 1 })
        try find(.indexPlace, .chunk(name), put { $0.places[0].frameOffset += 1 })
        try find(.indexPlace, .chunk(name), put { $0.places[0].frame += 1 })
        try find(.indexPlace, .chunk(name), put { $0.places[0].pack += 1 })
        try find(.indexPlace, .chunk(name), put { $0.places[0].recordOffset += 8 })
        try find(.indexPlace, .chunk(name), put { $0.rawBytes += 1 })
        try find(.indexMissing, .chunk(name)) { $0.delete(IndexKey.chunk(name)) }
        let stranger = ChunkName(w0: 1, w1: 2, w2: 3, w3: 4)
        try find(.indexExtra, .chunk(stranger)) {
            $0.put(IndexKey.chunk(stranger), right.encoded())
        }
        try find(.indexDamaged, .index) { $0.put(IndexKey.chunk(name), [1, 2, 3]) }
    }

    func testAnotherCommitsIndexIsNotCompared() throws {
        let scene = try Scene()
        let store = MemoryMetadataStore()
        let report = try check(scene, store, lastCommit: .zero)
        XCTAssertEqual(report.complaints, [], report.text)
        XCTAssertTrue(report.problems.contains { $0.kind == .indexOther })
        let current = try check(
            scene, try Expected(scene).store(), lastCommit: scene.store.previous)
        XCTAssertEqual(current.complaints, [], current.text)
    }
}
