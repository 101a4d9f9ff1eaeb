// The system calls of Unix stream sockets, with deadlines.
import CLinux
import Glibc
import Platform

/// An open socket that closes itself. Used by one thread at a time; any thread may hold it.
final class UnixSocket: Sendable {
    let descriptor: Int32

    init(adopting descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// A socket that waits for nothing: every call that would is waited for by `poll`.
    convenience init() throws(ControlError) {
        let kind =
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, kind, 0)
        if descriptor < 0 { throw .system(call: "socket", code: errno) }
        self.init(adopting: descriptor)
    }

    /// Calls `body` with the address of a socket at `path`, at most 107 bytes.
    static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { target in
            guard bytes.count < target.count else { return false }
            target.copyBytes(from: bytes)
            return true
        }
        guard fits else {
            errno = ENAMETOOLONG
            return -1
        }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    // MARK: bytes

    /// Waits until `events` (POLLIN, POLLOUT) can be done.
    private func wait(_ events: Int32, deadline: UInt64) throws(ControlError) {
        while true {
            let now = monotonicNanoseconds()
            if now >= deadline { throw .timedOut }
            let milliseconds = min((deadline - now + 999_999) / 1_000_000, UInt64(Int32.max))
            var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let count = poll(&entry, 1, Int32(milliseconds))
            if count > 0 { return }
            if count < 0, errno != EINTR { throw .system(call: "poll", code: errno) }
        }
    }

    /// Sends all of `bytes` before the deadline.
    func send(_ bytes: [UInt8], deadline: UInt64) throws(ControlError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.send(
                    descriptor, buffer.baseAddress.map { $0 + sent }, buffer.count - sent,
                    Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else {
                switch errno {
                case EINTR: continue
                case EAGAIN: try wait(POLLOUT, deadline: deadline)
                case EPIPE, ECONNRESET: throw .hungUp
                case let code: throw .system(call: "send", code: code)
                }
            }
        }
    }

    /// What has come, at most `limit` bytes; empty at the end.
    func receive(limit: Int, deadline: UInt64) throws(ControlError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: limit)
        while true {
            let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, limit, 0) }
            if count >= 0 {
                buffer.removeSubrange(count...)
                return buffer
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: try wait(POLLIN, deadline: deadline)
            case ECONNRESET: throw .hungUp
            case let code: throw .system(call: "recv", code: code)
            }
        }
    }

    /// Whether the other side has closed its end altogether; what it sent before is not looked at.
    var isHungUp: Bool {
        var entry = pollfd(fd: descriptor, events: 0, revents: 0)
        guard poll(&entry, 1, 0) > 0 else { return false }
        return Int32(entry.revents) & (POLLHUP | POLLERR) != 0
    }

    /// The user of the process at the other end.
    func peerUser() throws(ControlError) -> UInt32 {
        var process: pid_t = 0
        var user: uid_t = 0
        guard ashlar_peer(descriptor, &process, &user) == 0 else {
            throw .system(call: "getsockopt", code: errno)
        }
        return user
    }
}

/// Lines out of a stream, each at most so long.
struct LineReader {
    private let socket: UnixSocket
    private let limitBytes: Int
    private var pending: [UInt8] = []
    private var searched = 0

    init(_ socket: UnixSocket, limitBytes: Int) {
        self.socket = socket
        self.limitBytes = limitBytes
    }

    /// The next line without its line feed.
    ///
    /// - Throws: `tooLong`, `timedOut`, and `hungUp` where the stream ends before the line does.
    mutating func next(deadline: UInt64) throws(ControlError) -> [UInt8] {
        while true {
            if let end = pending[searched...].firstIndex(of: 0x0a) {
                let line = Array(pending[..<end])
                pending.removeSubrange(...end)
                searched = 0
                return line
            }
            searched = pending.count
            guard pending.count <= limitBytes else { throw .tooLong(limitBytes: limitBytes) }
            let more = try socket.receive(limit: 16 << 10, deadline: deadline)
            if more.isEmpty { throw .hungUp }
            pending.append(contentsOf: more)
        }
    }
}

/// The directory of a store, held open so that a socket in it has a short path, however long the
/// store's is: an address has room for 107 bytes.
final class StoreFolder: Sendable {
    private let descriptor: Int32

    init(_ path: String) throws(ControlError) {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 { throw .system(call: "open", code: errno) }
    }

    deinit {
        close(descriptor)
    }

    var socketPath: String { "/proc/self/fd/\(descriptor)/\(Control.socketName)" }

    /// The socket's kind, device and inode; nil where there is nothing.
    func status() throws(ControlError) -> stat? {
        var status = stat()
        if fstatat(descriptor, Control.socketName, &status, AT_SYMLINK_NOFOLLOW) == 0 {
            return status
        }
        if errno == ENOENT { return nil }
        throw .system(call: "fstatat", code: errno)
    }

    func remove() throws(ControlError) {
        if unlinkat(descriptor, Control.socketName, 0) != 0, errno != ENOENT {
            throw .system(call: "unlinkat", code: errno)
        }
    }

    func restrict() throws(ControlError) {
        if fchmodat(descriptor, Control.socketName, 0o600, 0) != 0 {
            throw .system(call: "fchmodat", code: errno)
        }
    }
}
