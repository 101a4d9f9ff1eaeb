import Backends
import Console
import Control
import FileModel
import Foundation
import Mount
import Platform
import XCTest

@testable import ashlar

/// The life of a mount, in the foreground and on threads of this process, with the built
/// `ashlar umount` at its end.
final class MountProgramTests: DirectoryTestCase {
    /// A store that counts what is done to it; every volume is the same tiny one.
    private final class Store: MountableStore, @unchecked Sendable {
        final class Served: ServedFilesystem, @unchecked Sendable {
            let filesystem: any FilesystemOperations = TinyFilesystem()
            let volumeName: String
            let released = ConditionMutex(0)
            private(set) var isAttached = false

            init(_ name: String) { volumeName = name }
            func attach(_ notifier: any KernelNotifier) { isAttached = true }
            func release() throws { released.withLock { $0 += 1 } }
        }

        let served = ConditionMutex<[Served]>([])
        let finished = ConditionMutex(0)
        var finishSeconds = 0.0
        let commits = ConditionMutex(0)

        func serve(_ request: MountRequest) throws -> any ServedFilesystem {
            guard request.settings.volume != "none" else {
                throw CommandFailure(.notFound, "the store has no volume none")
            }
            let one = Served(request.settings.volume)
            served.withLock { $0.append(one) }
            return one
        }

        var handlers: [String: ControlHandler] {
            let commits = commits
            return [
                "commit": { _ throws(ControlError) in
                    commits.withLock { $0 += 1 }
                    return .object([:])
                }
            ]
        }

        func finish() throws {
            Thread.sleep(forTimeInterval: finishSeconds)
            finished.withLock { $0 += 1 }
        }
    }

    /// A mount on a thread; its exit code when it ends.
    private final class Running: @unchecked Sendable {
        let store = Store()
        let code = ConditionMutex<Int32?>(nil)
        let errors = Pipe()

        func start(_ request: MountRequest) {
            let output = Output(
                program: "mount.ashlar",
                standardError: errors.fileHandleForWriting.fileDescriptor)
            Thread { [self] in
                let program = MountProgram(output: output) { _, _ in self.store }
                var result: Int32 = -1
                do {
                    result = try program.run(request)
                } catch {
                    output.message("\(error)")
                }
                code.withLock { $0 = result }
                code.broadcast()
            }.start()
        }

        func end(seconds: UInt64 = 15) -> Int32? {
            code.wait(
                deadlineNanoseconds: monotonicNanoseconds() + seconds * 1_000_000_000,
                until: { $0 != nil }, then: { code, _ in code })
        }
    }

    private var storePath = ""
    private var mountpoint = ""
    private var running: Running?

    override func setUpWithError() throws {
        try super.setUpWithError()
        storePath = try makeDirectory("store")
        mountpoint = try makeDirectory("mount point")
    }

    override func tearDown() {
        if let running, running.code.withLock({ $0 == nil }) {
            umount2(mountpoint, Int32(MNT_DETACH))
            XCTAssertNotNil(running.end(), "the mount did not end")
        }
        super.tearDown()
    }

    private func request(
        _ options: String = "", on other: String? = nil, isForeground: Bool = true
    ) throws -> MountRequest {
        MountRequest(
            address: try StoreAddress(storePath), mountpoint: other ?? mountpoint,
            settings: try MountSettings(parsing: [options]), options: [options],
            isForeground: isForeground)
    }

    @discardableResult
    private func mount(_ options: String = "", finishSeconds: Double = 0) throws -> Running {
        guard FileManager.default.fileExists(atPath: "/dev/fuse"), geteuid() == 0 else {
            throw XCTSkip("no /dev/fuse on this machine, or not root: the mount is not tested")
        }
        let mount = Running()
        mount.store.finishSeconds = finishSeconds
        running = mount
        mount.start(try request(options))
        let client = ControlClient(storePath: storePath)
        for _ in 0..<500 {
            if mount.code.withLock({ $0 != nil }) { break }
            if (try? client.isAnswered()) == true, isMounted { return mount }
            Thread.sleep(forTimeInterval: 0.02)
        }
        throw XCTSkip("this machine does not let us mount")
    }

