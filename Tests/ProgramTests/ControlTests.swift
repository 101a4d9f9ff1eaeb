import Backends
import Foundation
import Platform
import XCTest

@testable import Control

/// The control socket: a server with handlers, clients that behave, and clients that do not.
final class ControlTests: DirectoryTestCase {
    private var lock: StoreLock!
    private var server: ControlServer?
    private enum Slow { case waiting, begun, abandoned, ended }
    private let slow = ConditionMutex(Slow.waiting)

    override func setUpWithError() throws {
        try super.setUpWithError()
        lock = try StoreLock(storePath: directory, mode: .exclusive)
    }

    override func tearDown() {
        server?.stop()
        server = nil
        lock = nil
        super.tearDown()
    }

    private var socketPath: String { directory + "/control" }
    private var client: ControlClient { ControlClient(storePath: directory) }

    private func start(timeoutSeconds: Double = 10) throws {
        server = try ControlServer(
            storePath: directory, holding: lock,
            handlers: [
                "echo": { request throws(ControlError) in request.arguments },
                "count": { request throws(ControlError) in
                    for step in 0..<3 { request.progress(.integer(Int64(step))) }
                    return .text("done")
                },
                "fail": { _ throws(ControlError) in
                    throw .refused(code: "busy", message: "not now")
                },
                "big": { _ throws(ControlError) in
                    .text(String(repeating: "x", count: 4 << 20))
                },
                "huge": { _ throws(ControlError) in
                    .text(String(repeating: "x", count: Control.answerBytesMax))
                },
                "slow": { [slow] request throws(ControlError) in
                    slow.withLock { $0 = .begun }
                    slow.broadcast()
                    for _ in 0..<100 where !request.isAbandoned { sleepNanoseconds(20_000_000) }
                    slow.withLock { $0 = request.isAbandoned ? .abandoned : .ended }
                    slow.broadcast()
                    return .null
                },
            ], timeoutNanoseconds: UInt64(timeoutSeconds * 1e9))
    }

    /// A bare connection, for what a client must not do.
    private func connection() throws -> UnixSocket {
        let socket = try UnixSocket()
        let folder = try StoreFolder(directory)
        for _ in 0..<500 {
            let result = UnixSocket.withAddress(folder.socketPath) {
                connect(socket.descriptor, $0, $1)
            }
            if result == 0 { return socket }
            XCTAssertEqual(errno, EAGAIN, "only a full queue makes a client wait")
            sleepNanoseconds(10_000_000)
        }
        throw ControlError.timedOut
    }

    private func answer(to bytes: [UInt8]) throws -> JSONValue {
        let socket = try connection()
        let deadline = monotonicNanoseconds() + 10_000_000_000
        try socket.send(bytes, deadline: deadline)
        var lines = LineReader(socket, limitBytes: 1 << 20)
        return try JSONValue(line: try lines.next(deadline: deadline))
    }

    private func error(_ body: () throws -> Void) -> ControlError? {
        do {
            try body()
            return nil
        } catch {
            return error as? ControlError
        }
    }

    // MARK: what works

    func testRequestsProgressAndErrors() throws {
        try start()
        let sent: [String: JSONValue] = [
            "a": .list([.integer(-3), .number(1.5), .null, .flag(true)]), "b": .text("ü\n\u{1}"),
        ]
        XCTAssertEqual(try client.call("echo", sent), .object(sent))
        var told: [JSONValue] = []
        XCTAssertEqual(try client.call("count") { told.append($0) }, .text("done"))
        XCTAssertEqual(told, [.integer(0), .integer(1), .integer(2)])
        XCTAssertEqual(
            error { _ = try client.call("fail") }, .refused(code: "busy", message: "not now"))
        guard case .refused("unknown-command", _)? = error({ _ = try client.call("x") }) else {
            return XCTFail("an unknown command was taken")
        }
    }

    func testBigAnswers() throws {
        try start()
        XCTAssertEqual(try client.call("big").text?.utf8.count, 4 << 20)
        XCTAssertEqual(error { _ = try client.call("huge") }, .hungUp)
        XCTAssertEqual(try client.call("echo"), .object([:]))
    }

    func testManyClientsAtOnce() throws {
        try start()
        let failures = ConditionMutex(0)
        let path = directory
        DispatchQueue.concurrentPerform(iterations: 40) { index in
            let arguments: [String: JSONValue] = ["index": .integer(Int64(index))]
            let result = try? ControlClient(storePath: path).call("echo", arguments)
            if result != .object(arguments) { failures.withLock { $0 += 1 } }
        }
        XCTAssertEqual(failures.withLock { $0 }, 0)
    }

    func testTheSocketIsItsOwnersOnly() throws {
        try start()
        let attributes = try FileManager.default.attributesOfItem(atPath: socketPath)
        XCTAssertEqual(attributes[.posixPermissions] as? Int, 0o600)
        XCTAssertEqual(attributes[.type] as? FileAttributeType, .typeSocket)
    }

    /// An address has room for 107 bytes, paths for 4095.
    func testLongPaths() throws {
        let deep = try makeDirectory(
            (0..<4).map { _ in String(repeating: "d", count: 200) }.joined(separator: "/"))
        let lock = try StoreLock(storePath: deep, mode: .exclusive)
        let server = try ControlServer(
            storePath: deep, holding: lock,
            handlers: ["ping": { _ throws(ControlError) in .null }])
        defer { server.stop() }
        XCTAssertEqual(try ControlClient(storePath: deep).call("ping"), .null)
    }

    // MARK: beginning and end

