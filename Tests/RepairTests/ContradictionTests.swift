import Backends
import Checking
import DiskFormat
import NamespaceIndex
import Pipeline
import Repair
import XCTest

/// Volumes that contradict themselves, as a faulty writer would leave them.
final class ContradictionTests: XCTestCase {
    private func makeStore(_ random: inout SeededGenerator) throws -> TestStore {
        let store = try TestStore()
        try store.use { volume in
            try volume.mkdir("d")
            try volume.mkdir("e")
            for number in 0..<4 { try volume.put("d/\(number)", random.bytes(3000)) }
            try volume.put("e/twice", random.bytes(3000))
            try volume.hardLink("e/twice", to: "d/twice")
        }
        return store
    }

    /// Commits what no volume would.
    private func commit(
        _ store: TestStore, _ change: (Volume, inout VolumeChanges) throws -> Void
    ) throws {
        let chunks = try ChunkStore.open(
            store.backend, index: store.index, options: TestStore.options)
        let (number, record) = try XCTUnwrap(try chunks.volumes().first)
        var changes = VolumeChanges(
            volumeID: record.volumeID, volumeName: record.name, epoch: 0, sequence: 0,
            nextInode: record.nextInode)
        try change(Volume(store: chunks, number: number), &changes)
        _ = try chunks.commit(
            CommitDraft(volumes: [changes], time: DiskTime(seconds: 1, nanoseconds: 0)))
        try chunks.close()
    }

    private struct Volume {
        let store: ChunkStore
        let number: UInt32

        func image(_ path: String) throws -> InodeImage {
            var image = try stored(1)
            for part in path.split(separator: "/") {
                var inode: UInt64?
                try store.index.scan(prefix: NamespaceKey.names(number, parent: image.inode)) {
                    _, value in
                    if case .entry(let name, let found, _)? = try? NameRecord(value),
                        name == Array(part.utf8)
                    {
                        inode = found
                    }
                    return inode == nil
                }
                image = try stored(try XCTUnwrap(inode, path))
            }
            return image
        }

        private func stored(_ inode: UInt64) throws -> InodeImage {
            let bytes = try XCTUnwrap(try store.index.get(NamespaceKey.inode(number, inode)))
            return try bytes.withUnsafeBytes { try InodeRecord($0).image }
        }
    }

    private func repair(
        _ store: TestStore, finding kinds: Set<Problem.Kind>, line: UInt = #line
    ) throws -> RepairReport {
        let found = Set(try store.check().problems.map(\.kind))
        XCTAssertTrue(found.isSuperset(of: kinds), "\(found)", line: line)
        let report = try StoreRepair.repair(store.target)
        XCTAssertEqual(report.after.complaints, "", line: line)
        XCTAssertTrue(report.actions.map(\.kind).contains(.treesWritten), line: line)
        XCTAssertEqual(try StoreRepair.repair(store.target).actions, [], line: line)
        _ = try StoreRepair.rebuild(store.target)
        assertClean(try store.check(), line: line)
        return report
    }

    func testLinkCountsAndParentsArePutRight() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        try commit(store) { volume, changes in
            var image = try volume.image("d/0")
            image.linkCount = 5
            changes.inodes.append(.put(image))
            image = try volume.image("d/1")
            image.parent = try volume.image("e").inode
            changes.inodes.append(.put(image))
            image = try volume.image("e/twice")
            image.linkCount = 7
            changes.inodes.append(.put(image))
        }
        _ = try repair(store, finding: [.linkCountWrong, .parentWrong])
        XCTAssertEqual(try store.files(), files)
    }

    func testSizesArePutRight() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        try commit(store) { volume, changes in
            var image = try volume.image("d/2")
            image.size += 100
            changes.inodes.append(.put(image))
        }
        // A checkpoint takes it for granted.
        try store.use { try $0.put("other", [1]) }
        _ = try repair(store, finding: [.sizeWrong])
        let after = try store.files()
        assertNothingLost(files, after)
        XCTAssertEqual(after["/d/2"]?.bytes?.count, 3000)
    }

    func testNamesOfNothingGoAndInodesWithoutNamesAreFound() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        var nameless: UInt64 = 0
        try commit(store) { volume, changes in
            changes.names.append(
                NameChange(
                    parent: try volume.image("d").inode, name: Array("nothing".utf8), collision: 0,
                    target: .init(inode: 5_000_000, kind: 8)))
            let image = try volume.image("d/3")
            nameless = image.inode
            changes.inodes.append(.put(image))
            changes.names.append(
                NameChange(
                    parent: try volume.image("d").inode, name: Array("3".utf8), collision: 0,
                    target: nil))
        }
        let report = try repair(store, finding: [.nameDangling, .inodeUnreachable])
        XCTAssertEqual(
            report.actions.first { $0.kind == .namesDropped }?.paths.map(\.text), ["/d/nothing"])
        let after = try store.files()
        XCTAssertEqual(after["/lost+found/#\(nameless)"], files["/d/3"])
        assertNothingLost(files, after, except: ["/d/3"])
        XCTAssertEqual(
            report.actions.first { $0.kind == .entriesRecovered }?.paths.map(\.text),
            ["/lost+found/#\(nameless)"])
        // What is found later goes to the same place.
        try commit(store) { volume, changes in
            changes.inodes.append(.put(try volume.image("d/2")))
            changes.names.append(
                NameChange(
                    parent: try volume.image("d").inode, name: Array("2".utf8), collision: 0,
                    target: nil))
        }
        _ = try repair(store, finding: [.inodeUnreachable])
        XCTAssertEqual(try store.files().keys.filter { $0.hasPrefix("/lost+found/") }.count, 2)
    }

    func testDirectoriesInACircleAreFound() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        try commit(store) { volume, changes in
            let d = try volume.image("d")
            let e = try volume.image("e")
            for image in [d, e] {
                var moved = image
                moved.parent = image == d ? e.inode : d.inode
                changes.inodes.append(.put(moved))
            }
            for (name, parent, inode) in [
                ("d", UInt64(1), UInt64?.none), ("e", 1, nil), ("e", d.inode, e.inode),
                ("d", e.inode, d.inode),
            ] {
                changes.names.append(
                    NameChange(
                        parent: parent, name: Array(name.utf8), collision: 0,
                        target: inode.map { .init(inode: $0, kind: 4) }))
            }
        }
        _ = try repair(store, finding: [])
        let bytes = Set(try store.files().values.compactMap(\.bytes))
        for file in files.values { if let old = file.bytes { XCTAssertTrue(bytes.contains(old)) } }
    }
}