    private var isMounted: Bool {
        (try? MountTable.current().mount(at: mountpoint)) != nil
    }

    func testMountServeAndUnmount() throws {
        let mount = try mount("noatime")
        XCTAssertEqual(
            try Data(contentsOf: URL(fileURLWithPath: mountpoint + "/file")),
            Data(TinyFilesystem.text))
        let volume = try XCTUnwrap(try MountTable.current().mount(at: mountpoint))
        XCTAssertEqual(volume.source, storePath)
        XCTAssertTrue(volume.options.contains("noatime"))
        let served = try XCTUnwrap(mount.store.served.withLock { $0.first })
        XCTAssertTrue(served.isAttached)

        let ended = try BuiltProgram.ashlar(["umount", mountpoint])
        XCTAssertEqual(ended.code, 0, ended.errors)
        XCTAssertEqual(mount.end(), 0)
        XCTAssertEqual(served.released.withLock { $0 }, 1)
        XCTAssertEqual(mount.store.finished.withLock { $0 }, 1)
        XCTAssertFalse(isMounted)
        XCTAssertFalse(FileManager.default.fileExists(atPath: storePath + "/control"))
        XCTAssertNil(try StoreLock.exclusiveHolder(storePath: storePath))
    }

    /// `umount` by itself returns while the daemon still writes; ours does not.
    func testUnmountWaitsForTheStore() throws {
        let mount = try mount(finishSeconds: 1)
        let ended = try BuiltProgram.ashlar(
            [storePath], as: "umount.ashlar", linkedIn: directory)
        XCTAssertEqual(ended.code, 0, ended.errors)
        XCTAssertEqual(mount.store.finished.withLock { $0 }, 1, "the store was not finished yet")
    }

    func testUnmountOfABusyMountIsRefused() throws {
        try mount()
        let file = open(mountpoint + "/file", O_RDONLY)
        defer { close(file) }
        let refused = try BuiltProgram.ashlar(["umount", mountpoint])
        XCTAssertEqual(refused.code, 32)
        XCTAssertTrue(refused.errors.contains("is in use"), refused.errors)
        XCTAssertTrue(isMounted)
    }

    func testUnmountTimesOutAndSaysSo() throws {
        let mount = try mount(finishSeconds: 4)
        let ended = try BuiltProgram.ashlar(["umount", "--timeout", "1", mountpoint])
        XCTAssertEqual(ended.code, 32)
        XCTAssertTrue(ended.errors.contains("still being written"), ended.errors)
        XCTAssertEqual(mount.end(), 0)
    }

    /// In the foreground a process has the store for itself or not at all.
    func testASecondMountInTheForegroundNamesTheFirst() throws {
        try mount()
        let program = MountProgram(output: Output(program: "x")) { _, _ in
            XCTFail("opened twice")
            return Store()
        }
        let sameStore = MountRequest(
            address: try StoreAddress(storePath), mountpoint: try makeDirectory("other"),
            settings: MountSettings(), isForeground: true)
        let refusal = failure { _ = try program.run(sameStore) }
        XCTAssertEqual(refusal?.kind, .busy)
        XCTAssertTrue(refusal?.message.contains("pid \(getpid())") ?? false, "\(refusal as Any)")
        XCTAssertEqual(
            failure { _ = try program.run(try request()) }?.kind, .busy,
            "the mountpoint is taken")
    }

