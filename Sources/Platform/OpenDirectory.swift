/// An open directory, and what is in it under names of any bytes: for programs that copy trees.
///
/// Invariants:
/// 1. A name is one part of a path: nothing here leads out of the directory but a name of `..` or
///    with a slash, which callers have refused. Symbolic links are never followed.
/// 2. Nothing here waits for anybody: a FIFO is opened without its other end.
///
/// Any thread, but for `names`, of which one runs at a time. Closed when the last reference goes.
import CLinux
import Glibc

public final class OpenDirectory: Sendable {
    public let descriptor: Descriptor

    /// Opens a directory at a path, which may lead through symbolic links and to one.
    public init(path: String) throws(Errno) {
        descriptor = try LinuxSystemCalls().open(at: .currentDirectory, path, [.directory], mode: 0)
    }

    private init(_ number: Int32) {
        descriptor = Descriptor(number: number)
    }

    deinit {
        _ = try? LinuxSystemCalls().close(descriptor)
    }

    /// A directory in this one.
    public func directory(_ name: [UInt8]) throws(Errno) -> OpenDirectory {
        OpenDirectory(
            try withName(name) { (name) throws(Errno) in
                try checked { ashlar_open_to_read(descriptor.number, name, true) }
            })
    }

    /// Opens a file for reading; its access time stays where the caller may have that. The caller
    /// looks whether it is what was wanted, and closes it.
    public func file(_ name: [UInt8]) throws(Errno) -> Descriptor {
        Descriptor(
            number: try withName(name) { (name) throws(Errno) in
                try checked { ashlar_open_to_read(descriptor.number, name, false) }
            })
    }

    // MARK: looking

    /// Of a name; of the directory itself where it is empty.
    public func facts(_ name: [UInt8] = []) throws(Errno) -> FileFacts {
        try withName(name) { (name) throws(Errno) in
            var facts = ashlar_file_facts()
            _ = try checked { ashlar_file_facts(descriptor.number, name, &facts) }
            return FileFacts(facts)
        }
    }

    /// Of an open file.
    public static func facts(of file: Descriptor) throws(Errno) -> FileFacts {
        var facts = ashlar_file_facts()
        _ = try checked { ashlar_file_facts(file.number, "", &facts) }
        return FileFacts(facts)
    }

    /// Where data begins at or behind `offset` of an open file; nil where a hole follows to its end.
    /// Moves the descriptor's position, which `SystemCalls.read` does not use.
    public static func nextData(
        of file: Descriptor, from offset: UInt64
    ) throws(Errno) -> UInt64? {
        do throws(Errno) {
            return UInt64(try checked { ashlar_seek_data(file.number, Int64(clamping: offset)) })
        } catch .noSuchAddressOrDevice {
            return nil
        }
    }

    /// Where a hole begins at or behind `offset`: the end of the file at the latest.
    public static func nextHole(
        of file: Descriptor, from offset: UInt64
    ) throws(Errno) -> UInt64 {
        UInt64(try checked { ashlar_seek_hole(file.number, Int64(clamping: offset)) })
    }

    /// All names but "." and "..", in no order.
    public func names() throws(Errno) -> NameList {
        var list = NameList()
        _ = try checked { lseek(descriptor.number, 0, SEEK_SET) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: OpenDirectory.recordBytes, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = try checked {
                ashlar_directory_records(descriptor.number, buffer.baseAddress, buffer.count)
            }
            guard count > 0 else { return list }
            var next = 0
            while let name = ashlar_directory_record(buffer.baseAddress, count, next, &next) {
                list.append(UnsafeRawBufferPointer(start: name, count: strlen(name)))
            }
        }
    }

    private static let recordBytes = 64 << 10

    /// Where a symbolic link leads.
    public func target(_ name: [UInt8]) throws(Errno) -> [UInt8] {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = try withName(name) { (name) throws(Errno) in
            try checked { readlinkat(descriptor.number, name, &buffer, buffer.count) }
        }
        return buffer[..<count].map { UInt8(bitPattern: $0) }
    }

