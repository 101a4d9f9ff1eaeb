import FileModel
import Foundation
import Mount
import XCTest

/// A `MemoryFilesystem` mounted on a directory of its own, served by a thread of its own.
final class MountedVolume: @unchecked Sendable {
    let filesystem: MemoryFilesystem
    let session: MountSession
    let path: String
    private let ended = DispatchSemaphore(value: 0)
    /// Written before `ended` is signalled, read after.
    private var end: MountEnd?

    init(
        _ filesystem: MemoryFilesystem = MemoryFilesystem(),
        _ adjust: (inout MountOptions) -> Void = { _ in },
        beforeServing: () -> Void = {}
    ) throws {
        guard FileManager.default.fileExists(atPath: "/dev/fuse") else {
            throw XCTSkip("no /dev/fuse on this machine: the mount is not tested")
        }
        path = NSTemporaryDirectory() + "ashlar-mount-\(UUID().uuidString)"
        try System.check(mkdir(path, 0o755))
        var options = MountOptions(source: "/store,with comma", mountpoint: path)
        options.allowOther = true
        adjust(&options)
        self.filesystem = filesystem
        session = try MountSession(filesystem: filesystem, options: options)
        do {
            try session.mount()
        } catch {
            rmdir(path)
            if case .mountFailed(_, let code) = error, code == EPERM || code == ENODEV {
                throw XCTSkip("this machine does not let us mount: \(SystemError(code))")
            }
            throw error
        }
        beforeServing()
        Thread { [self] in
            end = session.run()
            ended.signal()
        }.start()
    }

    func file(_ name: String) -> String { path + "/" + name }

    /// How the loop ended, when it ends within half a minute.
    func waitForEnd() -> MountEnd? {
        guard ended.wait(timeout: .now() + 30) == .success else { return nil }
        ended.signal()
        return end
    }

    /// Ends the mount whatever state it is in, leaving nothing behind; how the loop ended.
    @discardableResult
    func finish() -> MountEnd? {
        session.requestExit()
        var result = waitForEnd()
        if result == nil {
            System.detach(path)
            result = waitForEnd()
        }
        try? session.unmount()
        rmdir(path)
        return result
    }

    /// Requests of each kind that `body` costs, and how many round trips.
    func requests(
        during body: () throws -> Void
    ) rethrows -> (roundTrips: Int, counts: [KernelRequest: Int]) {
        let before = KernelRequest.allCases.map { session.count(of: $0) }
        try body()
        var counts: [KernelRequest: Int] = [:]
        for (request, old) in zip(KernelRequest.allCases, before) {
            let new = Int(session.count(of: request) - old)
            if new > 0 { counts[request] = new }
        }
        let roundTrips = counts.reduce(0) { $1.key.isAnswered ? $0 + $1.value : $0 }
        return (roundTrips, counts)
    }

    /// The same where nothing at all should be asked, of a body that may be repeated. Whatever watches
    /// this machine's mounts may ask something at the same moment, but not each time.
    func fewestRequests(
        during body: () throws -> Void
    ) rethrows -> (roundTrips: Int, counts: [KernelRequest: Int]) {
        var fewest = try requests(during: body)
        for _ in 0..<4 where fewest.roundTrips > 0 {
            let next = try requests(during: body)
            if next.roundTrips < fewest.roundTrips { fewest = next }
        }
        return fewest
    }
}

/// A test with a mounted volume, which is gone afterwards.
class MountTestCase: XCTestCase {
    private(set) var volume: MountedVolume!

    override func setUpWithError() throws {
        volume = try MountedVolume()
    }

    override func tearDown() {
        guard let volume else { return }
        XCTAssertNotNil(volume.finish(), "the loop did not end")
        XCTAssertFalse(Self.mounts().contains(volume.path), "the mount is still there")
        self.volume = nil
    }

    static func mounts() -> String {
        (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)) ?? ""
    }

    /// Waits up to half a minute.
    func waitUntil(
        file: StaticString = #filePath, line: UInt = #line, _ condition: () throws -> Bool
    ) throws {
        let end = DispatchTime.now() + 30
        while DispatchTime.now() < end {
            if try condition() { return }
            usleep(5_000)
        }
        XCTFail("it did not come true in half a minute", file: file, line: line)
    }

    func assertFails(
        _ code: Int32, file: StaticString = #filePath, line: UInt = #line,
        _ body: () throws -> Void
    ) {
        XCTAssertThrowsError(try body(), file: file, line: line) {
            XCTAssertEqual($0 as? SystemError, SystemError(code), file: file, line: line)
        }
    }
}

/// Reproducible random numbers: the seed is printed, and taken from ASHLAR_SEED.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(_ test: String) {
        let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap { UInt64($0) }
        state = given ?? UInt64.random(in: 1...UInt64.max)
        print("\(test): ASHLAR_SEED=\(state)")
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}
