import Backends
import Foundation
import Platform
import XCTest

/// What is the directory backend's own: modes, order of system calls, their errors, foreign files.
final class DirectoryBackendTests: XCTestCase {
    private func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    func testModesAndCreation() throws {
        let temporary = try TemporaryDirectory()
        let path = temporary.path + "/store"
        assertThrows(.noSuchFile(name: path)) { try DirectoryBackend(path: path) }
        let backend = try DirectoryBackend(path: path, create: true)
        _ = try DirectoryBackend(path: path, create: true)
        _ = try backend.createFile("packs/one")
        try backend.writeWhole("whole", [1])
        XCTAssertEqual(try mode(path), 0o700)
        XCTAssertEqual(try mode(path + "/packs"), 0o700)
        XCTAssertEqual(try mode(path + "/packs/one"), 0o600)
        XCTAssertEqual(try mode(path + "/whole"), 0o600)
        let file = path + "/whole"
        XCTAssertEqual(
            systemCode { try DirectoryBackend(path: file) }, Errno.notDirectory.rawValue)
    }

    func testReadOnly() throws {
        let temporary = try TemporaryDirectory()
        try DirectoryBackend(path: temporary.path).writeWhole("f", [1])
        let plan = FaultPlan<SystemCall>()
        let backend = try DirectoryBackend(
            path: temporary.path, isReadOnly: true,
            systemCalls: FaultInjectingSystemCalls(plan: plan))
        XCTAssertEqual(try backend.readWhole("f", limitBytes: 1), [1])
        assertThrows(.readOnly(name: "g/h")) { try backend.createFile("g/h") }
        assertThrows(.readOnly(name: "f")) { try backend.openFile("f", writable: true) }
        assertThrows(.readOnly(name: "f")) { try backend.removeFile("f") }
        assertThrows(.readOnly(name: "f")) { try backend.renameFile("f", to: "g") }
        assertThrows(.readOnly(name: "f")) { try backend.writeWhole("f", []) }
        try backend.synchronizeNames()
        for call in [SystemCall.mkdirat, .unlinkat, .renameat, .pwritev, .fsync, .ftruncate] {
            XCTAssertEqual(plan.callCount(call), 0)
        }
    }

    func testStoreMayMoveAndWorkingDirectoryChange() throws {
        let temporary = try TemporaryDirectory()
        let old = temporary.path + "/old"
        let backend = try DirectoryBackend(path: old, create: true)
        try FileManager.default.moveItem(atPath: old, toPath: temporary.path + "/new")
        try backend.writeWhole("d/f", [1])
        XCTAssertEqual(try mode(temporary.path + "/new/d/f"), 0o600)
    }

    func testForeignThingsAreNotFiles() throws {
        let temporary = try TemporaryDirectory()
        let backend = try DirectoryBackend(path: temporary.path)
        try backend.writeWhole("real", [1])
        try FileManager.default.createSymbolicLink(
            atPath: temporary.path + "/link", withDestinationPath: "real")
        XCTAssertEqual(mkfifo(temporary.path + "/fifo", 0o600), 0)
        try FileManager.default.createDirectory(
            atPath: temporary.path + "/folder", withIntermediateDirectories: false)
        for foreign in [".ashlar-tmp.real", "with space", "folder/ä"] {
            try Data([1]).write(to: URL(fileURLWithPath: temporary.path + "/" + foreign))
        }
        XCTAssertEqual(try backend.list(prefix: "").map { $0.name }, ["real"])
        XCTAssertNotNil(systemCode { try backend.openFile("link", writable: true) })
        // Must not wait for somebody at the other end.
        XCTAssertNotNil(systemCode { try backend.openFile("fifo", writable: false) })
        assertThrows(.noSuchFile(name: "folder")) {
            try backend.openFile("folder", writable: false)
        }
    }

    // MARK: durability, by the order of system calls

    func testWholeFileIsWrittenInTheSafeOrder() throws {
        let temporary = try TemporaryDirectory()
        let trace = TracingSystemCalls()
        let backend = try DirectoryBackend(path: temporary.path, systemCalls: trace)
        trace.clear()
        try backend.writeWhole("d/f", [1])
        XCTAssertEqual(
            trace.changes,
            [
                "mkdirat d", "create d/.ashlar-tmp.f", "pwritev d/.ashlar-tmp.f",
                "fdatasync d/.ashlar-tmp.f", "renameat d/.ashlar-tmp.f d/f", "fsync .", "fsync d",
            ])
        trace.clear()
        try backend.writeWhole("d/f", [2])
        XCTAssertEqual(trace.changes.last, "fsync d")
        XCTAssertFalse(trace.changes.contains("fsync ."), "the folder's name is durable already")
    }

    func testNamesOfNewFoldersAreSynchronised() throws {
        let temporary = try TemporaryDirectory()
        let trace = TracingSystemCalls()
        let backend = try DirectoryBackend(path: temporary.path, systemCalls: trace)
        _ = try backend.createFile("a/b/c")
        trace.clear()
        try backend.synchronizeNames()
        XCTAssertEqual(trace.changes, ["fsync .", "fsync a", "fsync a/b"])
        trace.clear()
        try backend.synchronizeNames()
        XCTAssertEqual(trace.changes, [])
        _ = try backend.createFile("a/b/d")
        try backend.renameFile("a/b/d", to: "e/d")
        try backend.removeFile("a/b/c")
        trace.clear()
        try backend.synchronizeNames()
        XCTAssertEqual(trace.changes, ["fsync .", "fsync a/b", "fsync e"])
    }

