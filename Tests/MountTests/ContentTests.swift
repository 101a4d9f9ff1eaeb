import FileModel
import Foundation
import Mount
import Synchronization
import XCTest

/// Reading, writing, holes and copies.
class ContentTests: MountTestCase {
    func testRandomWritesReadsAndTruncations() throws {
        var random = SeededGenerator(name)
        var model: [UInt8] = []
        let path = volume.file("a")
        try System.with(path, O_RDWR | O_CREAT) { file in
            for _ in 0..<300 {
                switch Int.random(in: 0..<4, using: &random) {
                case 0, 1:
                    let offset = Int.random(in: 0...400_000, using: &random)
                    let bytes = random.bytes(Int.random(in: 1...20_000, using: &random))
                    if model.count < offset + bytes.count {
                        model += [UInt8](repeating: 0, count: offset + bytes.count - model.count)
                    }
                    model.replaceSubrange(offset..<offset + bytes.count, with: bytes)
                    try System.write(file, bytes, at: Int64(offset))
                case 2:
                    let size = Int.random(in: 0...400_000, using: &random)
                    model = Array(model.prefix(size))
                    model += [UInt8](repeating: 0, count: size - model.count)
                    try System.check(ftruncate(file, off_t(size)))
                default:
                    let offset = Int.random(in: 0...400_000, using: &random)
                    XCTAssertEqual(
                        try System.read(file, 30_000, at: Int64(offset)),
                        Array(model.dropFirst(offset).prefix(30_000)))
                }
            }
        }
        XCTAssertTrue(try System.readFile(path) == model)
        // And as the volume has it, not only the kernel's cache.
        let inode = InodeNumber(try System.status(path).st_ino)
        var stored = [UInt8](repeating: 0, count: model.count)
        _ = try stored.withUnsafeMutableBytes {
            try volume.filesystem.read(inode, at: 0, into: $0)
        }
        XCTAssertTrue(stored == model)
    }

    func testLargeTransfersUseLargeRequests() throws {
        var random = SeededGenerator(name)
        let block = random.bytes(1 << 20)
        let path = volume.file("large")
        let writes = try volume.requests {
            try System.with(path, O_WRONLY | O_CREAT) { file in
                for index in 0..<32 { try System.write(file, block, at: Int64(index) << 20) }
            }
        }
        XCTAssertLessThanOrEqual(writes.counts[.write, default: 0], 33)
        let inode = InodeNumber(try System.status(path).st_ino)
        volume.session.notifier.invalidateInode(inode, range: 0..<UInt64.max)
        try waitUntil { volume.session.pendingInvalidationCount == 0 }
        let reads = try volume.requests {
            let bytes = try System.readFile(path)
            XCTAssertEqual(bytes.count, 32 << 20)
            XCTAssertTrue(bytes.suffix(1 << 20).elementsEqual(block))
        }
        print("32 MiB read with \(reads.counts[.read, default: 0]) READ requests")
        XCTAssertLessThan(reads.counts[.read, default: 0], 300)
        XCTAssertGreaterThanOrEqual(volume.session.transferredBytes.written, 32 << 20)
    }

    func testPagesSurviveReopening() throws {
        let path = volume.file("a")
        try System.writeFile(path, [UInt8](repeating: 3, count: 100_000))
        _ = try System.readFile(path)
        let again = try volume.fewestRequests {
            for _ in 0..<5 { _ = try System.readFile(path) }
        }
        XCTAssertEqual(again.roundTrips, 0, "\(again.counts)")
    }

    func testAppend() throws {
        let path = volume.file("log")
        let first = try System.open(path, O_WRONLY | O_CREAT | O_APPEND)
        let second = try System.open(path, O_WRONLY | O_APPEND)
        defer {
            close(first)
            close(second)
        }
        for index in 0..<50 {
            try System.write(first, [UInt8(index)])
            try System.write(second, [UInt8(index + 100)])
        }
        XCTAssertEqual(
            try System.readFile(path), (0..<50).flatMap { [UInt8($0), UInt8($0 + 100)] })
    }

    func testTruncatingOpenReachesTheVolume() throws {
        let path = volume.file("a")
        try System.writeFile(path, [1, 2, 3])
        let inode = InodeNumber(try System.status(path).st_ino)
        try System.with(path, O_WRONLY | O_TRUNC) { _ in }
        XCTAssertEqual(try volume.filesystem.attributes(of: inode).size, 0)
        XCTAssertEqual(try System.readFile(path), [])
    }

    func testExclusiveAndReadOnlyCreation() throws {
        let path = volume.file("a")
        try System.with(path, O_WRONLY | O_CREAT | O_EXCL, 0o444) { file in
            try System.write(file, [1])
        }
        assertFails(EEXIST) { _ = try System.open(path, O_WRONLY | O_CREAT | O_EXCL) }
        XCTAssertEqual(try System.status(path).st_mode & 0o777, 0o444)
    }

