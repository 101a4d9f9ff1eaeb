// What a newer program has written: refused, or read as far as it allows, and never cut or deleted.
import Backends
import DiskFormat
import Packs
import Pipeline
import Platform
import Volume
import XCTest

final class FutureImageTests: XCTestCase {
    private func open(
        _ backend: any Backend, isReadOnly: Bool = false, _ events: EventList = EventList()
    ) throws -> ChunkStore {
        var options = StoreOptions()
        options.isReadOnly = isReadOnly
        options.workerCount = 1
        options.memoryBytes = 16 << 20
        options.onEvent = { events.add("\($0)") }
        return try ChunkStore.open(backend, index: MemoryIndexProvider(), options: options)
    }

    private final class EventList: Sendable {
        private let list = ConditionMutex<[String]>([])
        var text: String { list.withLock { $0.joined(separator: "\n") } }
        func add(_ event: String) { list.withLock { $0.append(event) } }
    }

    /// Neither opened nor changed, for reading or for writing.
    func testNewerStoresAreRefused() throws {
        let expected: [(GoldenImage, FormatError)] = [
            (.futureVersion, .newerVersion(2)), (.futureIncompatible, .unknownFeatures(1 << 44)),
            (.futureUpgraded, .newerVersion(2)),
        ]
        for (image, error) in expected {
            let backend = try ImageFiles.backend(image)
            for isReadOnly in [false, true] {
                XCTAssertThrowsError(try open(backend, isReadOnly: isReadOnly)) {
                    guard case StoreError.pack(.format(let found, _, _)) = $0 else {
                        return XCTFail("\(image.rawValue): \($0)")
                    }
                    XCTAssertEqual(found, error, image.rawValue)
                }
            }
            XCTAssertEqual(try ImageFiles.files(backend), try ImageFiles.load(image))
        }
    }

    /// What is intact and not understood may have been durable: it is no torn tail.
    func testNothingIsCutBehindWhatIsNotUnderstood() throws {
        for image in [GoldenImage.futureRecord, .futureSection] {
            let backend = try ImageFiles.backend(image)
            let events = EventList()
            let store = try open(backend, events)
            XCTAssertTrue(store.isReadOnly, image.rawValue)
            XCTAssertTrue(
                events.text.contains("valid records lie behind damage"),
                "\(image.rawValue): \(events.text)")
            let live = try LiveStore(store, options: VolumeOptions())
            let volume = try XCTUnwrap(live.volume(named: "main"))
            assertRows(
                try volume.rows(), GoldenImage.futureRows.filter { $0.path != "/later" },
                image.rawValue)
            try live.close()
            XCTAssertEqual(try ImageFiles.files(backend), try ImageFiles.load(image))
        }
    }

    func testReadOnlyFeaturesForbidWritingOnly() throws {
        let backend = try ImageFiles.backend(.futureReadOnly)
        let events = EventList()
        let live = try LiveStore(try open(backend, events), options: VolumeOptions())
        XCTAssertTrue(live.store.isReadOnly)
        XCTAssertTrue(
            events.text.contains("features that this program may only read"), events.text)
        let volume = try XCTUnwrap(live.volume(named: "main"))
        XCTAssertTrue(volume.isReadOnly)
        assertRows(try volume.rows(), GoldenImage.futureRows, "read-only features")
        try live.close()
        XCTAssertEqual(try ImageFiles.files(backend), try ImageFiles.load(.futureReadOnly))
    }

    /// New packs say that the store has the features that it has, also those nobody knows here.
    func testUnknownCompatibleFeaturesAreKept() throws {
        let backend = try ImageFiles.backend(.futureOptional)
        let live = try LiveStore(try open(backend), options: VolumeOptions())
        let volume = try XCTUnwrap(live.volume(named: "main"))
        _ = try Array("new".utf8).withUnsafeBytes {
            try volume.makeNode(
                $0, in: RootImage.rootInode, mode: 0o100644, deviceMajor: 0, deviceMinor: 0,
                caller: .init(user: 0, group: 0))
        }
        try live.close()
        let old = Set(try ImageFiles.load(.futureOptional).keys)
        let new = try ImageFiles.files(backend).filter { !old.contains($0.key) }
        XCTAssertFalse(new.isEmpty)
        for (name, bytes) in new {
            let header = try bytes.withUnsafeBytes { try PackHeader($0) }
            XCTAssertEqual(header.parameters.features.compatible, 1 << 37, name)
        }
    }
}
