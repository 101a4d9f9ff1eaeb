import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// Random changes of one file against an array of bytes, in the manner of fsx (A. Tevanian, NeXT, 1991):
/// what is read is always what was written last, by whatever call.
final class FileModelTests: EndToEndTestCase {
    private static let operationCount = Machine.isLong ? 100_000 : 2_000
    private static let sizeMax = 700_000

    /// The file as it should be.
    private struct Model {
        var bytes: [UInt8] = []

        mutating func write(_ new: [UInt8], at offset: Int) {
            resize(max(bytes.count, offset + new.count))
            bytes.replaceSubrange(offset..<(offset + new.count), with: new)
        }

        mutating func resize(_ count: Int) {
            if count < bytes.count { bytes.removeSubrange(count...) }
            bytes.append(contentsOf: [UInt8](repeating: 0, count: count - bytes.count))
        }

        mutating func zero(_ offset: Int, _ length: Int) {
            let end = min(bytes.count, offset + length)
            guard offset < end else { return }
            bytes.replaceSubrange(offset..<end, with: [UInt8](repeating: 0, count: end - offset))
        }

        func read(_ offset: Int, _ length: Int) -> ArraySlice<UInt8> {
            bytes[min(offset, bytes.count)..<min(bytes.count, offset + length)]
        }
    }

    private var model = Model()
    private var history: [String] = []

    func testRandomChangesOfOneFile() throws {
        var random = SeededGenerator()
        let place = try makePlace()
        try place.mount("commit=1")
        var file = try System.open(place.path("file"), O_RDWR | O_CREAT)
        defer { close(file) }
        for number in 0..<Self.operationCount {
            try change(file, &random)
            guard try verify(file, &random, whole: number % 250 == 0) else {
                XCTFail("operation \(number); the last: \(history.suffix(12))")
                return
            }
            if number % 500 == 499 {
                close(file)
                if number % 1000 == 499 {
                    try place.remount("commit=1")
                } else {
                    // All of it was synchronised, so a crash changes nothing.
                    try mustRun(["sync", place.path("file")])
                    try place.crash()
                    try place.mount("commit=1")
                }
                history.append("remounted")
                file = try System.open(place.path("file"), O_RDWR)
                guard try verify(file, &random, whole: true) else {
                    XCTFail("behind \(number); the last: \(history.suffix(12))")
                    return
                }
            }
        }
        close(file)
        file = -1
        try place.unmount()
        try place.mustBeClean()
        XCTAssertTrue(try ashlar(["cat", place.store, "/file"]).output == model.bytes)
        try place.mount()
        try assertHoles(place)
        try place.unmount()
        try place.mustBeClean()
    }

    /// A hole holds nothing but zeros, and what was never written is one.
    private func assertHoles(_ place: Place) throws {
        for hole in Self.holes(of: place.path("file")) {
            XCTAssertTrue(model.bytes[hole].allSatisfy { $0 == 0 }, "hole \(hole)")
        }
        try System.with(place.path("file"), O_RDWR) { file throws(SystemError) in
            try System.check(ftruncate(file, off_t(Self.sizeMax * 4)))
        }
        let last = Self.holes(of: place.path("file")).last
        XCTAssertLessThanOrEqual(last?.lowerBound ?? .max, (Self.sizeMax + 4095) / 4096 * 4096)
        XCTAssertEqual(last?.upperBound, Self.sizeMax * 4)
    }

    private static func holes(of path: String) -> [Range<Int>] {
        var result: [Range<Int>] = []
        try? System.with(path, O_RDONLY) { file throws(SystemError) in
            let size = Int(try System.status(path).st_size)
            var offset = 0
            while offset < size {
                let start = try System.seek(file, offset, 4)
                guard start < size else { break }
                let end = (try? System.seek(file, start, 3)) ?? size
                result.append(start..<end)
                offset = end
            }
        }
        return result
    }

    // MARK: steps

