import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// Random changes of two files of a volume, and the models of these. One thread.
final class FileRun {
    static let sizeMax = 700_000
    private static let names = ["file", "other"]
    /// So many unsynchronised states are remembered at most, of up to `sizeMax` bytes each.
    private static let versionsMax = 60
    private static let dataSeek: Int32 = 3
    private static let holeSeek: Int32 = 4

    private let place: Place
    private(set) var models = [FileModel(), FileModel()]
    private var files: [Int32] = []
    private(set) var history: [String] = []
    private var random: SeededGenerator

    init(_ place: Place, _ random: SeededGenerator) throws {
        self.place = place
        self.random = random
        try open()
    }

    func open() throws {
        files = try Self.names.map { try System.open(place.path($0), O_RDWR | O_CREAT) }
    }

    func close() {
        for file in files { Glibc.close(file) }
        files = []
    }

    func path(_ index: Int) -> String { place.path(Self.names[index]) }

    private func note(_ index: Int, _ what: String) {
        history.append("\(Self.names[index]): \(what)")
    }

    // MARK: steps

    func step() throws {
        let index = random.below(4) == 0 ? 1 : 0
        let offset = random.below(2) == 0 ? random.below(Self.sizeMax) : random.below(30_000)
        let length = random.below(5) == 0 ? random.below(200_000) : 1 + random.below(9_000)
        let fitting = min(length, Self.sizeMax - offset)
        switch random.below(20) {
        case 0...4: try write(index, offset, fitting)
        case 5: try append(index, fitting)
        case 6: try truncate(index, random.below(3) == 0 ? 0 : offset)
        case 7, 8: try map(index, offset, fitting)
        case 9: try readMapped(index, offset, fitting)
        case 10: try punch(index, offset, fitting)
        case 11: try preallocate(index, offset, fitting)
        case 12, 13: try copy(index, offset, fitting)
        case 14: try copyAll(index)
        case 15: try refused(index, offset)
        case 16: try direct(index, offset, fitting)
        case 17: try seek(index, offset)
        case 18: try reopen(index)
        default: try synchronize(index)
        }
        if models[index].versions.count > Self.versionsMax { try synchronize(index) }
    }

    func synchronize(_ index: Int) throws {
        note(index, "fsync")
        try System.check(fsync(files[index]))
        // A commit holds everything that was received before, of every file; but the kernel hands
        // over what was written to mappings of this one only.
        let other = 1 - index
        models[index].synchronize()
        if !models[other].isLoose { models[other].synchronize() }
    }

    private func write(_ index: Int, _ offset: Int, _ length: Int) throws {
        note(index, "write \(offset)+\(length)")
        let bytes = content(length)
        try System.write(files[index], bytes, at: offset)
        models[index].write(bytes, at: offset)
    }

    private func content(_ length: Int) -> [UInt8] {
        random.below(3) == 0
            ? [UInt8](repeating: UInt8(random.below(256)), count: length) : random.bytes(length)
    }

    private func append(_ index: Int, _ length: Int) throws {
        let size = models[index].bytes.count
        let bytes = content(min(length, Self.sizeMax - size))
        note(index, "append \(bytes.count) to \(size)")
        try System.with(path(index), O_WRONLY | O_APPEND) { file throws(SystemError) in
            let count = try System.check(Glibc.write(file, bytes, bytes.count))
            XCTAssertEqual(count, bytes.count)
        }
        models[index].write(bytes, at: size)
    }

    private func truncate(_ index: Int, _ size: Int) throws {
        note(index, "truncate \(size)")
        try System.check(ftruncate(files[index], off_t(size)))
        models[index].resize(size)
    }

    private func punch(_ index: Int, _ offset: Int, _ length: Int) throws {
        note(index, "punch \(offset)+\(length)")
        guard length > 0 else { return }
        let mode = ASHLAR_FALLOCATE_PUNCH_HOLE | ASHLAR_FALLOCATE_KEEP_SIZE
        try System.allocate(files[index], mode, offset, length)
        models[index].zero(offset, length)
    }

