import CLinux
import Foundation

/// The reason of a failed system call, comparable in tests.
public struct SystemError: Error, Equatable, CustomStringConvertible {
    public let code: Int32
    public init(_ code: Int32) { self.code = code }
    public var description: String { String(cString: strerror(code)) }
}

/// System calls as they are, with errors thrown; and those that `import Glibc` hides, by their names in
/// the C library. Descriptors are closed in programs that are started.
public enum System {
    @discardableResult
    public static func check<Result: SignedInteger>(_ result: Result) throws(SystemError) -> Result
    {
        guard result >= 0 else { throw SystemError(errno) }
        return result
    }

    public static func open(
        _ path: String, _ flags: Int32, _ mode: mode_t = 0o644
    ) throws(SystemError) -> Int32 {
        try check(Glibc.open(path, flags | O_CLOEXEC, mode))
    }

    /// Opens, passes the descriptor on, closes.
    @discardableResult
    public static func with<Result>(
        _ path: String, _ flags: Int32, _ mode: mode_t = 0o644,
        _ body: (Int32) throws(SystemError) -> Result
    ) throws(SystemError) -> Result {
        let file = try open(path, flags, mode)
        defer { close(file) }
        return try body(file)
    }

    public static func write(_ file: Int32, _ bytes: [UInt8], at offset: Int) throws(SystemError) {
        guard try check(pwrite(file, bytes, bytes.count, off_t(offset))) == bytes.count else {
            throw SystemError(EIO)
        }
    }

    public static func read(_ file: Int32, _ count: Int, at offset: Int) throws(SystemError)
        -> [UInt8]
    {
        var bytes = [UInt8](repeating: 0, count: count)
        let length = try check(pread(file, &bytes, count, off_t(offset)))
        return Array(bytes.prefix(length))
    }

    public static func writeFile(
        _ path: String, _ bytes: [UInt8], synchronized: Bool = false
    ) throws(SystemError) {
        try with(path, O_WRONLY | O_CREAT | O_TRUNC) { file throws(SystemError) in
            var done = 0
            while done < bytes.count {
                let part = Array(bytes[done..<min(bytes.count, done + (1 << 20))])
                try write(file, part, at: done)
                done += part.count
            }
            if synchronized { try check(fsync(file)) }
        }
    }

    public static func readFile(_ path: String) throws(SystemError) -> [UInt8] {
        try with(path, O_RDONLY) { file throws(SystemError) in
            var all: [UInt8] = []
            while true {
                let part = try read(file, 1 << 20, at: all.count)
                if part.isEmpty { return all }
                all += part
            }
        }
    }

    public static func status(_ path: String) throws(SystemError) -> stat {
        var status = stat()
        try check(lstat(path, &status))
        return status
    }

    /// The names in a directory, without "." and "..", sorted.
    public static func names(_ path: String) throws(SystemError) -> [[UInt8]] {
        guard let directory = opendir(path) else { throw SystemError(errno) }
        defer { closedir(directory) }
        var names: [[UInt8]] = []
        while let entry = readdir(directory) {
            let start = UnsafeRawPointer(entry).advanced(
                by: MemoryLayout<dirent>.offset(of: \dirent.d_name) ?? 0)
            let bytes = start.assumingMemoryBound(to: UInt8.self)
            let length = strlen(start.assumingMemoryBound(to: CChar.self))
            names.append(Array(UnsafeBufferPointer(start: bytes, count: length)))
        }
        return names.filter { $0 != [0x2e] && $0 != [0x2e, 0x2e] }
            .sorted { $0.lexicographicallyPrecedes($1) }
    }

    public static func readLink(_ path: String) throws(SystemError) -> [UInt8] {
        var characters = [CChar](repeating: 0, count: 4096)
        let length = try check(readlink(path, &characters, characters.count))
        return characters.prefix(length).map { UInt8(bitPattern: $0) }
    }

    /// Where data (`SEEK_DATA`, 3) or a hole (`SEEK_HOLE`, 4) begins at or behind `offset`.
    public static func seek(_ file: Int32, _ offset: Int, _ whence: Int32) throws(SystemError)
        -> Int
    {
        Int(try check(lseek(file, off_t(offset), whence)))
    }

    // MARK: hidden by the module map

    private static func symbol<Function>(
        _ name: String, _ type: Function.Type
    ) throws(SystemError) -> Function {
        guard let address = dlsym(nil, name) else { throw SystemError(ENOSYS) }
        return unsafeBitCast(address, to: type)
    }

    public static func allocate(
        _ file: Int32, _ mode: Int32, _ offset: Int, _ length: Int
    ) throws(SystemError) {
        try check(ashlar_fallocate(file, mode, Int64(offset), Int64(length)))
    }

    public static func rename(
        _ from: String, _ to: String, flags: UInt32
    ) throws(SystemError) {
        typealias Function =
            @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) ->
            Int32
        try check(try symbol("renameat2", Function.self)(AT_FDCWD, from, AT_FDCWD, to, flags))
    }

    public static func copyRange(
        _ from: Int32, _ fromOffset: Int, _ to: Int32, _ toOffset: Int, _ length: Int
    ) throws(SystemError) -> Int {
        typealias Function =
            @convention(c) (
                Int32, UnsafeMutablePointer<Int64>?, Int32, UnsafeMutablePointer<Int64>?, Int,
                UInt32
            ) -> Int
        var source = Int64(fromOffset)
        var target = Int64(toOffset)
        return try check(
            try symbol("copy_file_range", Function.self)(from, &source, to, &target, length, 0))
    }

    // MARK: extended attributes, of links themselves

    public static func setAttribute(
        _ path: String, _ name: String, _ value: [UInt8], flags: Int32 = 0
    ) throws(SystemError) {
        typealias Function =
            @convention(c) (
                UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeRawPointer?, Int, Int32
            ) -> Int32
        try check(
            try symbol("lsetxattr", Function.self)(path, name, value, value.count, flags))
    }

    public static func attribute(_ path: String, _ name: String) throws(SystemError) -> [UInt8] {
        typealias Function =
            @convention(c) (
                UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int
            ) -> Int
        var value = [UInt8](repeating: 0, count: 65536)
        let length = try check(
            try symbol("lgetxattr", Function.self)(path, name, &value, value.count))
        return Array(value.prefix(length))
    }

    /// Names as they come, each ended by NUL.
    public static func attributes(_ path: String) throws(SystemError) -> [String] {
        typealias Function =
            @convention(c) (UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int) -> Int
        var names = [UInt8](repeating: 0, count: 65536)
        let length = try check(
            try symbol("llistxattr", Function.self)(path, &names, names.count))
        return names.prefix(length).split(separator: 0)
            .map { String(decoding: $0, as: UTF8.self) }.sorted()
    }

    public static func removeAttribute(_ path: String, _ name: String) throws(SystemError) {
        typealias Function = @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Int32
        try check(try symbol("lremovexattr", Function.self)(path, name))
    }
}
