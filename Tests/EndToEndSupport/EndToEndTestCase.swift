/// # EndToEndSupport: what tests on real mounts share
///
/// Purpose: runs the built programs (`ashlar`, `fsck.ashlar`) as users do, on real mounts in
/// temporary directories, and looks at what comes out: bytes, errno, exit codes, words.
///
/// Words: a *place* is a store with the directory on which it is mounted.
///
/// Invariants:
/// 1. Nothing of a test is left when it ends, also when it fails: mounts are detached, daemons
///    killed by the process number that holds the store's lock, and the folder removed.
/// 2. Nothing hangs: programs have a time limit, and a watchdog kills the daemons of a test that
///    takes too long, which makes whatever waits for a mount fail.
/// 3. Without /dev/fuse tests are skipped, with a message.
///
/// Threads: tests run on the main thread; what runs beside it says so.
import Backends
import CLinux
import Foundation
import XCTest

/// A test with a folder of its own, in which stores are made and mounted.
open class EndToEndTestCase: XCTestCase {
    /// After so long daemons of the test are killed.
    open class var secondsMax: Double { (Machine.isLong ? 3600 : 240) + Machine.modelSeconds }

    public private(set) var folder = ""
    private var watchdog: DispatchWorkItem?

    open override func setUpWithError() throws {
        try Machine.requireMounts()
        let base = NSTemporaryDirectory()
        folder = (base.hasSuffix("/") ? base : base + "/") + "ashlar-e2e-\(UUID().uuidString)"
        try System.check(mkdir(folder, 0o755))
        // Where `fsck.ashlar -n` keeps notes, which is outside of stores.
        setenv("XDG_STATE_HOME", folder + "/state", 1)
        let folder = folder
        let watchdog = DispatchWorkItem {
            print("\(folder): the test takes too long, its daemons are killed")
            Cleaning.killDaemons(below: folder)
        }
        self.watchdog = watchdog
        DispatchQueue.global().asyncAfter(
            deadline: .now() + Self.secondsMax * Machine.patience, execute: watchdog)
    }

    /// Mounts with `io_uring` set a parameter of the kernel: it is put back after the test.
    public func keepOfferOfRings() {
        let parameter = "/sys/module/fuse/parameters/enable_uring"
        guard let before = try? String(contentsOfFile: parameter, encoding: .utf8) else { return }
        addTeardownBlock {
            try? Data(before.prefix(1).utf8).write(to: URL(fileURLWithPath: parameter))
        }
    }

    open override func tearDown() {
        guard !folder.isEmpty else { return }
        watchdog?.cancel()
        unsetenv("XDG_STATE_HOME")
        Cleaning.killDaemons(below: folder)
        Cleaning.detachMounts(below: folder)
        Cleaning.waitForRelease(below: folder)
        XCTAssertEqual(
            Cleaning.removeTree(folder), 0, "\(folder) could not be removed")
        XCTAssertEqual(Cleaning.mounts(below: folder), [])
    }

    public func path(_ name: String) -> String { folder + "/" + name }

    @discardableResult
    public func makeDirectory(_ name: String) throws -> String {
        try System.check(mkdir(path(name), 0o755))
        return path(name)
    }

    /// Runs a program to its end.
    @discardableResult
    public func run(_ command: [String], seconds: Double = 60) throws -> ProgramResult {
        try Program(command, scratch: folder).finish(seconds: seconds)
    }

    /// Runs a program that must succeed.
    @discardableResult
    public func mustRun(
        _ command: [String], seconds: Double = 60, file: StaticString = #filePath,
        line: UInt = #line
    ) throws -> ProgramResult {
        let result = try run(command, seconds: seconds)
        XCTAssertEqual(
            result.code, 0, "\(command): \(result.errors)\(result.text.suffix(2000))",
            file: file, line: line)
        return result
    }

    /// Runs the built `ashlar`.
    @discardableResult
    public func ashlar(_ arguments: [String], seconds: Double = 60) throws -> ProgramResult {
        try run([try Program.built("ashlar")] + arguments, seconds: seconds)
    }