    private func preallocate(_ index: Int, _ offset: Int, _ length: Int) throws {
        guard length > 0 else { return }
        let isZeroing = random.below(2) == 0
        let isKeeping = random.below(3) == 0
        note(
            index,
            "\(isZeroing ? "zero" : "allocate") \(offset)+\(length)\(isKeeping ? ", kept" : "")")
        let mode: Int32 = isZeroing ? ASHLAR_FALLOCATE_ZERO_RANGE : 0
        let keeping: Int32 = isKeeping ? ASHLAR_FALLOCATE_KEEP_SIZE : 0
        try System.allocate(files[index], mode | keeping, offset, length)
        if isZeroing {
            models[index].zero(offset, length, growing: !isKeeping)
        } else if !isKeeping {
            models[index].resize(max(models[index].bytes.count, offset + length))
        }
    }

    /// Within a file, or from one to the other.
    private func copy(_ index: Int, _ offset: Int, _ length: Int) throws {
        let to = random.below(2)
        let target = random.below(Self.sizeMax)
        let limit = to == index ? abs(target - offset) : length
        let count = min(length, Self.sizeMax - target, limit)
        note(index, "copy \(offset)+\(count) to \(Self.names[to]) \(target)")
        guard count > 0 else { return }
        let copied = try System.copyRange(files[index], offset, files[to], target, count)
        let source = Array(models[index].read(offset, count))
        XCTAssertEqual(copied, source.count)
        models[to].write(source, at: target)
    }

    /// All of a file onto the other: by its key, where the other is not longer.
    private func copyAll(_ index: Int) throws {
        let to = 1 - index
        let count = models[index].bytes.count
        note(index, "copy all, \(count)")
        if random.below(2) == 0 {
            try System.check(ftruncate(files[to], 0))
            models[to].resize(0)
        }
        guard count > 0 else { return }
        let copied = try System.copyRange(files[index], 0, files[to], 0, Self.sizeMax)
        XCTAssertEqual(copied, count)
        models[to].write(models[index].bytes, at: 0)
    }

    /// Collapsing and inserting are not there, and do nothing.
    private func refused(_ index: Int, _ offset: Int) throws {
        let mode: Int32 = random.below(2) == 0 ? 0x08 : 0x20
        note(index, "fallocate mode \(mode)")
        do throws(SystemError) {
            try System.allocate(files[index], mode, offset / 4096 * 4096, 4096)
            XCTFail("mode \(mode) of fallocate is refused")
        } catch {
            XCTAssertEqual(error.code, EOPNOTSUPP)
        }
    }

    private func direct(_ index: Int, _ offset: Int, _ length: Int) throws {
        let start = offset / 4096 * 4096
        let count = min((length + 4095) / 4096 * 4096, (Self.sizeMax - start) / 4096 * 4096)
        let isWriting = random.below(2) == 0
        note(index, "\(isWriting ? "write" : "read") \(start)+\(count) directly")
        guard count > 0 else { return }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
        defer { buffer.deallocate() }
        let bytes = content(count)
        let expected = Array(models[index].read(start, count))
        try System.with(path(index), O_RDWR | ASHLAR_O_DIRECT) { file throws(SystemError) in
            if isWriting {
                buffer.copyBytes(from: bytes)
                XCTAssertEqual(
                    try System.check(pwrite(file, buffer.baseAddress, count, off_t(start))), count)
            } else {
                let got = try System.check(pread(file, buffer.baseAddress, count, off_t(start)))
                XCTAssertTrue(Array(buffer.prefix(got)) == expected)
            }
        }
        if isWriting { models[index].write(bytes, at: start) }
    }

