import ArgumentParser
import Console
import Mount
import Platform
import XCTest

@testable import ashlar

/// `-o`, and the two command lines that have it.
final class MountSettingsTests: DirectoryTestCase {
    private func settings(_ lists: String...) throws -> MountSettings {
        try MountSettings(parsing: lists)
    }

    func testDefaults() throws {
        XCTAssertEqual(try settings(), MountSettings())
        XCTAssertEqual(
            try settings("defaults,auto,noauto,user,nofail,_netdev,x-systemd.automount,comment=a"),
            MountSettings())
        XCTAssertEqual(try settings(",,"), MountSettings())
        let quoted = #"x-systemd.requires="a.mount,b.mount",ro"#
        XCTAssertEqual(try settings(quoted).flags, .readOnly)
    }

    func testFlags() throws {
        XCTAssertEqual(
            try settings("ro,nosuid,nodev,noexec,sync,dirsync,nodiratime,lazytime").flags,
            [
                .readOnly, .noSetuid, .noDevices, .noExecution, .synchronous,
                .directorySynchronous, .noDirectoryAccessTime, .lazyTime,
            ])
        XCTAssertEqual(try settings("ro,nosuid,nodev,noexec,sync", "defaults").flags, [])
        XCTAssertEqual(try settings("ro", "rw").flags, [])
        XCTAssertEqual(try settings("nosuid,suid,nodev,dev,noexec,exec").flags, [])
    }

    /// Of the ways to keep access times, one.
    func testTheLastAccessTimeCounts() throws {
        XCTAssertEqual(try settings("noatime,relatime").flags, .relativeAccessTime)
        XCTAssertEqual(try settings("relatime,strictatime").flags, .strictAccessTime)
        XCTAssertEqual(try settings("strictatime,noatime").flags, .noAccessTime)
        XCTAssertEqual(try settings("noatime,atime").flags, [])
    }

    func testValues() throws {
        let made = try settings(
            "memory=1G,commit=30,volume=other,threads=4,noacl,allow_other,"
                + "default_permissions,remount")
        XCTAssertEqual(made.memoryBytes, 1 << 30)
        XCTAssertEqual(made.commitSeconds, 30)
        XCTAssertEqual(made.volume, "other")
        XCTAssertEqual(made.threads, 4)
        XCTAssertFalse(made.hasAccessLists)
        XCTAssertEqual(made.rings, .whereOffered)
        XCTAssertEqual(try settings("noio_uring,io_uring").rings, .askedFor)
        XCTAssertEqual(try settings("io_uring,noio_uring").rings, .never)
        XCTAssertEqual(made.allowsOthers, true)
        XCTAssertTrue(made.isRemount)
    }

