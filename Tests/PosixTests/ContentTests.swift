import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// One content, by whatever way it is written and read: write(2), mmap(2), O_DIRECT,
/// copy_file_range(2), fallocate(2), SEEK_DATA.
final class ContentTests: PosixTestCase {
    private static let page = 4096
    private static let dataSeek: Int32 = 3
    private static let holeSeek: Int32 = 4

    /// A shared mapping of a file's first bytes.
    private func withMapping(
        _ file: Int32, _ length: Int, _ flags: Int32 = MAP_SHARED,
        _ body: (UnsafeMutableRawBufferPointer) throws -> Void
    ) throws {
        let memory = mmap(nil, length, PROT_READ | PROT_WRITE, flags, file, 0)
        guard let memory, memory != MAP_FAILED else { throw SystemError(errno) }
        defer { munmap(memory, length) }
        try body(UnsafeMutableRawBufferPointer(start: memory, count: length))
    }

    private func withFile(_ path: String, _ body: (Int32) throws -> Void) throws {
        let file = try System.open(path, O_RDWR | O_CREAT)
        defer { close(file) }
        try body(file)
    }

    func testMappingsAndCallsSeeEachOther() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            try withFile(box / "new") { file in
                try System.write(file, [UInt8](repeating: 1, count: 3 * Self.page), at: 0)
                try withMapping(file, 3 * Self.page) { memory in
                    XCTAssertEqual(memory[5000], 1, note)
                    try System.write(file, [2, 3], at: 5000)
                    XCTAssertEqual([memory[5000], memory[5001]], [2, 3], note)
                    memory[5001] = 4
                    XCTAssertEqual(try System.read(file, 3, at: 5000), [2, 4, 1], note)
                    // By another descriptor, and another mapping.
                    try withFile(box / "new") { second in
                        XCTAssertEqual(try System.read(second, 2, at: 5000), [2, 4], note)
                        try withMapping(second, Self.page * 2) { other in
                            other[4999] = 9
                            XCTAssertEqual(memory[4999], 9, note)
                        }
                    }
                    memory[0] = 8
                    try System.check(msync(memory.baseAddress, memory.count, MS_SYNC))
                    try System.allocate(
                        file, ASHLAR_FALLOCATE_PUNCH_HOLE | ASHLAR_FALLOCATE_KEEP_SIZE, Self.page,
                        Self.page)
                    XCTAssertEqual([memory[4999], memory[5000], memory[0]], [0, 0, 8], note)
                    try System.check(ftruncate(file, 100))
                    try System.check(ftruncate(file, off_t(Self.page)))
                    XCTAssertEqual([memory[99], memory[100]], [1, 0], note)
                }
            }
        }
    }

    func testPrivateMappingsAreNotWritten() throws {
        try onEachGround { box in
            try withFile(box / "file") { file in
                try withMapping(file, 7, MAP_PRIVATE) { memory in
                    memory[0] = UInt8(ascii: "C")
                    XCTAssertEqual(try System.read(file, 7, at: 0), Array("content".utf8))
                }
            }
            XCTAssertEqual(try System.readFile(box / "file"), Array("content".utf8))
        }
    }

    /// Bytes of the last page behind the end are zeros, are not written, and do not come back
    /// (mmap(2)).
    func testMappedPageBehindTheEnd() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            try withFile(box / "file") { file in
                try withMapping(file, Self.page) { memory in
                    XCTAssertTrue(memory[7...].allSatisfy { $0 == 0 }, note)
                    memory[100] = 1
                    try System.check(msync(memory.baseAddress, Self.page, MS_SYNC))
                }
                var status = stat()
                try System.check(fstat(file, &status))
                XCTAssertEqual(status.st_size, 7, note)
                try System.check(ftruncate(file, off_t(Self.page)))
                // tmpfs, whose pages are its only copy, gives the byte back (Linux 6.18).
                if box.ground.kind == .tmpfs { return }
                XCTAssertEqual(try System.read(file, 2, at: 100), [0, 0], note)
            }
        }
    }

    func testMappingsSurviveRemounts() throws {
        let place = try place
        let box = try makeBox(on: grounds[0])
        try withFile(box / "new") { file in
            try System.check(ftruncate(file, 1 << 20))
            try withMapping(file, 1 << 20) { memory in
                for offset in stride(from: 0, to: memory.count, by: 5000) { memory[offset] = 7 }
            }
        }
        try place.remount("allow_other")
        let bytes = try System.readFile(box / "new")
        for offset in 0..<(1 << 20) where (bytes[offset] == 7) != (offset % 5000 == 0) {
            XCTFail("byte \(offset) is \(bytes[offset])")
            return
        }
    }

    /// Direct input and output goes to the same file as any other.
    func testDirect() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            let size = 4 * Self.page
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: size, alignment: Self.page)
            defer { buffer.deallocate() }
            let direct = try System.open(box / "new", O_RDWR | O_CREAT | ASHLAR_O_DIRECT)
            defer { close(direct) }
            try withFile(box / "new") { file in
                buffer.initializeMemory(as: UInt8.self, repeating: 1)
                XCTAssertEqual(pwrite(direct, buffer.baseAddress, size, 0), size, note)
                XCTAssertEqual(try System.read(file, 3, at: 5000), [1, 1, 1], note)
                // Cached by now: a direct write must not leave it so.
                buffer.initializeMemory(as: UInt8.self, repeating: 2)
                XCTAssertEqual(
                    pwrite(direct, buffer.baseAddress, Self.page, off_t(Self.page)), Self.page, note
                )
                XCTAssertEqual(try System.read(file, 2, at: Self.page - 1), [1, 2], note)
                // Buffered bytes are seen by a direct read.
                try System.write(file, [3], at: 2 * Self.page)
                XCTAssertEqual(
                    pread(direct, buffer.baseAddress, Self.page, off_t(2 * Self.page)), Self.page)
                XCTAssertEqual([buffer[0], buffer[1]], [3, 1], note)
                // Also those of a mapping.
                try withMapping(file, size) { memory in
                    memory[3 * Self.page] = 4
                    XCTAssertEqual(
                        pread(direct, buffer.baseAddress, Self.page, off_t(3 * Self.page)),
                        Self.page)
                    XCTAssertEqual(buffer[0], 4, note)
                    buffer[0] = 5
                    XCTAssertEqual(pwrite(direct, buffer.baseAddress, Self.page, 0), Self.page)
                    XCTAssertEqual(memory[0], 5, note)
                }
                // At the end, and behind it.
                XCTAssertEqual(pread(direct, buffer.baseAddress, size, off_t(size)), 0, note)
                XCTAssertEqual(
                    pwrite(direct, buffer.baseAddress, Self.page, off_t(2 * size)), Self.page)
                XCTAssertEqual(try System.read(file, 1, at: size + 9), [0], note)
            }
        }
    }

    /// Data and holes, to the block that the filesystem has (lseek(2)).
    func testSeekingData() throws {
        let big = 1 << 20
        try onEachGround { box in
            let note = "on \(box.ground)"
            try withFile(box / "new") { file in
                try System.check(ftruncate(file, off_t(8 * big)))
                try System.write(file, [UInt8](repeating: 1, count: big), at: 2 * big)
                try System.write(file, [UInt8](repeating: 1, count: big), at: 5 * big)
                let rows: [(from: Int, data: Int?, hole: Int)] = [
                    (0, 2 * big, 0), (2 * big - 1, 2 * big, 2 * big - 1),
                    (2 * big, 2 * big, 3 * big), (2 * big + 77, 2 * big + 77, 3 * big),
                    (3 * big, 5 * big, 3 * big), (6 * big - 1, 6 * big - 1, 6 * big),
                    (6 * big, nil, 6 * big), (8 * big - 1, nil, 8 * big - 1),
                ]
                for isSynchronized in [false, true] {
                    if isSynchronized { try System.check(fsync(file)) }
                    for row in rows {
                        XCTAssertEqual(
                            try? System.seek(file, row.from, Self.dataSeek), row.data,
                            "\(note), data from \(row.from)")
                        XCTAssertEqual(
                            try System.seek(file, row.from, Self.holeSeek), row.hole,
                            "\(note), hole from \(row.from)")
                    }
                }
                // The end of every file is a hole.
                try System.check(ftruncate(file, off_t(3 * big - 5)))
                XCTAssertEqual(try System.seek(file, 2 * big, Self.holeSeek), 3 * big - 5, note)
                // The offset moves as with any other seek.
                XCTAssertEqual(try System.seek(file, 0, SEEK_CUR), 3 * big - 5, note)
                XCTAssertEqual(Glibc.write(file, "x", 1), 1)
                XCTAssertEqual(try System.read(file, 1, at: 3 * big - 5), Array("x".utf8), note)
            }
        }
    }

    func testCopyingRanges() throws {
        func copying(
            _ from: String, _ to: String, _ offset: Int, _ target: Int, _ length: Int,
            _ flags: Int32 = O_WRONLY, copies: Int = 0
        ) -> @Sendable (Box) -> Int {
            { box in
                returning { () throws(SystemError) in
                    let source = try System.open(box / from, O_RDONLY | O_NONBLOCK)
                    defer { close(source) }
                    let into = try System.open(box / to, flags | O_NONBLOCK)
                    defer { close(into) }
                    let count = try System.copyRange(source, offset, into, target, length)
                    if count != copies { throw SystemError(EIO) }
                }
            }
        }
        try run([
            Row("all of it", 0, copying("file", "program", 0, 0, 7, copies: 7)),
            Row("more than there is", 0, copying("file", "program", 0, 0, 99, copies: 7)),
            Row("a part", 0, copying("file", "other", 2, 1, 3, copies: 3)),
            Row("behind the end", 0, copying("file", "other", 7, 0, 3)),
            Row("nothing", 0, copying("file", "other", 0, 0, 0)),
            Row(
                "far behind the target's end", 0,
                copying("file", "other", 0, 1 << 33, 7, copies: 7)),
            Row("within a file", 0, copying("file", "second", 0, 7, 7, copies: 7)),
            Row("onto itself", EINVAL, copying("file", "second", 0, 3, 7)),
            Row("to what is open for reading", EBADF, copying("file", "other", 0, 0, 7, O_RDONLY)),
            Row(
                "to what is open to append", EBADF,
                copying("file", "other", 0, 0, 7, O_WRONLY | O_APPEND)),
            Row("of a directory", EISDIR, copying("dir", "other", 0, 0, 7)),
            Row("of a FIFO", EINVAL, copying("fifo", "other", 0, 0, 7)),
            Row("before the start", EOVERFLOW, copying("file", "other", -1, 0, 7)),
        ])
        try onEachGround { box in
            let note = "on \(box.ground)"
            var content = [UInt8](repeating: 0, count: 900_000)
            for index in content.indices { content[index] = UInt8(truncatingIfNeeded: index / 7) }
            try System.writeFile(box / "big", content)
            let source = try System.open(box / "big", O_RDWR)
            defer { close(source) }
            try withFile(box / "copy") { file in
                var done = 0
                while done < content.count {
                    let count = try System.copyRange(source, done, file, done, content.count - done)
                    guard count > 0 else { throw SystemError(EIO) }
                    done += count
                }
                // A copy is one's own.
                try System.write(source, [0xff], at: 500_000)
                try System.write(file, [0xee], at: 600_000)
            }
            var copy = content
            copy[600_000] = 0xee
            XCTAssertTrue(try System.readFile(box / "copy") == copy, note)
            content[500_000] = 0xff
            XCTAssertTrue(try System.readFile(box / "big") == content, note)
            // What the target has behind the copied range stays.
            try System.with(box / "copy", O_RDWR) { (file) throws(SystemError) in
                _ = try System.copyRange(source, 400_000, file, 1000, 200_000)
            }
            copy.replaceSubrange(1000..<201_000, with: content[400_000..<600_000])
            XCTAssertTrue(try System.readFile(box / "copy") == copy, note)
        }
    }

    /// What each mode of fallocate(2) does to size, blocks and bytes.
    func testAllocating() throws {
        let keep = ASHLAR_FALLOCATE_KEEP_SIZE
        let punch = ASHLAR_FALLOCATE_PUNCH_HOLE | keep
        let zero = ASHLAR_FALLOCATE_ZERO_RANGE
        let rows:
            [(what: String, mode: Int32, offset: Int, length: Int, size: Int, zeroed: Range<Int>)] =
                [
                    ("within", 0, 1000, 2000, 20_000, 0..<0),
                    ("behind the end", 0, 20_000, 5000, 25_000, 0..<0),
                    ("behind the end, kept", keep, 30_000, 5000, 20_000, 0..<0),
                    ("punch", punch, 1000, 9000, 20_000, 1000..<10_000),
                    ("punch over the end", punch, 15_000, 90_000, 20_000, 15_000..<20_000),
                    ("punch behind the end", punch, 50_000, 90_000, 20_000, 0..<0),
                    ("punch all", punch, 0, 20_000, 20_000, 0..<20_000),
                    ("zero", zero, 1000, 9000, 20_000, 1000..<10_000),
                    ("zero over the end", zero, 15_000, 15_000, 30_000, 15_000..<20_000),
                    (
                        "zero over the end, kept", zero | keep, 15_000, 15_000, 20_000,
                        15_000..<20_000
                    ),
                ]
        try onEachGround { box in
            for row in rows where box.ground.kind != .tmpfs || row.mode & zero == 0 {
                let note = "on \(box.ground), \(row.what)"
                let name = box / "allocated-\(row.what)"
                try System.writeFile(name, [UInt8](repeating: 6, count: 20_000))
                try System.with(name, O_RDWR) { (file) throws(SystemError) in
                    try System.allocate(file, row.mode, row.offset, row.length)
                }
                var expected =
                    [UInt8](repeating: 6, count: 20_000)
                    + [UInt8](repeating: 0, count: row.size - 20_000)
                for index in row.zeroed { expected[index] = 0 }
                XCTAssertTrue(try System.readFile(name) == expected, note)
                XCTAssertEqual(Int(try System.status(name).st_size), row.size, note)
            }
            // Space is taken, and given back.
            try withFile(box / "space") { file in
                func blocks() throws -> Int { Int(try box.status("space").st_blocks) }
                try System.check(ftruncate(file, 1 << 20))
                XCTAssertEqual(try blocks(), 0, "on \(box.ground)")
                try System.allocate(file, 0, 0, 1 << 20)
                XCTAssertGreaterThanOrEqual(try blocks(), 2048, "on \(box.ground)")
                try System.allocate(file, punch, 0, 1 << 20)
                XCTAssertEqual(try blocks(), 0, "on \(box.ground)")
            }
            // Not more than there is, and then nothing. (ext4 goes as far as it can.)
            if box.ground.kind == .ext4 { return }
            var usage = statvfs()
            try System.check(statvfs(box.path, &usage))
            let tooMuch = Int(usage.f_bavail * usage.f_frsize) * 2
            for (mode, what) in [(0, "to grow"), (keep, "and keep")] {
                try System.with(box / "other", O_RDWR) { (file) throws(SystemError) in
                    assertFails(ENOSPC, "on \(box.ground), allocate too much \(what)") {
                        try System.allocate(file, mode, 0, tooMuch)
                    }
                }
                XCTAssertEqual(try box.status("other").st_size, 5, "on \(box.ground)")
            }
        }
    }
}
