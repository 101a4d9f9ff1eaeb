// Descriptors of the destination, and calls relative to them.
import CLinux
import Glibc
import Platform

/// An open file that closes itself.
final class OpenFile {
    let descriptor: Int32

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// Leads to the very inode, whatever happens to its name, and also to a symbolic link itself.
    var path: String { "/proc/self/fd/\(descriptor)" }

    func status() throws(RestoreError) -> stat {
        var status = stat()
        try Calls.check(fstat(descriptor, &status), "fstat")
        return status
    }
}

/// Errors of system calls, thrown.
enum Calls {
    @discardableResult
    static func check(_ result: Int32, _ call: String) throws(RestoreError) -> Int32 {
        guard result >= 0 else { throw .system(Errno(rawValue: errno), call: call) }
        return result
    }

    /// A name as the C library wants it.
    static func withName<Result>(
        _ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Result
    ) -> Result {
        (name.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer { buffer in
            // A buffer with a NUL in it has an address.
            buffer.baseAddress.map(body) ?? "".withCString(body)
        }
    }

    static let createFlags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC
}

/// A directory of the destination.
final class DestinationDirectory {
    let file: OpenFile

    init(_ file: OpenFile) {
        self.file = file
    }

    /// What the caller names may be reached by symbolic links; what is below may not.
    static func open(path: String) throws(RestoreError) -> DestinationDirectory {
        let flags = O_RDONLY | ASHLAR_O_DIRECTORY | O_CLOEXEC
        return DestinationDirectory(
            OpenFile(try Calls.check(Glibc.open(path, flags), "open")))
    }

    /// Keeps others away until the descriptor is closed. Filesystems without locks have none.
    func lock() throws(RestoreError) {
        if flock(file.descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK { throw .busy }
    }

    /// nil where there is nothing of that name.
    func status(_ name: [UInt8]) throws(RestoreError) -> stat? {
        var status = stat()
        let result = Calls.withName(name) {
            fstatat(file.descriptor, $0, &status, AT_SYMLINK_NOFOLLOW)
        }
        if result != 0, errno == ENOENT { return nil }
        try Calls.check(result, "fstatat")
        return status
    }

    func openDirectory(_ name: [UInt8]) throws(RestoreError) -> DestinationDirectory {
        DestinationDirectory(try open(name, O_RDONLY | ASHLAR_O_DIRECTORY))
    }

    /// The inode, whatever it is, without the right to its bytes.
    func openNode(_ name: [UInt8]) throws(RestoreError) -> OpenFile {
        try open(name, ASHLAR_O_PATH)
    }

    /// A regular file to be read; a FIFO that is there instead does not block.
    func openForReading(_ name: [UInt8]) throws(RestoreError) -> OpenFile {
        try open(name, O_RDONLY | O_NONBLOCK)
    }

    private func open(_ name: [UInt8], _ flags: Int32) throws(RestoreError) -> OpenFile {
        let all = flags | ASHLAR_O_NOFOLLOW | O_CLOEXEC
        return OpenFile(
            try Calls.check(
                Calls.withName(name) { openat(file.descriptor, $0, all, 0) }, "openat"))
    }

    /// A new file that only its owner may open.
    func createFile(_ name: [UInt8]) throws(RestoreError) -> OpenFile {
        let flags = Calls.createFlags | ASHLAR_O_NOFOLLOW
        return OpenFile(
            try Calls.check(
                Calls.withName(name) { openat(file.descriptor, $0, flags, 0o600) },
                "openat"))
    }

    func makeDirectory(_ name: [UInt8]) throws(RestoreError) {
        try Calls.check(Calls.withName(name) { mkdirat(file.descriptor, $0, 0o700) }, "mkdirat")
    }

    func rename(_ from: [UInt8], to name: [UInt8]) throws(RestoreError) {
        let result = Calls.withName(from) { from in
            Calls.withName(name) { renameat(file.descriptor, from, file.descriptor, $0) }
        }
        try Calls.check(result, "renameat")
    }

    /// Nothing is said of what is not there.
    func remove(_ name: [UInt8], isDirectory: Bool = false) throws(RestoreError) {
        let flags: Int32 = isDirectory ? AT_REMOVEDIR : 0
        let result = Calls.withName(name) { unlinkat(file.descriptor, $0, flags) }
        if result != 0, errno == ENOENT { return }
        try Calls.check(result, "unlinkat")
    }

    /// All names but `.` and `..`, in no order.
    func names() throws(RestoreError) -> [[UInt8]] {
        // The stream's position is its own.
        let own = try Calls.check(
            openat(
                file.descriptor, ".", O_RDONLY | ASHLAR_O_DIRECTORY | O_CLOEXEC, 0), "openat")
        guard let stream = fdopendir(own) else {
            let reason = errno
            close(own)
            throw .system(Errno(rawValue: reason), call: "fdopendir")
        }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw .system(Errno(rawValue: errno), call: "readdir") }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: UInt8.self, capacity: 256) { start in
                    Array(UnsafeBufferPointer(start: start, count: strlen(tuple)))
                }
            }
            if name != [0x2e], name != [0x2e, 0x2e] { names.append(name) }
        }
    }
}