    /// The names of a file's extended attributes; none where there are no such things.
    public func attributeNames(_ name: [UInt8]) throws(Errno) -> [[UInt8]] {
        do throws(Errno) {
            var buffer = [CChar](repeating: 0, count: 1024)
            while true {
                do throws(Errno) {
                    let count = try withName(name) { (name) throws(Errno) in
                        try checked {
                            ashlar_attribute_names(descriptor.number, name, &buffer, buffer.count)
                        }
                    }
                    return buffer[..<count].split(separator: 0)
                        .map { $0.map { UInt8(bitPattern: $0) } }
                } catch .outOfRange where buffer.count < OpenDirectory.attributeBytesMax {
                    buffer = [CChar](repeating: 0, count: OpenDirectory.attributeBytesMax)
                }
            }
        } catch .notSupported {
            return []
        }
    }

    /// XATTR_LIST_MAX and XATTR_SIZE_MAX.
    private static let attributeBytesMax = 65_536

    /// The value of an extended attribute; nil where it is gone.
    public func attribute(_ name: [UInt8], _ attribute: [UInt8]) throws(Errno) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 1024)
        while true {
            do throws(Errno) {
                let count = try withName(name) { (name) throws(Errno) in
                    try withName(attribute) { (attribute) throws(Errno) in
                        try checked {
                            ashlar_attribute_value(
                                descriptor.number, name, attribute, &buffer, buffer.count)
                        }
                    }
                }
                return Array(buffer[..<count])
            } catch {
                if error.rawValue == ENODATA { return nil }
                guard error == .outOfRange, buffer.count < OpenDirectory.attributeBytesMax else {
                    throw error
                }
                buffer = [UInt8](repeating: 0, count: OpenDirectory.attributeBytesMax)
            }
        }
    }

    func withName<Result>(
        _ name: [UInt8], _ body: (UnsafePointer<CChar>) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        let characters = name.map { CChar(bitPattern: $0) } + [0]
        return try characters.withUnsafeBufferPointer { (buffer) throws(Errno) in
            guard let start = buffer.baseAddress else { throw Errno.invalidArgument }
            return try body(start)
        }
    }
}

/// Names of a directory, packed: some bytes more than their own for each.
public struct NameList: Sendable {
    private var bytes: [UInt8] = []
    private var ends: [UInt32] = []

    /// Most bytes of one directory's names.
    private static let bytesMax = Int(UInt32.max)

    public init() {}

    public var count: Int { ends.count }

    public subscript(index: Int) -> [UInt8] { Array(bytes[range(index)]) }

    private func range(_ index: Int) -> Range<Int> {
        (index == 0 ? 0 : Int(ends[index - 1]))..<Int(ends[index])
    }

    mutating func append(_ name: UnsafeRawBufferPointer) {
        let isDots = name.count <= 2 && name.allSatisfy { $0 == 0x2e }
        guard !isDots, bytes.count + name.count <= NameList.bytesMax else { return }
        bytes.append(contentsOf: name)
        ends.append(UInt32(bytes.count))
    }

    /// In the order of their bytes.
    public func sorted() -> NameList {
        let order = bytes.withUnsafeBytes { raw in
            (0..<UInt32(count)).sorted { a, b in
                let x = UnsafeRawBufferPointer(rebasing: raw[range(Int(a))])
                let y = UnsafeRawBufferPointer(rebasing: raw[range(Int(b))])
                let common = min(x.count, y.count)
                guard common > 0, let p = x.baseAddress, let q = y.baseAddress else {
                    return x.count < y.count
                }
                let difference = memcmp(p, q, common)
                return difference == 0 ? x.count < y.count : difference < 0
            }
        }
        var result = NameList()
        result.bytes.reserveCapacity(bytes.count)
        result.ends.reserveCapacity(count)
        for index in order {
            result.bytes.append(contentsOf: bytes[range(Int(index))])
            result.ends.append(UInt32(result.bytes.count))
        }
        return result
    }
}
