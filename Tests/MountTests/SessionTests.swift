import FileModel
import Foundation
import Mount
import Synchronization
import XCTest

/// How a mount begins and ends, and what it looks like from outside.
class SessionTests: MountTestCase {
    private func threadNames() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").compactMap {
            try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8)
        }
    }

    func testShowsItsSourceTypeAndOptions() throws {
        let line = try XCTUnwrap(
            Self.mounts().split(separator: "\n").first { $0.contains(volume.path) })
        let fields = line.split(separator: " ").map(String.init)
        XCTAssertEqual(fields[0], "/store,with\\040comma")
        XCTAssertEqual(fields[2], "fuse.ashlar")
        let options = Set(fields[3].split(separator: ",").map(String.init))
        XCTAssertTrue(options.isSuperset(of: ["rw", "default_permissions", "allow_other"]))
        XCTAssertTrue(options.isDisjoint(with: ["nosuid", "nodev"]), "root's mounts are whole")
    }

    func testEndsWhenUnmountedFromOutside() throws {
        try System.writeFile(volume.file("a"), [1, 2, 3])
        XCTAssertEqual(try System.run("/bin/umount", [volume.path]).0, 0)
        XCTAssertEqual(volume.waitForEnd(), .unmounted)
    }

    func testRequestedExitUnmountsAndKeepsWhatWasMapped() throws {
        let path = volume.file("mapped")
        try System.writeFile(path, [UInt8](repeating: 1, count: 8192))
        let inode = try System.status(path).st_ino
        try System.with(path, O_RDWR) { file in
            let map = mmap(nil, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
            XCTAssertNotEqual(map, MAP_FAILED)
            map?.storeBytes(of: 77, toByteOffset: 5000, as: UInt8.self)
            // The mapping keeps the mount busy: it can only be flushed.
            XCTAssertEqual(volume.finish(), .requested)
            munmap(map, 8192)
        }
        var bytes = [UInt8](repeating: 0, count: 8192)
        _ = try bytes.withUnsafeMutableBytes {
            try volume.filesystem.read(UInt64(inode), at: 0, into: $0)
        }
        XCTAssertEqual(bytes[5000], 77)
    }

    /// The last write is often still on its way from the kernel to a worker when the queue is empty.
    func testNoMappedWriteIsLostHoweverOftenMountsEnd() throws {
        for round in 0..<40 {
            let ending = try MountedVolume()
            let path = ending.file("mapped")
            try System.writeFile(path, [UInt8](repeating: 1, count: 8192))
            let inode = try System.status(path).st_ino
            try System.with(path, O_RDWR) { file in
                let map = mmap(nil, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                XCTAssertNotEqual(map, MAP_FAILED)
                map?.storeBytes(of: 77, toByteOffset: 5000, as: UInt8.self)
                XCTAssertEqual(ending.finish(), .requested)
                munmap(map, 8192)
            }
            var bytes = [UInt8](repeating: 0, count: 8192)
            _ = try bytes.withUnsafeMutableBytes {
                try ending.filesystem.read(UInt64(inode), at: 0, into: $0)
            }
            XCTAssertEqual(bytes[5000], 77, "round \(round)")
        }
    }

    func testThreadsEndWithTheSession() throws {
        _ = try System.names(volume.path)
        XCTAssertTrue(try threadNames().contains("ashlar-notify\n"))
        XCTAssertEqual(volume.finish(), .requested)
        // Whoever joins a thread is woken a moment before the kernel takes it off the list.
        try waitUntil { try !threadNames().contains("ashlar-notify\n") }
    }

    func testDirectoryBelowIsNotReachableWhileUsersOfADeadMountRemain() throws {
        let directory = try System.open(volume.path, O_RDONLY | O_DIRECTORY)
        defer { close(directory) }
        XCTAssertEqual(volume.finish(), .requested)
        // They keep the dead mount: ENOTCONN, never the directory below. The kernel takes rings down
        // in its own time, and who asks before that is answered ECONNABORTED: once, for then it is done.
        XCTAssertEqual(openat(directory, "new", O_CREAT | O_WRONLY, 0o644), -1)
        if errno != ECONNABORTED { XCTAssertEqual(errno, ENOTCONN) }
        XCTAssertEqual(openat(directory, "new", O_CREAT | O_WRONLY, 0o644), -1)
        XCTAssertEqual(errno, ENOTCONN)
    }

    func testASecondMountIsRefused() {
        XCTAssertThrowsError(try volume.session.mount()) {
            XCTAssertEqual($0 as? MountError, .alreadyMounted(mountpoint: volume.path))
        }
    }

    func testMountingNowhereSaysWhy() throws {
        let options = MountOptions(source: "x", mountpoint: "/nonexistent/ashlar")
        let session = try MountSession(filesystem: MemoryFilesystem(), options: options)
        XCTAssertThrowsError(try session.mount()) {
            XCTAssertEqual(
                $0 as? MountError,
                .mountFailed(mountpoint: "/nonexistent/ashlar", code: ENOENT))
        }
    }

    func testUnmountLeavesAnotherMountOnTop() throws {
        let upper = MemoryFilesystem()
        upper.plant(Array("upper".utf8))
        let mountpoint = volume.path
        let other = try MountedVolume(upper) { $0.mountpoint = mountpoint }
        defer { other.finish() }
        XCTAssertTrue(try System.names(mountpoint).contains(Array("upper".utf8)))
        try volume.session.unmount()
        XCTAssertTrue(try System.names(mountpoint).contains(Array("upper".utf8)))
        XCTAssertEqual(other.finish(), .requested)
        // Unmounting was answered without effect, so the lower one is still to be taken away.
        System.detach(mountpoint)
        XCTAssertEqual(volume.waitForEnd(), .unmounted)
    }

    func testSignalEndsTheLoop() throws {
        let signalled = try MountedVolume { $0.handlesSignals = true }
        try System.writeFile(signalled.file("a"), [1])
        kill(getpid(), SIGTERM)
        XCTAssertEqual(signalled.waitForEnd(), .signalled(SIGTERM))
        XCTAssertFalse(Self.mounts().contains(signalled.path))
        signalled.finish()
    }

    /// A second signal waits for nothing but what is being served: that is answered.
    func testWhatIsServedIsAnsweredWhenTheLoopEnds() throws {
        let signalled = try MountedVolume { $0.handlesSignals = true }
        let path = signalled.file("a")
        try System.writeFile(path, [1])
        let gate = DispatchSemaphore(value: 0)
        let waiting = DispatchSemaphore(value: 0)
        signalled.filesystem.onSynchronize.withLock {
            $0 = {
                waiting.signal()
                gate.wait()
            }
        }
        let answer = Mutex<Int32?>(nil)
        let isAnswered = DispatchSemaphore(value: 0)
        Thread {
            let file = open(path, O_RDWR | O_CLOEXEC)
            let result = fsync(file) == 0 ? 0 : errno
            close(file)
            answer.withLock { $0 = result }
            isAnswered.signal()
        }.start()
        XCTAssertEqual(waiting.wait(timeout: .now() + 30), .success)
        kill(getpid(), SIGTERM)
        usleep(50_000)
        kill(getpid(), SIGTERM)
        usleep(100_000)
        gate.signal()
        XCTAssertEqual(isAnswered.wait(timeout: .now() + 30), .success)
        XCTAssertEqual(answer.withLock { $0 }, 0)
        XCTAssertEqual(signalled.finish(), .signalled(SIGTERM))
    }

    func testReadOnlyMountAndRemount() throws {
        let readOnly = try MountedVolume(MemoryFilesystem(isReadOnly: true))
        defer { readOnly.finish() }
        assertFails(EROFS) { try System.writeFile(readOnly.file("a"), [1]) }
        try System.writeFile(volume.file("a"), [1])
        try MountSession.remount(at: volume.path, flags: .readOnly)
        assertFails(EROFS) { try System.writeFile(self.volume.file("b"), [1]) }
        try MountSession.remount(at: volume.path, flags: [])
        try System.writeFile(volume.file("b"), [1])
    }

    func testDirsyncMakesNamesDurable() throws {
        let synchronous = try MountedVolume { $0.flags = .directorySynchronous }
        defer { synchronous.finish() }
        try System.check(mkdir(synchronous.file("d"), 0o755))
        try System.check(rmdir(synchronous.file("d")))
        XCTAssertEqual(synchronous.filesystem.fullSynchronizations.load(ordering: .relaxed), 2)
    }

    func testWritebackCacheKeepsContent() throws {
        let writeback = try MountedVolume { $0.writebackCache = true }
        defer { writeback.finish() }
        let path = writeback.file("a")
        try System.with(path, O_WRONLY | O_CREAT | O_APPEND) { file in
            for value in 0..<200 { try System.write(file, [UInt8(value)]) }
            try System.check(fsync(file))
        }
        let inode = UInt64(try System.status(path).st_ino)
        XCTAssertEqual(try writeback.filesystem.attributes(of: inode).size, 200)
        XCTAssertEqual(try System.readFile(path), (0..<200).map { UInt8($0) })
        XCTAssertLessThan(writeback.session.count(of: .write), 10)
    }
}