    func testOneDaemonServesSeveralVolumesAndEndsWithTheLast() throws {
        let mount = try mount()
        let other = try makeDirectory("other")
        let program = MountProgram(output: Output(program: "x")) { _, _ in
            XCTFail("opened twice")
            return Store()
        }
        XCTAssertEqual(
            try program.run(try request("volume=two", on: other, isForeground: false)), 0)
        defer { umount2(other, Int32(MNT_DETACH)) }
        XCTAssertEqual(
            try Data(contentsOf: URL(fileURLWithPath: other + "/file")),
            Data(TinyFilesystem.text))
        XCTAssertEqual(mount.store.served.withLock { $0.map(\.volumeName) }, ["main", "two"])
        let third = try makeDirectory("third")
        let refusal = failure {
            _ = try program.run(try request("volume=none", on: third, isForeground: false))
        }
        XCTAssertEqual(refusal?.kind, .notFound)
        XCTAssertEqual(refusal?.message, "the store has no volume none")

        let ended = try BuiltProgram.ashlar(["umount", mountpoint])
        XCTAssertEqual(ended.code, 0, ended.errors)
        let served = mount.store.served.withLock { $0 }
        XCTAssertEqual(served[0].released.withLock { $0 }, 1)
        XCTAssertEqual(served[1].released.withLock { $0 }, 0)
        XCTAssertNil(mount.code.withLock { $0 }, "the daemon goes on")
        let last = try BuiltProgram.ashlar(["umount", other])
        XCTAssertEqual(last.code, 0, last.errors)
        XCTAssertEqual(mount.end(), 0)
        XCTAssertEqual(served[1].released.withLock { $0 }, 1)
        XCTAssertEqual(mount.store.finished.withLock { $0 }, 1)
    }

    func testControlSocketOfAMount() throws {
        let mount = try mount("ro")
        let client = try ControlClient(mountpoint: mountpoint)
        XCTAssertEqual(try client.call("ping")["process"]?.integer, Int64(getpid()))
        guard case .list(let mounts) = try client.call("status")["mounts"] else {
            return XCTFail("no mounts")
        }
        XCTAssertEqual(mounts.count, 1)
        XCTAssertEqual(mounts.first?["mountpoint"]?.text, mountpoint)
        XCTAssertEqual(mounts.first?["read_only"]?.flag, true)
        _ = try client.call("commit")
        XCTAssertEqual(mount.store.commits.withLock { $0 }, 1)
        XCTAssertThrowsError(try client.call("umount", ["mountpoint": .text("/nowhere")]))
        XCTAssertTrue(isMounted)
        _ = try client.call("umount")
        XCTAssertEqual(mount.end(), 0)
        XCTAssertFalse(isMounted)
    }

    func testRemount() throws {
        try mount()
        let program = MountProgram(output: Output(program: "x")) { _, _ in Store() }
        XCTAssertEqual(try program.run(try request("remount,ro,noexec")), 0)
        let volume = try XCTUnwrap(try MountTable.current().mount(at: mountpoint))
        XCTAssertTrue(volume.options.contains("ro") && volume.options.contains("noexec"))
        XCTAssertEqual(try program.run(try request("remount,rw")), 0)
    }

    func testFakeMountsNothingAndLocksNothing() throws {
        var fake = try request()
        fake.isFake = true
        let program = MountProgram(output: Output(program: "x")) { _, _ in
            XCTFail("opened")
            return Store()
        }
        XCTAssertEqual(try program.run(fake), 0)
        XCTAssertFalse(FileManager.default.fileExists(atPath: storePath + "/lock"))
    }

    func testAStoreThatDoesNotOpenIsReportedAndReleased() throws {
        let errors = Pipe()
        let output = Output(
            program: "mount.ashlar", standardError: errors.fileHandleForWriting.fileDescriptor)
        let program = MountProgram(output: output) { _, _ in
            throw CommandFailure(.notAStore, "no store here")
        }
        XCTAssertEqual(try program.run(try request()), 32)
        XCTAssertNil(try StoreLock.exclusiveHolder(storePath: storePath))
    }

    // MARK: as users see it

    func testUnmountOfNothing() throws {
        let none = try BuiltProgram.ashlar(["umount", mountpoint])
        XCTAssertEqual(none.code, 32)
        XCTAssertEqual(
            none.errors, "ashlar: \(mountpoint): no volume of Ashlar is mounted there\n")
        let usage = try BuiltProgram.ashlar([], as: "umount.ashlar", linkedIn: directory)
        XCTAssertEqual(usage.code, 1)
        let bad = try BuiltProgram.ashlar(["-Q"], as: "umount.ashlar", linkedIn: directory)
        XCTAssertEqual(bad.code, 1)
    }
}