    func testRefusals() {
        for option in [
            "bogus", "memory", "memory=", "memory=1M", "memory=2T1", "commit=0", "commit=5s",
            "commit=3601", "threads=0", "threads=1025", "volume=", "volume=.x", "ro=1", "MEMORY=1G",
        ] {
            XCTAssertEqual(
                failure { _ = try settings(option) }?.kind, .usage, option)
        }
        XCTAssertEqual(
            failure { _ = try settings("bo\u{1b}gus") }?.message,
            #"unknown mount option: bo\x1bgus"#)
    }

    func testSloppyCollectsWhatItDoesNotKnow() throws {
        let made = try MountSettings(parsing: ["bogus,ro,other=1"], isSloppy: true)
        XCTAssertEqual(made.unknown, ["bogus", "other=1"])
        XCTAssertEqual(made.flags, .readOnly)
        XCTAssertEqual(
            failure { _ = try MountSettings(parsing: ["commit=x"], isSloppy: true) }?.kind, .usage)
    }

    func testMappingToTheMount() throws {
        let options = try settings("ro,noacl,threads=3,noio_uring").mountOptions(
            source: "/s", mountpoint: "/m", isRoot: true)
        XCTAssertEqual([options.source, options.mountpoint], ["/s", "/m"])
        XCTAssertEqual(options.flags, .readOnly)
        XCTAssertFalse(options.accessControlLists)
        XCTAssertEqual([options.maxThreads, options.maxIdleThreads], [3, 3])
        XCTAssertEqual(options.rings, .never)
        XCTAssertTrue(options.allowOther)
        func others(_ list: String, isRoot: Bool) throws -> Bool {
            try settings(list).mountOptions(source: "", mountpoint: "", isRoot: isRoot).allowOther
        }
        XCTAssertFalse(try others("", isRoot: false))
        XCTAssertTrue(try others("allow_other", isRoot: false))
        XCTAssertFalse(try others("noallow_other", isRoot: true))
    }

    // MARK: command lines

    func testOurOwnCommandLine() throws {
        let store = try makeDirectory("store")
        let request = try MountArguments.parse([store, "/m", "-f", "-o", "ro", "-o", "commit=9"])
            .request()
        XCTAssertTrue(request.isForeground)
        XCTAssertFalse(request.isFake)
        XCTAssertEqual(request.settings.commitSeconds, 9)
        XCTAssertEqual(request.address.path, store)
    }

    /// In mount(8)'s words `-f` means not to mount at all.
    func testMountsCommandLine() throws {
        let store = try makeDirectory("store")
        let request = try MountHelperArguments.parse(
            [store, "/m", "-sfnv", "-o", "rw,bogus", "-t", "fuse.ashlar"]
        ).request()
        XCTAssertTrue(request.isFake)
        XCTAssertFalse(request.isForeground)
        XCTAssertTrue(request.isVerbose)
        XCTAssertEqual(request.settings.unknown, ["bogus"])
        XCTAssertEqual(
            failure { _ = try MountHelperArguments.parse([store, "/m", "-o", "bogus"]).request() }?
                .kind, .usage)
        XCTAssertEqual(
            failure { _ = try MountHelperArguments.parse([store, "/m", "-t", "ext4"]).request() }?
                .kind, .usage)
        let away = try MountHelperArguments.parse([store, "/m", "-N", path("none")])
        XCTAssertEqual(failure { _ = try away.request() }?.kind, .notFound)
    }

    func testStoreAddresses() throws {
        let there: Set<String> = ["/s", "/a@b", "/a"]
        func address(_ text: String) throws -> StoreAddress {
            try StoreAddress(text) { there.contains($0) }
        }
        XCTAssertEqual(try address("/s").snapshot, nil)
        XCTAssertEqual(try address("/s@daily.1").snapshot, "daily.1")
        XCTAssertEqual(try address("/s@daily.1").path, "/s")
        XCTAssertEqual(try address("/a@b").snapshot, nil, "an existing path wins")
        XCTAssertEqual(try address("/a@b@c").path, "/a@b")
        XCTAssertEqual(try address("/none@x").path, "/none@x")
        XCTAssertEqual(failure { _ = try address("/s@") }?.kind, .usage)
        XCTAssertEqual(failure { _ = try address("/s@-x") }?.kind, .usage)
        XCTAssertEqual(failure { _ = try address("") }?.kind, .usage)
    }

    // MARK: places

    func testPlacesThatWouldDeadlock() throws {
        let store = try makeDirectory("store")
        let inside = try makeDirectory("store/packs/deep")
        let beside = try makeDirectory("beside")
        try FileManager.default.createSymbolicLink(
            atPath: path("link"), withDestinationPath: store)
        XCTAssertNoThrow(try MountPlace(store: store, mountpoint: beside))
        for (mountpoint, word) in [
            (store, "itself"), (path("link"), "itself"), (inside, "inside the store"),
            (directory, "inside the mountpoint"), ("/", "inside the mountpoint"),
        ] {
            let refusal = failure { _ = try MountPlace(store: store, mountpoint: mountpoint) }
            XCTAssertEqual(refusal?.kind, .mountRefused, mountpoint)
            XCTAssertTrue(refusal?.message.contains(word) ?? false, refusal?.message ?? "")
        }
    }

    func testPlacesThatAreNone() throws {
        let store = try makeDirectory("store")
        let file = path("file")
        XCTAssertTrue(FileManager.default.createFile(atPath: file, contents: nil))
        func kind(_ store: String, _ mountpoint: String) -> FailureKind? {
            failure { _ = try MountPlace(store: store, mountpoint: mountpoint) }?.kind
        }
        XCTAssertEqual(kind(store, file), .mountRefused)
        XCTAssertEqual(kind(file, store), .notAStore)
        XCTAssertEqual(kind(store, path("none")), .notFound)
        XCTAssertEqual(kind(path("none"), store), .notFound)
    }

    func testADeadMountpointSaysWhatToDo() {
        let refusal = MountPlace.refusal(Errno(rawValue: ENOTCONN), "mountpoint", "/m")
        XCTAssertEqual(refusal.kind, .mountRefused)
        XCTAssertEqual(refusal.advice, "Unmount it first: umount /m")
        XCTAssertEqual(
            MountPlace.refusal(Errno(rawValue: EACCES), "store", "/s").kind, .permission)
    }

    /// A bind mount gives the store a second path: devices and inodes tell.
    func testBindMountsAreSeenThrough() throws {
        let store = try makeDirectory("store")
        _ = try makeDirectory("store/sub")
        let other = try makeDirectory("other")
        guard mount(store, other, nil, UInt(MS_BIND), nil) == 0 else {
            throw XCTSkip("this machine does not let us mount")
        }
        defer { umount(other) }
        XCTAssertEqual(
            failure { _ = try MountPlace(store: store, mountpoint: other) }?.kind, .mountRefused)
        XCTAssertEqual(
            failure { _ = try MountPlace(store: store, mountpoint: other + "/sub") }?.kind,
            .mountRefused)
    }
}
