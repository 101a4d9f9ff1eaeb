import FileModel
import Foundation
import Glibc
import Mount
import Synchronization
import XCTest

/// Switches the kernel's offer of rings on for some tests, and puts back what was there.
enum RingOffer {
    private static let before = Mutex<Bool?>(nil)

    static func begin() {
        before.withLock { $0 = KernelRings.areOffered }
        _ = KernelRings.offer(true)
    }

    static func end() {
        before.withLock { if $0 == false { _ = KernelRings.offer(false) } }
    }

    static func require() throws {
        guard KernelRings.areOffered == true else {
            throw XCTSkip("this kernel has no FUSE over io_uring, or we may not switch it on")
        }
    }
}

/// What rings alone have to show.
final class RingTests: MountTestCase {
    override class func setUp() { RingOffer.begin() }
    override class func tearDown() { RingOffer.end() }

    override func setUpWithError() throws {
        try RingOffer.require()
        try super.setUpWithError()
    }

    func testRequestsComeByRingsWhereTheyAreOffered() throws {
        _ = try System.names(volume.path)
        XCTAssertTrue(volume.session.usesRings)
        let without = try MountedVolume { $0.rings = .never }
        defer { without.finish() }
        _ = try System.names(without.path)
        XCTAssertFalse(without.session.usesRings)
    }

    func testWhoAsksForRingsSwitchesThemOn() throws {
        _ = try System.names(volume.path)
        XCTAssertEqual(KernelRings.offer(false), 0)
        defer { _ = KernelRings.offer(true) }
        let unasked = try MountedVolume()
        defer { unasked.finish() }
        _ = try System.names(unasked.path)
        XCTAssertFalse(unasked.session.usesRings)
        let asked = try MountedVolume { $0.rings = .askedFor }
        defer { asked.finish() }
        _ = try System.names(asked.path)
        XCTAssertTrue(asked.session.usesRings)
        XCTAssertEqual(KernelRings.areOffered, true)
    }

    /// The kernel has offered them with INIT, and refuses to register them afterwards.
    func testRingsThatAreSwitchedOffMeanwhileLeaveTheDevice() throws {
        let late = try MountedVolume(beforeServing: { _ = KernelRings.offer(false) })
        defer {
            _ = KernelRings.offer(true)
            late.finish()
        }
        try System.writeFile(late.file("a"), [1])
        XCTAssertEqual(try System.readFile(late.file("a")), [1])
        XCTAssertFalse(late.session.usesRings)
    }

    func testWithoutDescriptorsForRingsTheDeviceIsUsed() throws {
        // The test's own mount has all its rings once it answers.
        _ = try System.names(volume.path)
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var before = rlimit()
        try System.check(getrlimit(files, &before))
        defer { setrlimit(files, &before) }
        let poor = try MountedVolume { options in
            options.maxThreads = 64
            // Enough numbers are free for the mount and for us, and not for 64 rings.
            var few = before
            var free = 0
            few.rlim_cur = 0
            while free < 12 {
                if fcntl(Int32(few.rlim_cur), F_GETFD) == -1 { free += 1 }
                few.rlim_cur += 1
            }
            setrlimit(files, &few)
        }
        defer { poor.finish() }
        let names = try System.names(poor.path)
        setrlimit(files, &before)
        XCTAssertEqual(names, try System.names(poor.path))
        XCTAssertFalse(poor.session.usesRings)
        try System.writeFile(poor.file("a"), [1])
        XCTAssertEqual(try System.readFile(poor.file("a")), [1])
    }

    /// As many as may be served at a time wait for something; others are answered, and then all are.
    func testHandlersThatWaitHoldNobodyElse() throws {
        // Of files of their own: the kernel lets one fsync of a file go on at a time.
        let paths = (0..<6).map { volume.file("slow-\($0)") }
        for path in paths { try System.writeFile(path, [1]) }
        try System.writeFile(volume.file("other"), [2])
        let gate = DispatchSemaphore(value: 0)
        let waiting = DispatchSemaphore(value: 0)
        volume.filesystem.onSynchronize.withLock {
            $0 = {
                waiting.signal()
                gate.wait()
            }
        }
        let clients = DispatchGroup()
        for path in paths {
            clients.enter()
            Thread {
                try? System.with(path, O_RDWR) { _ = fsync($0) }
                clients.leave()
            }.start()
        }
        for _ in paths {
            XCTAssertEqual(waiting.wait(timeout: .now() + 30), .success)
        }
        XCTAssertEqual(try System.readFile(volume.file("other")), [2])
        try System.writeFile(volume.file("new"), [3])
        for _ in paths { gate.signal() }
        XCTAssertEqual(clients.wait(timeout: .now() + 30), .success)
        volume.filesystem.onSynchronize.withLock { $0 = nil }
    }

    func testManyClientsAtOnceEachFindTheirOwn() throws {
        let failures = Mutex<[String]>([])
        let clients = DispatchGroup()
        let root = volume.path
        for client in 0..<8 {
            clients.enter()
            Thread {
                defer { clients.leave() }
                do {
                    for round in 0..<40 {
                        // Around the sizes of pages, of a transfer, and beyond.
                        let size = [0, 1, 4095, 4096, 4097, 65_537, 1 << 20, 1_048_577][round % 8]
                        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* (client + 3)) }
                        let path = "\(root)/\(client)-\(round)"
                        try System.writeFile(path, bytes)
                        guard try System.readFile(path) == bytes else {
                            return failures.withLock { $0.append("\(path): \(size) bytes") }
                        }
                        if round % 3 == 0 { try System.check(unlink(path)) }
                    }
                } catch {
                    failures.withLock { $0.append("client \(client): \(error)") }
                }
            }.start()
        }
        XCTAssertEqual(clients.wait(timeout: .now() + 120), .success)
        XCTAssertEqual(failures.withLock { $0 }, [])
    }
}