    private func withMapping(
        _ index: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Void
    ) throws {
        let size = models[index].bytes.count
        let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, files[index], 0)
        guard let memory, memory != MAP_FAILED else { throw SystemError(errno) }
        defer { munmap(memory, size) }
        try body(UnsafeMutableRawBufferPointer(start: memory, count: size))
    }

    private func readMapped(_ index: Int, _ offset: Int, _ length: Int) throws {
        let expected = models[index].read(offset, length)
        note(index, "map to read \(offset)+\(expected.count)")
        guard !expected.isEmpty else { return }
        try withMapping(index) { memory in
            XCTAssertTrue(memory[offset..<(offset + expected.count)].elementsEqual(expected))
        }
    }

    private func map(_ index: Int, _ offset: Int, _ length: Int) throws {
        let count = models[index].read(offset, length).count
        let isSynchronizing = random.below(2) == 0
        note(index, "map \(offset)+\(count)\(isSynchronizing ? " msync" : "")")
        guard count > 0 else { return }
        let bytes = random.bytes(count)
        try withMapping(index) { memory in
            memory[offset..<(offset + count)].copyBytes(from: bytes)
            if isSynchronizing {
                try System.check(msync(memory.baseAddress, memory.count, MS_SYNC))
            }
        }
        models[index].map(bytes, at: offset, synchronized: isSynchronizing)
    }

    /// A hole is all zeros, and what is no hole begins where the next data is found.
    private func seek(_ index: Int, _ offset: Int) throws {
        note(index, "seek from \(offset)")
        let size = models[index].bytes.count
        guard offset < size else {
            XCTAssertNil(try? System.seek(files[index], offset, Self.holeSeek))
            return
        }
        let hole = try System.seek(files[index], offset, Self.holeSeek)
        XCTAssertTrue((offset...size).contains(hole), "the hole behind \(offset) at \(hole)")
        guard hole < size else { return }
        let data = (try? System.seek(files[index], hole, Self.dataSeek)) ?? size
        XCTAssertTrue(
            models[index].read(hole, data - hole).allSatisfy { $0 == 0 },
            "the hole \(hole)..<\(data) has data")
    }

    private func reopen(_ index: Int) throws {
        note(index, "reopen")
        Glibc.close(files[index])
        files[index] = try System.open(path(index), O_RDWR)
    }

    // MARK: comparing

    /// Whether the files are what they should be: all of them, or some bytes somewhere.
    func verify(whole: Bool) throws -> Bool {
        for index in whole ? [0, 1] : [random.below(2)] {
            let model = models[index]
            var status = stat()
            try System.check(fstat(files[index], &status))
            guard Int(status.st_size) == model.bytes.count else {
                note(index, "size is \(status.st_size), not \(model.bytes.count)")
                return false
            }
            let offset = whole ? 0 : random.below(Self.sizeMax)
            let length = whole ? Self.sizeMax : random.below(50_000)
            let found = try System.read(files[index], length, at: offset)
            let expected = Array(model.read(offset, length))
            if found != expected {
                let first = zip(found, expected).enumerated().first { $1.0 != $1.1 }?.offset ?? -1
                note(index, "read \(offset)+\(length) differs at \(offset + first)")
                return false
            }
        }
        return true
    }

    /// Remounts, in one of the ways in which a mount can end; false when something is lost that must
    /// not be.
    func interrupt(_ options: String) throws -> Bool {
        let way = random.below(3)
        history.append(["unmounted", "killed behind an fsync", "killed"][way])
        // What is written to mappings is on its way at some time or other.
        if way == 1 || models.contains(where: \.isLoose) {
            try synchronize(0)
            try synchronize(1)
        }
        close()
        if way == 0 {
            try place.remount(options)
            models[0].synchronize()
            models[1].synchronize()
        } else {
            try place.crash()
            try place.mount(options)
            for index in 0..<2 {
                let found = try System.readFile(path(index))
                guard let lost = models[index].recover(found) else {
                    note(index, "\(found.count) bytes are in no state since the last fsync")
                    history += models[index].differences(found)
                    return false
                }
                if lost > 0 { note(index, "\(lost) changes lost") }
            }
        }
        try open()
        return try verify(whole: true)
    }
}
