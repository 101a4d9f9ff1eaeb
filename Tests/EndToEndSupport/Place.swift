import Backends
import CLinux
import Foundation
import XCTest

/// A store and the directory on which it is mounted.
public struct Place {
    public unowned let test: EndToEndTestCase
    public let store: String
    public let mountpoint: String

    public init(test: EndToEndTestCase, store: String, mountpoint: String) {
        self.test = test
        self.store = store
        self.mountpoint = mountpoint
    }

    /// A path in the mounted volume.
    public func path(_ name: String) -> String { mountpoint + "/" + name }

    // MARK: mounting

    public func tryMount(_ options: String = "") throws -> ProgramResult {
        try test.ashlar(
            ["mount"] + (options.isEmpty ? [] : ["-o", options]) + [store, mountpoint])
    }

    /// Mounts; where the kernel does not let us, the test is skipped.
    public func mount(
        _ options: String = "", file: StaticString = #filePath, line: UInt = #line
    ) throws {
        let result = try tryMount(options)
        if result.errors.contains("Operation not permitted") {
            throw XCTSkip("this machine does not let us mount: \(result.errors)")
        }
        guard result.code == 0 else {
            XCTFail("mount ended with \(result.code): \(result.errors)", file: file, line: line)
            throw SystemError(EIO)
        }
    }

    public func unmount(file: StaticString = #filePath, line: UInt = #line) throws {
        // Whoever lists this machine's mounts (df, a monitor) is in each of them for a moment.
        var result = try test.ashlar(["umount", mountpoint])
        test.wait(5) {
            guard result.code != 0, result.errors.contains("in use") else { return true }
            guard let next = try? test.ashlar(["umount", mountpoint]) else { return true }
            result = next
            return false
        }
        XCTAssertEqual(result.code, 0, "umount: \(result.errors)", file: file, line: line)
        XCTAssertNil(daemon, "umount returned before its daemon ended", file: file, line: line)
    }

    public func remount(_ options: String = "") throws {
        try unmount()
        try mount(options)
    }

    public var isMounted: Bool { Cleaning.mounts(below: test.folder).contains(mountpoint) }

    /// The process that holds the store.
    public var daemon: pid_t? { Cleaning.daemon(of: store) }

    /// Kills the daemon as a crash would, and takes the dead mount away.
    ///
    /// - Parameter whileDead: called in between, when all that use the mount fail.
    public func crash(
        file: StaticString = #filePath, line: UInt = #line, whileDead: () throws -> Void = {}
    ) throws {
        kill(try XCTUnwrap(daemon, "no daemon holds the store", file: file, line: line), SIGKILL)
        try whileDead()
        try awaitDeath(file: file, line: line)
    }

    /// Waits until nobody holds the store, and takes away what is left of the mount.
    public func awaitDeath(file: StaticString = #filePath, line: UInt = #line) throws {
        let isFree = try test.wait { try StoreLock.exclusiveHolder(storePath: store) == nil }
        XCTAssertTrue(isFree, "the lock of a killed daemon stays", file: file, line: line)
        ashlar_unmount(mountpoint, ASHLAR_UNMOUNT_DETACH)
    }

    // MARK: checking

    public func check(_ options: [String] = []) throws -> ProgramResult {
        try test.run([try Program.built("fsck.ashlar")] + options + [store], seconds: 120)
    }

    /// Asserts that the store is clean; returns what was said.
    @discardableResult
    public func mustBeClean(
        _ options: [String] = ["--deep"], file: StaticString = #filePath, line: UInt = #line
    ) throws -> String {
        let result = try check(options)
        XCTAssertEqual(
            result.code, 0, "fsck \(options): \(result.text)\(result.errors)", file: file,
            line: line)
        return result.text
    }

    // MARK: packs

    public var packsFolder: String { store + "/packs" }

    /// The names of the packs, oldest first.
    public func packs() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: packsFolder).sorted()
    }

    /// The pack that has the most bytes: on small stores, that of the content.
    public func largestPack() throws -> String {
        let sizes = try packs().map { (try System.status(packsFolder + "/" + $0).st_size, $0) }
        return packsFolder + "/" + (try XCTUnwrap(sizes.max { $0.0 < $1.0 }).1)
    }

    /// Replaces the store by `copy`, or a part of it by that of `copy`.
    public func restore(_ part: String = "", from copy: String) throws {
        let target = part.isEmpty ? store : store + "/" + part
        let source = part.isEmpty ? copy : copy + "/" + part
        XCTAssertEqual(Cleaning.removeTree(target), 0)
        try test.mustRun(["cp", "-a", "--sparse=never", source, target])
    }

    public func copyStore(to path: String) throws {
        try test.mustRun(["cp", "-a", "--sparse=never", store, path])
    }
}

extension EndToEndTestCase {
    /// Asserts that two trees are equal: content, kinds, modes, owners, times, links, attributes.
    public func assertEqualTrees(
        _ a: String, _ b: String, file: StaticString = #filePath, line: UInt = #line
    ) throws {
        let diff = try run(["diff", "-r", "--no-dereference", a, b], seconds: 120)
        XCTAssertEqual(
            diff.code, 0, "diff: \(diff.text.prefix(2000))\(diff.errors.prefix(2000))", file: file,
            line: line)
        let rsync = try run(
            [try Machine.require("rsync"), "-anciHAX", "--delete", a + "/", b + "/"], seconds: 120)
        XCTAssertEqual(rsync.code, 0, "rsync: \(rsync.errors.prefix(2000))", file: file, line: line)
        XCTAssertEqual(
            rsync.text, "", "rsync finds differences: \(rsync.text.prefix(2000))", file: file,
            line: line)
    }

    /// Asserts that a body fails with an errno.
    public func assertFails(
        _ code: Int32, _ what: String = "", file: StaticString = #filePath, line: UInt = #line,
        _ body: () throws -> Void
    ) {
        do {
            try body()
            XCTFail("\(what) did not fail", file: file, line: line)
        } catch {
            XCTAssertEqual(
                (error as? SystemError)?.code, code, "\(what): \(error)", file: file, line: line)
        }
    }
}