    /// Asserts how a program ended, and that it said so in few words.
    public func expect(
        _ result: ProgramResult, code: Int32, says words: String,
        file: StaticString = #filePath, line: UInt = #line
    ) {
        XCTAssertEqual(result.code, code, result.errors, file: file, line: line)
        XCTAssertTrue(
            result.errors.contains(words), "\(words) is not in: \(result.errors)", file: file,
            line: line)
        XCTAssertLessThan(result.errors.count, 600, "a long story", file: file, line: line)
    }

    /// A new store with its mountpoint, not mounted yet.
    public func makePlace(_ name: String = "a", _ options: [String] = []) throws -> Place {
        try makeDirectory(name)
        let place = Place(test: self, store: path(name + "/store"), mountpoint: path(name + "/m"))
        try makeDirectory(name + "/m")
        try mustRun([try Program.built("ashlar"), "mkfs", "-q"] + options + [place.store])
        return place
    }

    /// Waits until `condition` holds, at most `seconds`.
    @discardableResult
    public func wait(_ seconds: Double = 20, until condition: () throws -> Bool) rethrows -> Bool {
        let deadline = Date(timeIntervalSinceNow: seconds * Machine.patience)
        while Date() < deadline {
            if try condition() { return true }
            usleep(5_000)
        }
        return try condition()
    }
}

/// Getting rid of what a test has left. Any thread.
public enum Cleaning {
    /// Mountpoints below a folder, the newest first.
    ///
    /// - Parameter type: of that filesystem only.
    public static func mounts(below folder: String, type: String? = nil) -> [String] {
        let table = FileManager.default.contents(atPath: "/proc/self/mounts") ?? Data()
        return String(decoding: table, as: UTF8.self).split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            guard words.count > 2, words[1].hasPrefix(folder + "/") else { return nil }
            return type == nil || words[2] == type ? words[1] : nil
        }.reversed()
    }

    /// Stores below a folder: directories with a lock, at most three levels down.
    private static func stores(below folder: String, levels: Int = 3) -> [String] {
        let served = Set(mounts(below: folder, type: "fuse.ashlar"))
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.flatMap { name -> [String] in
            let path = folder + "/" + name
            // What a hung daemon serves cannot be listed.
            if served.contains(path) { return [] }
            if access(path + "/lock", F_OK) == 0 { return [path] }
            return levels > 1 ? stores(below: path, levels: levels - 1) : []
        }
    }

    /// The daemon that holds a store now, by its lock.
    public static func daemon(of store: String) -> pid_t? {
        guard let found = try? StoreLock.exclusiveHolder(storePath: store),
            let process = found.holder?.processID, process > 1, process != getpid()
        else { return nil }
        return process
    }

    public static func killDaemons(below folder: String) {
        // Mounts first: a folder that a hung daemon serves cannot be listed.
        for mount in mounts(below: folder) {
            if let process = daemon(of: storeBeside(mount)) { kill(process, SIGKILL) }
        }
        for store in stores(below: folder) {
            if let process = daemon(of: store) { kill(process, SIGKILL) }
        }
    }

    /// By the habit of these tests.
    private static func storeBeside(_ mountpoint: String) -> String {
        URL(fileURLWithPath: mountpoint).deletingLastPathComponent().path + "/store"
    }

    public static func detachMounts(below folder: String) {
        for mount in mounts(below: folder) {
            ashlar_unmount(mount, ASHLAR_UNMOUNT_DETACH)
        }
    }

    /// A killed process gives its lock back a moment later.
    public static func waitForRelease(below folder: String) {
        for store in stores(below: folder) {
            for _ in 0..<500 where daemon(of: store) != nil { usleep(10_000) }
        }
    }

    /// Removes a tree without leaving its filesystem, whatever its names: the exit code of rm(1).
    public static func removeTree(_ path: String) -> Int32 {
        let rm = try? Program(
            ["rm", "-rf", "--one-file-system", "--", path], scratch: NSTemporaryDirectory())
        return (try? rm?.finish(seconds: Machine.isLong ? 600 : 60).code) ?? -1
    }
}