    func testNoDaemon() throws {
        XCTAssertEqual(error { _ = try client.call("echo") }, .noDaemon(store: directory))
        XCTAssertFalse(try client.isAnswered())
        XCTAssertEqual(
            error { _ = try ControlClient(storePath: path("none")).call("echo") },
            .noDaemon(store: path("none")))
        XCTAssertEqual(
            error { _ = try ControlClient(mountpoint: directory) },
            .notMounted(mountpoint: directory))
        try start()
        server?.stop()
        XCTAssertFalse(FileManager.default.fileExists(atPath: socketPath))
        XCTAssertFalse(try client.isAnswered())
    }

    func testAStaleSocketIsReplacedAndAFileIsNot() throws {
        let stale = try UnixSocket()
        let folder = try StoreFolder(directory)
        XCTAssertEqual(
            UnixSocket.withAddress(folder.socketPath) { bind(stale.descriptor, $0, $1) }, 0)
        XCTAssertFalse(try client.isAnswered())
        try start()
        XCTAssertTrue(try client.isAnswered())
        server?.stop()
        XCTAssertTrue(FileManager.default.createFile(atPath: socketPath, contents: Data([1])))
        XCTAssertEqual(error { try start() }, .notASocket(path: socketPath))
        XCTAssertEqual(try Data(contentsOf: URL(fileURLWithPath: socketPath)), Data([1]))
    }

    func testStoppingLeavesAnothersSocket() throws {
        try start()
        try FileManager.default.removeItem(atPath: socketPath)
        let folder = try StoreFolder(directory)
        let other = try UnixSocket()
        XCTAssertEqual(
            UnixSocket.withAddress(folder.socketPath) { bind(other.descriptor, $0, $1) }, 0)
        server?.stop()
        XCTAssertTrue(FileManager.default.fileExists(atPath: socketPath))
    }

    // MARK: what must not hurt

    func testGarbage() throws {
        try start()
        for bad in [
            "\n", "{}\n", "[]\n", "nonsense\n", #"{"command": 5}"# + "\n",
            #"{"command": "echo", "arguments": []}"# + "\n", "\u{0}\u{1}\u{2}\n",
            String(repeating: "[", count: 60_000) + "\n",
        ] {
            XCTAssertEqual(
                try answer(to: Array(bad.utf8))["error"]?["code"]?.text, "bad-request", bad)
        }
        var random = SeededGenerator()
        for _ in 0..<50 {
            let noise = random.bytes(200).map { $0 == 0x0a ? 0 : $0 } + [0x0a]
            XCTAssertNotNil(try answer(to: noise)["error"])
        }
        XCTAssertEqual(try client.call("echo"), .object([:]))
    }

    func testAnEndlessLineIsCutOff() throws {
        try start()
        let bytes = [UInt8](repeating: 0x20, count: Control.requestBytesMax * 3)
        let socket = try connection()
        let deadline = monotonicNanoseconds() + 10_000_000_000
        // The server may hang up before it has taken everything.
        _ = error { try socket.send(bytes, deadline: deadline) }
        XCTAssertEqual(try client.call("echo"), .object([:]))
        XCTAssertEqual(
            error {
                _ = try client.call(
                    "echo", ["x": .text(String(repeating: "x", count: Control.requestBytesMax))])
            }, .tooLong(limitBytes: Control.requestBytesMax))
    }

    func testClientsThatHangUp() throws {
        try start()
        for bytes in [[], Array(#"{"command""#.utf8), Array(#"{"command":"big"}"#.utf8) + [0x0a]] {
            for _ in 0..<10 {
                let socket = try connection()
                try socket.send(bytes, deadline: monotonicNanoseconds() + 1_000_000_000)
            }
        }
        XCTAssertEqual(try client.call("echo"), .object([:]))
    }

    func testSilentClientsDoNotKeepOthersWaiting() throws {
        try start(timeoutSeconds: 0.3)
        let silent = try (0..<Control.handlerThreads).map { _ in try connection() }
        let began = monotonicNanoseconds()
        XCTAssertEqual(try client.call("echo"), .object([:]))
        XCTAssertLessThan(monotonicNanoseconds() - began, 5_000_000_000)
        XCTAssertEqual(silent.count, Control.handlerThreads)
    }

    func testAnAbandonedHandlerLearnsOfIt() throws {
        try start()
        let socket = try connection()
        try socket.send(
            Array(#"{"command":"slow"}"#.utf8) + [0x0a],
            deadline: monotonicNanoseconds() + 1_000_000_000)
        slow.wait(until: { $0 == .begun })
        shutdown(socket.descriptor, Int32(SHUT_RDWR))
        slow.wait(until: { $0 != .begun })
        XCTAssertEqual(slow.withLock { $0 }, .abandoned)
    }

    func testMountTable() {
        let text = """
            22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
            90 28 0:50 / /mnt/a\\040b rw,noatime shared:1 master:2 - fuse.ashlar /srv/st\\054ore rw,user_id=0
            91 28 0:51 / /mnt/c ro - fuse.ashlar /srv/other rw
            92 28 0:52 / /mnt/c rw - fuse.ashlar /srv/third rw
            broken line
            93 28 0:53 / /mnt/d rw shared:3 - fuse.ashlar
            """
        let table = MountTable(text: Array(text.utf8))
        XCTAssertEqual(
            table.volumes.map(\.mountpoint), ["/mnt/a b", "/mnt/c", "/mnt/c"])
        XCTAssertEqual(table.volumes.first?.source, "/srv/st,ore")
        XCTAssertEqual(table.volumes.first?.options, ["rw", "noatime"])
        XCTAssertEqual(table.mount(at: "/mnt/c")?.source, "/srv/third", "the upper one is seen")
        XCTAssertEqual(table.mount(at: "/mnt/c/")?.source, "/srv/third")
        XCTAssertNil(table.mount(at: "/mnt/e"))
        XCTAssertEqual(table.volumes(ofStore: "/srv/other").count, 1)
    }
}
