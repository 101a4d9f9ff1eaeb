import Foundation

/// The reason of a failed system call, comparable in tests.
struct SystemError: Error, Equatable, CustomStringConvertible {
    let code: Int32
    init(_ code: Int32) { self.code = code }
    var description: String { String(cString: strerror(code)) }
}

/// System calls as they are, with errors thrown; and those that `import Glibc` hides, by their names in
/// the C library.
enum System {
    @discardableResult
    static func check<Result: SignedInteger>(_ result: Result) throws -> Result {
        guard result >= 0 else { throw SystemError(errno) }
        return result
    }

    static func open(_ path: String, _ flags: Int32, _ mode: mode_t = 0o644) throws -> Int32 {
        try check(Glibc.open(path, flags, mode))
    }

    /// Opens, passes the descriptor on, closes.
    static func with<Result>(
        _ path: String, _ flags: Int32, _ mode: mode_t = 0o644, _ body: (Int32) throws -> Result
    ) throws -> Result {
        let file = try open(path, flags, mode)
        defer { close(file) }
        return try body(file)
    }

    static func write(_ file: Int32, _ bytes: [UInt8], at offset: Int64? = nil) throws {
        let count =
            offset.map { pwrite(file, bytes, bytes.count, off_t($0)) }
            ?? Glibc.write(file, bytes, bytes.count)
        guard try check(count) == bytes.count else { throw SystemError(EIO) }
    }

    static func read(_ file: Int32, _ count: Int, at offset: Int64 = 0) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let length = try check(pread(file, &bytes, count, off_t(offset)))
        return Array(bytes.prefix(length))
    }

    static func writeFile(_ path: String, _ bytes: [UInt8]) throws {
        try with(path, O_WRONLY | O_CREAT | O_TRUNC) { try write($0, bytes) }
    }

    static func readFile(_ path: String) throws -> [UInt8] {
        try with(path, O_RDONLY) { file in
            var all: [UInt8] = []
            while true {
                let part = try read(file, 1 << 20, at: Int64(all.count))
                if part.isEmpty { return all }
                all += part
            }
        }
    }

    static func status(_ path: String) throws -> stat {
        var status = stat()
        try check(lstat(path, &status))
        return status
    }

    static func names(_ path: String) throws -> [[UInt8]] {
        guard let directory = opendir(path) else { throw SystemError(errno) }
        defer { closedir(directory) }
        var names: [[UInt8]] = []
        while let entry = readdir(directory) {
            let start = UnsafeRawPointer(entry).advanced(
                by: MemoryLayout<dirent>.offset(of: \dirent.d_name) ?? 0)
            let bytes = start.assumingMemoryBound(to: UInt8.self)
            names.append(Array(UnsafeBufferPointer(start: bytes, count: strlen(start))))
        }
        return names
    }

    private static func strlen(_ start: UnsafeRawPointer) -> Int {
        Glibc.strlen(start.assumingMemoryBound(to: CChar.self))
    }

    // MARK: hidden by the module map

    private static func symbol<Function>(_ name: String, _ type: Function.Type) -> Function? {
        dlsym(nil, name).map { unsafeBitCast($0, to: type) }
    }

    static func allocate(_ file: Int32, _ mode: Int32, _ offset: Int64, _ length: Int64) throws {
        typealias Function = @convention(c) (Int32, Int32, Int64, Int64) -> Int32
        guard let function = symbol("fallocate", Function.self) else { throw SystemError(ENOSYS) }
        try check(function(file, mode, offset, length))
    }

    static func rename(_ from: String, _ to: String, flags: UInt32) throws {
        typealias Function =
            @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) ->
            Int32
        guard let function = symbol("renameat2", Function.self) else { throw SystemError(ENOSYS) }
        try check(function(AT_FDCWD, from, AT_FDCWD, to, flags))
    }

    static func copyRange(_ from: Int32, _ to: Int32, _ length: Int) throws -> Int {
        typealias Function =
            @convention(c) (
                Int32, UnsafeMutablePointer<Int64>?, Int32, UnsafeMutablePointer<Int64>?, Int,
                UInt32
            ) -> Int
        guard let function = symbol("copy_file_range", Function.self) else {
            throw SystemError(ENOSYS)
        }
        return try check(function(from, nil, to, nil, length, 0))
    }

    // MARK: extended attributes

    static func setAttribute(
        _ path: String, _ name: String, _ value: [UInt8], flags: Int32 = 0
    ) throws {
        typealias Function =
            @convention(c) (
                UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeRawPointer?, Int, Int32
            ) -> Int32
        guard let function = symbol("setxattr", Function.self) else { throw SystemError(ENOSYS) }
        try check(function(path, name, value, value.count, flags))
    }

    /// The value's length; with `buffer`, which it is stored in.
    static func getAttribute(
        _ path: String, _ name: String, into buffer: UnsafeMutableRawBufferPointer? = nil
    ) throws -> Int {
        typealias Function =
            @convention(c) (
                UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int
            ) -> Int
        guard let function = symbol("getxattr", Function.self) else { throw SystemError(ENOSYS) }
        return try check(function(path, name, buffer?.baseAddress, buffer?.count ?? 0))
    }

    /// The same for the list of names.
    static func listAttributes(
        _ path: String, into buffer: UnsafeMutableRawBufferPointer? = nil
    ) throws -> Int {
        typealias Function =
            @convention(c) (UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int) -> Int
        guard let function = symbol("listxattr", Function.self) else { throw SystemError(ENOSYS) }
        return try check(function(path, buffer?.baseAddress, buffer?.count ?? 0))
    }

    static func removeAttribute(_ path: String, _ name: String) throws {
        typealias Function = @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Int32
        guard let function = symbol("removexattr", Function.self) else {
            throw SystemError(ENOSYS)
        }
        try check(function(path, name))
    }

    static func detach(_ path: String) {
        // MNT_FORCE | MNT_DETACH
        _ = umount2(path, 1 | 2)
    }

    /// Runs a program; its exit status, with what it printed.
    static func run(_ program: String, _ arguments: [String]) throws -> (Int32, String) {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: text, as: UTF8.self))
    }
}