    func testMappedWritesReachTheVolume() throws {
        let path = volume.file("a")
        try System.writeFile(path, [UInt8](repeating: 0, count: 20_000))
        try System.with(path, O_RDWR) { file in
            let map = mmap(nil, 20_000, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
            XCTAssertNotEqual(map, MAP_FAILED)
            for offset in stride(from: 0, to: 20_000, by: 1000) {
                map?.storeBytes(of: UInt8(offset / 1000 + 1), toByteOffset: offset, as: UInt8.self)
            }
            try System.check(msync(map, 20_000, Int32(MS_SYNC)))
            munmap(map, 20_000)
        }
        let inode = InodeNumber(try System.status(path).st_ino)
        var stored = [UInt8](repeating: 0, count: 20_000)
        _ = try stored.withUnsafeMutableBytes {
            try volume.filesystem.read(inode, at: 0, into: $0)
        }
        XCTAssertEqual(stored[19_000], 20)
        XCTAssertEqual(try System.readFile(path)[5000], 6)
    }

    func testSeekFindsDataAndHoles() throws {
        try System.with(volume.file("a"), O_RDWR | O_CREAT) { file in
            try System.write(file, [1], at: 100 * 4096)
            try System.check(ftruncate(file, 200 * 4096))
            XCTAssertEqual(lseek(file, 0, 3), 100 * 4096)
            XCTAssertEqual(lseek(file, 0, 4), 0)
            XCTAssertEqual(lseek(file, 100 * 4096, 4), 101 * 4096)
            XCTAssertEqual(lseek(file, 150 * 4096, 3), -1)
            XCTAssertEqual(errno, ENXIO)
            var status = stat()
            try System.check(fstat(file, &status))
            XCTAssertEqual(status.st_blocks, 8, "holes are not counted")
            XCTAssertEqual(status.st_blksize, 128 << 10)
        }
    }

    /// cp(1) writes as much at a time as the empty file that it has made asks for.
    func testEmptyFilesAskForTheLargestWrites() throws {
        let path = volume.file("a")
        try System.with(path, O_RDWR | O_CREAT) { file in
            var status = stat()
            try System.check(fstat(file, &status))
            XCTAssertEqual(status.st_blksize, 1 << 20)
        }
        XCTAssertEqual(try System.status(volume.file("")).st_blksize, 128 << 10)
        let source = NSTemporaryDirectory() + "/ashlar-source-\(UUID().uuidString)"
        defer { unlink(source) }
        try System.writeFile(source, [UInt8](repeating: 7, count: 4 << 20))
        let before = volume.session.count(of: .write)
        let (code, output) = try System.run("/bin/cp", [source, path])
        XCTAssertEqual(code, 0, output)
        XCTAssertEqual(volume.session.count(of: .write) - before, 4)
    }

    func testAllocateAndPunch() throws {
        try System.with(volume.file("a"), O_RDWR | O_CREAT) { file in
            try System.allocate(file, 0, 0, 40_960)
            var status = stat()
            try System.check(fstat(file, &status))
            XCTAssertEqual(status.st_size, 40_960)
            try System.write(file, [UInt8](repeating: 7, count: 40_960), at: 0)
            try System.allocate(file, 3, 4096, 8192)
            XCTAssertEqual(
                try System.read(file, 16_384),
                [UInt8](repeating: 7, count: 4096) + [UInt8](repeating: 0, count: 8192)
                    + [UInt8](repeating: 7, count: 4096))
            try System.allocate(file, 1, 0, 1 << 20)
            try System.check(fstat(file, &status))
            XCTAssertEqual(status.st_size, 40_960)
            assertFails(EOPNOTSUPP) { try System.allocate(file, 8, 0, 4096) }
        }
    }

    func testCopyRange() throws {
        var random = SeededGenerator(name)
        let bytes = random.bytes(300_000)
        try System.writeFile(volume.file("a"), bytes)
        let copy = try volume.requests {
            try System.with(volume.file("a"), O_RDONLY) { from in
                try System.with(volume.file("b"), O_WRONLY | O_CREAT) { to in
                    XCTAssertEqual(try System.copyRange(from, to, 1 << 30), 300_000)
                }
            }
        }
        XCTAssertNil(copy.counts[.write])
        XCTAssertEqual(try System.readFile(volume.file("b")), bytes)
    }

    func testSynchronizing() throws {
        try System.with(volume.file("a"), O_WRONLY | O_CREAT) { file in
            try System.check(fsync(file))
            try System.check(fdatasync(file))
        }
        XCTAssertEqual(volume.filesystem.synchronizations.load(ordering: .relaxed), 2)
        try System.with(volume.path, O_RDONLY | O_DIRECTORY) { _ = try System.check(fsync($0)) }
        XCTAssertEqual(volume.filesystem.fullSynchronizations.load(ordering: .relaxed), 1)
    }

    func testManyWritersAtOnce() throws {
        let volume = try XCTUnwrap(volume)
        let failures = Mutex<[String]>([])
        DispatchQueue.concurrentPerform(iterations: 8) { worker in
            do {
                for index in 0..<50 {
                    let path = volume.file("w\(worker)-\(index)")
                    try System.writeFile(path, [UInt8](repeating: UInt8(worker), count: 10_000))
                    guard try System.readFile(path).allSatisfy({ $0 == UInt8(worker) }) else {
                        throw SystemError(EIO)
                    }
                }
            } catch {
                failures.withLock { $0.append("\(error)") }
            }
        }
        XCTAssertEqual(failures.withLock { $0 }, [])
        XCTAssertEqual(try System.names(volume.path).count, 402)
    }
}
