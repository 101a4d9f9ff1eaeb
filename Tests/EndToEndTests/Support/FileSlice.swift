import CLinux
import EndToEndSupport
import Foundation

/// A part of a file that one thread works on, while others work on the parts beside it: first and
/// last pages are shared with them. One thread.
struct FileSlice {
    /// The length of a slice in bytes: no multiple of anything.
    static let bytes = 150_011

    private let path: String
    private let start: Int
    private var expected = [UInt8](repeating: 0, count: FileSlice.bytes)
    private var random: SeededGenerator
    private var history: [String] = []

    init(_ path: String, number: Int, seed: UInt64) {
        self.path = path
        start = number * Self.bytes
        random = SeededGenerator(seed: seed)
    }

    /// Does so many random changes, each compared with what should be there; what has gone wrong.
    mutating func perform(_ count: Int) -> String? {
        do throws(SystemError) {
            let file = try System.open(path, O_RDWR)
            defer { close(file) }
            for number in 0..<count {
                try step(file)
                let whole = number % 100 == 99
                let offset = whole ? 0 : random.below(Self.bytes)
                let length = whole ? Self.bytes : min(20_000, Self.bytes - offset)
                let found = try System.read(file, length, at: start + offset)
                guard found == Array(expected[offset..<(offset + length)]) else {
                    return "step \(number), the slice at \(start) differs in \(offset)+\(length), "
                        + "behind \(history.suffix(10))"
                }
            }
            return nil
        } catch {
            return "the slice at \(start): \(error), behind \(history.suffix(10))"
        }
    }

    private mutating func step(_ file: Int32) throws(SystemError) {
        let offset = random.below(Self.bytes)
        let length = min(1 + random.below(12_000), Self.bytes - offset)
        let bytes = random.bytes(length)
        switch random.below(12) {
        case 0...5:
            history.append("write \(offset)+\(length)")
            try System.write(file, bytes, at: start + offset)
            keep(bytes, offset)
        case 6, 7:
            history.append("map \(offset)+\(length)")
            try map(file, bytes, offset)
            keep(bytes, offset)
        case 8, 9:
            let isZeroing = random.below(2) == 0
            history.append("\(isZeroing ? "zero" : "punch") \(offset)+\(length)")
            let mode = isZeroing ? ASHLAR_FALLOCATE_ZERO_RANGE : ASHLAR_FALLOCATE_PUNCH_HOLE
            try System.allocate(
                file, mode | ASHLAR_FALLOCATE_KEEP_SIZE, start + offset, length)
            keep([UInt8](repeating: 0, count: length), offset)
        case 10:
            // Not into pages that are shared: behind COPY_FILE_RANGE Linux drops whole pages, with
            // what a neighbour has just stored there by a mapping (fs/fuse/file.c, 6.18).
            let inner = Self.bytes - 8192
            let target = 4096 + random.below(inner)
            let count = min(length, 4096 + inner - target, abs(target - offset))
            history.append("copy \(offset)+\(count) to \(target)")
            guard count > 0 else { return }
            let copied = try System.copyRange(file, start + offset, file, start + target, count)
            keep(Array(expected[offset..<(offset + copied)]), target)
        default:
            history.append("fsync")
            try System.check(fsync(file))
        }
    }

    private mutating func keep(_ bytes: [UInt8], _ offset: Int) {
        expected.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
    }

    private func map(_ file: Int32, _ bytes: [UInt8], _ offset: Int) throws(SystemError) {
        // A mapping begins at a page.
        let first = (start + offset) / 4096 * 4096
        let length = start + offset + bytes.count - first
        let memory = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, off_t(first))
        guard let memory, memory != MAP_FAILED else { throw SystemError(errno) }
        defer { munmap(memory, length) }
        UnsafeMutableRawBufferPointer(start: memory, count: length)[(start + offset - first)...]
            .copyBytes(from: bytes)
    }

    /// Where a whole file differs from the slice as it should be, if it does.
    func difference(in bytes: [UInt8]) -> String? {
        guard bytes.count >= start + Self.bytes else { return "\(bytes.count) bytes" }
        let wrong = expected.indices.filter { bytes[start + $0] != expected[$0] }
        guard let first = wrong.first, let last = wrong.last else { return nil }
        return "the slice at \(start) differs in \(wrong.count) bytes of \(first)...\(last)"
    }
}