    func testWhatAnEarlierProcessMadeIsSynchronisedToo() throws {
        let temporary = try TemporaryDirectory()
        _ = try DirectoryBackend(path: temporary.path).createFile("a/b")
        let trace = TracingSystemCalls()
        let backend = try DirectoryBackend(path: temporary.path, systemCalls: trace)
        _ = try backend.openFile("a/b", writable: false)
        trace.clear()
        try backend.synchronizeNames()
        XCTAssertEqual(trace.changes, ["fsync .", "fsync a"])
    }

    // MARK: faults

    private func faulty(
        _ faults: Fault<SystemCall>...,
        body: (DirectoryBackend, FaultPlan<SystemCall>) throws -> Void
    ) throws {
        let temporary = try TemporaryDirectory()
        let plan = FaultPlan<SystemCall>()
        let backend = try DirectoryBackend(
            path: temporary.path, systemCalls: FaultInjectingSystemCalls(plan: plan))
        for fault in faults { plan.add(fault) }
        try body(backend, plan)
    }

    func testFailedSynchronisationPoisonsTheHandle() throws {
        try faulty(Fault([.fdatasync], firstCall: 2)) { backend, plan in
            let file = try backend.createFile("f")
            try file.write([1], at: 0)
            try file.synchronize()
            XCTAssertEqual(systemCode { try file.synchronize() }, Errno.ioError.rawValue)
            assertThrows(.poisoned(name: "f")) { try file.synchronize() }
            assertThrows(.poisoned(name: "f")) { try file.write([1], at: 0) }
            assertThrows(.poisoned(name: "f")) { try file.truncate(to: 0) }
            assertThrows(.poisoned(name: "f")) { try file.punchHole(0..<1) }
            assertThrows(.poisoned(name: "f")) { try file.preallocate(0..<1) }
            XCTAssertEqual(try file.readAll(), [1])
            XCTAssertEqual(plan.callCount(.fdatasync), 2)
            try backend.createFile("g").synchronize()
        }
    }

    func testFailedFolderSynchronisationPoisonsTheNames() throws {
        try faulty(Fault([.fsync])) { backend, _ in
            _ = try backend.createFile("d/f")
            XCTAssertEqual(systemCode { try backend.synchronizeNames() }, Errno.ioError.rawValue)
            assertThrows(.poisoned(name: ".")) { try backend.synchronizeNames() }
            assertThrows(.poisoned(name: ".")) { try backend.writeWhole("g", [1]) }
        }
    }

    func testFolderThatCannotBeOpenedStaysOnTheList() throws {
        let fault = Fault<SystemCall>(
            [.open], nameContains: "d", firstCall: 2, error: .tooManyOpenFiles)
        try faulty(fault) { backend, plan in
            _ = try backend.createFile("d/f")
            XCTAssertEqual(
                systemCode { try backend.synchronizeNames() }, Errno.tooManyOpenFiles.rawValue)
            let before = plan.callCount(.fsync)
            try backend.synchronizeNames()
            XCTAssertEqual(plan.callCount(.fsync), before + 1)
        }
    }

    func testShortTransfersAreCompleted() throws {
        try faulty(
            Fault([.pwritev, .pread], isLasting: true, effect: .short(bytes: 3))
        ) { backend, plan in
            let file = try backend.createFile("f")
            let a = [UInt8](1...7)
            let b = [UInt8](8...20)
            try a.withUnsafeBytes { a in
                try b.withUnsafeBytes { b in try file.write([a, b], at: 5) }
            }
            XCTAssertEqual(try file.read(at: 5, count: 100), a + b)
            XCTAssertEqual(plan.callCount(.pwritev), 7)
        }
    }

    func testAWriteThatWritesNothingEnds() throws {
        try faulty(Fault([.pwritev], isLasting: true, effect: .short(bytes: 0))) { backend, _ in
            let file = try backend.createFile("f")
            XCTAssertEqual(systemCode { try file.write([1], at: 0) }, Errno.ioError.rawValue)
        }
    }

    func testErrorsAreTranslated() throws {
        try faulty(
            Fault([.pwritev], error: .noSpace, effect: .partial(bytes: 1)),
            Fault([.pwritev], firstCall: 2, error: .diskQuotaExceeded),
            Fault([.fallocate], error: .notSupportedOnSocket),
            Fault([.fallocate], firstCall: 2, error: .noSpace)
        ) { backend, _ in
            let file = try backend.createFile("f")
            assertThrows(.noSpace(name: "f")) { try file.write([1, 2], at: 0) }
            XCTAssertEqual(try file.size(), 1, "partly written")
            assertThrows(.noSpace(name: "f")) { try file.write([1], at: 0) }
            XCTAssertFalse(try file.punchHole(0..<4096))
            assertThrows(.noSpace(name: "f")) { try file.preallocate(0..<4096) }
        }
    }

    /// Whichever call fails, the file is the old or the new one, and no temporary is shown.
    func testWholeFileIsOldOrNewWhateverFails() throws {
        var call = 1
        var isDone = false
        while !isDone {
            let temporary = try TemporaryDirectory()
            try DirectoryBackend(path: temporary.path).writeWhole("f", [1])
            let plan = FaultPlan<SystemCall>()
            let backend = try DirectoryBackend(
                path: temporary.path, systemCalls: FaultInjectingSystemCalls(plan: plan))
            plan.add(Fault(firstCall: call, isLasting: true))
            let isWritten = (try? backend.writeWhole("f", [2])) != nil
            isDone = plan.struckCount == 0
            let after = try DirectoryBackend(path: temporary.path).contents()
            XCTAssertTrue(after == ["f": [1]] || after == ["f": [2]], "call \(call): \(after)")
            if isWritten { XCTAssertEqual(after, ["f": [2]]) }
            if isDone { XCTAssertTrue(isWritten) }
            call += 1
        }
        XCTAssertGreaterThan(call, 6)
    }
}