    private func change(_ file: Int32, _ random: inout SeededGenerator) throws {
        let offset = random.below(2) == 0 ? random.below(Self.sizeMax) : random.below(30_000)
        let length = random.below(5) == 0 ? random.below(200_000) : 1 + random.below(9_000)
        let fitting = min(length, Self.sizeMax - offset)
        switch random.below(12) {
        case 0...4: try write(file, offset, fitting, &random)
        case 5: try truncate(file, random.below(3) == 0 ? 0 : offset)
        case 6, 7: try map(file, offset, fitting, &random)
        case 8:
            history.append("punch \(offset)+\(fitting)")
            guard fitting > 0 else { return }
            try System.allocate(
                file, ASHLAR_FALLOCATE_PUNCH_HOLE | ASHLAR_FALLOCATE_KEEP_SIZE, offset, fitting)
            model.zero(offset, fitting)
        case 9: try preallocate(file, offset, fitting, &random)
        case 10: try copy(file, offset, fitting, &random)
        default:
            history.append("fsync")
            try System.check(fsync(file))
        }
    }

    private func write(
        _ file: Int32, _ offset: Int, _ length: Int, _ random: inout SeededGenerator
    ) throws {
        history.append("write \(offset)+\(length)")
        let bytes =
            random.below(3) == 0
            ? [UInt8](repeating: UInt8(random.below(256)), count: length) : random.bytes(length)
        try System.write(file, bytes, at: offset)
        if length > 0 { model.write(bytes, at: offset) }
    }

    private func truncate(_ file: Int32, _ size: Int) throws {
        history.append("truncate \(size)")
        try System.check(ftruncate(file, off_t(size)))
        model.resize(size)
    }

    private func preallocate(
        _ file: Int32, _ offset: Int, _ length: Int, _ random: inout SeededGenerator
    ) throws {
        guard length > 0 else { return }
        let isZeroing = random.below(2) == 0
        history.append("\(isZeroing ? "zero" : "allocate") \(offset)+\(length)")
        let mode: Int32 = isZeroing ? ASHLAR_FALLOCATE_ZERO_RANGE : 0
        try System.allocate(file, mode, offset, length)
        model.resize(max(model.bytes.count, offset + length))
        if isZeroing { model.zero(offset, length) }
    }

    private func copy(
        _ file: Int32, _ offset: Int, _ length: Int, _ random: inout SeededGenerator
    ) throws {
        let target = random.below(Self.sizeMax)
        let count = min(length, Self.sizeMax - target, abs(target - offset))
        history.append("copy \(offset)+\(count) to \(target)")
        guard count > 0 else { return }
        let copied = try System.copyRange(file, offset, file, target, count)
        let source = Array(model.read(offset, count))
        XCTAssertEqual(copied, source.count)
        if copied > 0 { model.write(source, at: target) }
    }

    private func map(
        _ file: Int32, _ offset: Int, _ length: Int, _ random: inout SeededGenerator
    ) throws {
        let size = model.bytes.count
        guard offset < size, length > 0 else { return }
        let count = min(length, size - offset)
        history.append("map \(offset)+\(count)")
        let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
        guard let memory, memory != MAP_FAILED else { throw SystemError(errno) }
        defer { munmap(memory, size) }
        let mapped = UnsafeMutableRawBufferPointer(start: memory, count: size)
        XCTAssertTrue(Array(mapped[offset..<(offset + count)]) == Array(model.read(offset, count)))
        let bytes = random.bytes(count)
        mapped[offset..<(offset + count)].copyBytes(from: bytes)
        model.write(bytes, at: offset)
        if random.below(2) == 0 { try System.check(msync(memory, size, MS_SYNC)) }
    }

    private func verify(
        _ file: Int32, _ random: inout SeededGenerator, whole: Bool
    ) throws -> Bool {
        var status = stat()
        try System.check(fstat(file, &status))
        guard Int(status.st_size) == model.bytes.count else {
            history.append("size is \(status.st_size), not \(model.bytes.count)")
            return false
        }
        let offset = whole ? 0 : random.below(Self.sizeMax)
        let length = whole ? Self.sizeMax : random.below(50_000)
        let found = try System.read(file, length, at: offset)
        let expected = Array(model.read(offset, length))
        if found == expected { return true }
        let first = zip(found, expected).enumerated().first { $1.0 != $1.1 }?.offset ?? -1
        history.append("read \(offset)+\(length) differs at \(offset + first)")
        return false
    }
}
