/// # PosixTests: the mounted volume, held to POSIX and the manual pages
///
/// Purpose: every rule that a program may rely on, as tables of calls and what they must answer,
/// written from POSIX.1-2024 and Linux' manual pages (sections 2, 5 and 7).
///
/// Words: a *ground* is a filesystem on which the tables are run: the volume, and twins that show
/// that what is expected is what Linux does. A tmpfs is always one; with `ASHLAR_POSIX_EXT4=1` in
/// the environment an ext4 on a loop device is another. A *box* is a directory on a ground with one
/// file of each kind, new for each row of a table.
///
/// Invariants:
/// 1. What a row expects holds on every ground, but for what a row says by `on:`.
/// 2. A call that fails changes nothing: names, attributes and times of the box are compared.
/// 3. Behind each test the store is unmounted and checked, and has to be clean.
/// 4. Without /dev/fuse tests are skipped, with a message.
///
/// Threads: the main thread; calls of other users are made by threads of theirs (`Identity`), which
/// the main thread waits for.
import EndToEndSupport
import Foundation
import XCTest

/// A test with a mounted volume and its twins.
class PosixTestCase: EndToEndTestCase {
    private(set) var grounds: [Ground] = []
    private var mounted: Place?
    private var boxNumber = 0
    private var oldMask: mode_t = 0

    override func setUpWithError() throws {
        oldMask = umask(0o022)
        try super.setUpWithError()
        let place = try makePlace()
        try place.mount("allow_other")
        mounted = place
        grounds = [Ground(kind: .volume, top: place.mountpoint)]
        try addTwin(.tmpfs, ["mount", "-t", "tmpfs", "tmpfs"])
        if ProcessInfo.processInfo.environment["ASHLAR_POSIX_EXT4"] == "1" {
            let image = path("ext4.image")
            try mustRun(["truncate", "-s", "64M", image])
            try mustRun([try Machine.require("mkfs.ext4"), "-q", "-b", "4096", image])
            try addTwin(.ext4, ["mount", "-o", "loop", image])
        }
        // Other users walk through it.
        for ground in grounds { try System.check(chmod(ground.top, 0o755)) }
    }

    private func addTwin(_ kind: Ground.Kind, _ mount: [String]) throws {
        let top = try makeDirectory("\(kind)")
        try mustRun(mount + [top])
        grounds.append(Ground(kind: kind, top: top))
    }

    override func tearDown() {
        if let mounted, mounted.isMounted {
            do {
                try mounted.unmount()
                try mounted.mustBeClean([])
            } catch {
                XCTFail("the volume cannot be checked: \(error)")
            }
        }
        mounted = nil
        super.tearDown()
        umask(oldMask)
    }

    /// The store and mountpoint of the volume.
    var place: Place {
        get throws { try XCTUnwrap(mounted) }
    }

    /// A new box.
    func makeBox(on ground: Ground, foldersOnly: Bool = false) throws -> Box {
        boxNumber += 1
        return try Box(
            ground: ground, path: "\(ground.top)/box-\(boxNumber)", foldersOnly: foldersOnly)
    }

    /// Runs a case on each ground, in a new box each time.
    func onEachGround(_ body: (Box) throws -> Void) throws {
        for ground in grounds {
            let box = try makeBox(on: ground)
            do {
                try body(box)
            } catch let error as SystemError {
                XCTFail("on \(ground): \(error)")
            }
        }
    }

    /// Runs each row on each ground, in a new box each time.
    func run(_ rows: [Row], file: StaticString = #filePath, line: UInt = #line) throws {
        for ground in grounds {
            for row in rows {
                let box = try makeBox(on: ground)
                let before = try box.snapshot()
                let outcome = row.identity.outcome { row.call(box) }
                let expected = row.expected(on: ground.kind)
                XCTAssertEqual(
                    outcome, expected,
                    "on \(ground), \(row.what), by \(row.identity): "
                        + "\(outcome.words), not \(expected.words)",
                    file: file, line: line)
                // What another filesystem refuses in its own way is its own affair.
                if outcome != 0, row.exceptions[ground.kind] == nil {
                    XCTAssertEqual(
                        try box.snapshot(), before,
                        "on \(ground), \(row.what) failed and changed something", file: file,
                        line: line)
                }
            }
        }
    }
}

/// A filesystem on which cases run.
struct Ground: Sendable, CustomStringConvertible {
    enum Kind: Sendable {
        case volume, tmpfs, ext4
    }

    let kind: Kind
    let top: String

    var description: String { "\(kind)" }
}

/// One call, and what it must answer.
struct Row: Sendable {
    let what: String
    /// An errno, or 0 for success.
    let expected: Int32
    /// Grounds that answer otherwise, rightly.
    let exceptions: [Ground.Kind: Int32]
    let identity: Identity
    /// -1 and errno, or success.
    let call: @Sendable (Box) -> Int

    /// - Parameter call: its result is a system call's: below 0 for an error that errno names.
    init<Result: SignedInteger & Sendable>(
        _ what: String, _ expected: Int32 = 0, on exceptions: [Ground.Kind: Int32] = [:],
        by identity: Identity = .root, _ call: @escaping @Sendable (Box) -> Result
    ) {
        self.what = what
        self.expected = expected
        self.exceptions = exceptions
        self.identity = identity
        self.call = { Int(call($0)) }
    }

    func expected(on kind: Ground.Kind) -> Int32 { exceptions[kind] ?? expected }
}

extension Int32 {
    /// What an errno means; 0 is success.
    var words: String { self == 0 ? "success" : String(cString: strerror(self)) }
}
