// The daemon's side.
import Backends
import CLinux
import Glibc
import Platform

/// What a handler is asked.
public struct ControlRequest: Sendable {
    /// The command's name.
    public let command: String
    /// An object, empty where none was sent.
    public let arguments: JSONValue
    let connection: Connection

    /// Tells the client how far the work has come. Does nothing when the client is gone.
    public func progress(_ value: JSONValue) {
        connection.progress(value)
    }

    /// Whether the client has hung up: long work that was asked for by nobody may end.
    public var isAbandoned: Bool { connection.isAbandoned }
}

/// Answers a request with its result. Runs on a thread of the server; several at once.
///
/// Throws `refused` with the code and the words for the client; any other error becomes `failed`.
public typealias ControlHandler = @Sendable (ControlRequest) throws(ControlError) -> JSONValue

/// Listens in a store, from `init` to `stop()`.
public final class ControlServer: Sendable {
    private struct State {
        var waiting: [UnixSocket] = []
        var isStopping = false
    }

    private let folder: StoreFolder
    private let listener: UnixSocket
    /// Written to once, to wake the thread that accepts.
    private let wake: (read: Int32, write: Int32)
    /// The socket's file as it was bound.
    private let device: UInt64
    private let inode: UInt64
    private let handlers: [String: ControlHandler]
    private let timeoutNanoseconds: UInt64
    private let state = ConditionMutex(State())
    private let threads: ConditionMutex<[PlatformThread]>

    /// Begins to listen.
    ///
    /// - Parameters:
    ///   - storePath: the store's directory.
    ///   - lock: proof that the caller holds the store, so that a socket that is there is stale.
    ///   - handlers: by the names of commands.
    ///   - timeoutNanoseconds: how long a peer may take for a line.
    public init(
        storePath: String, holding lock: StoreLock, handlers: [String: ControlHandler],
        timeoutNanoseconds: UInt64 = Control.peerTimeoutNanoseconds
    ) throws(ControlError) {
        _ = lock
        folder = try StoreFolder(storePath)
        self.handlers = handlers
        self.timeoutNanoseconds = timeoutNanoseconds
        listener = try Self.listen(in: folder, storePath)
        guard let status = try folder.status() else {
            throw .system(call: "bind", code: ENOENT)
        }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        wake = try Self.pipe()
        threads = ConditionMutex([])
        do throws(ControlError) {
            try start()
        } catch {
            stop()
            throw error
        }
    }

    deinit {
        close(wake.read)
        close(wake.write)
    }

    private static func listen(
        in folder: StoreFolder, _ storePath: String
    ) throws(ControlError) -> UnixSocket {
        if let old = try folder.status() {
            guard old.st_mode & S_IFMT == S_IFSOCK else {
                throw .notASocket(path: "\(storePath)/\(Control.socketName)")
            }
            try folder.remove()
        }
        let socket = try UnixSocket()
        guard UnixSocket.withAddress(folder.socketPath, { bind(socket.descriptor, $0, $1) }) == 0
        else { throw .system(call: "bind", code: errno) }
        // Nobody can connect before `listen`.
        try folder.restrict()
        guard Glibc.listen(socket.descriptor, Int32(Control.waitingMax)) == 0 else {
            throw .system(call: "listen", code: errno)
        }
        return socket
    }

    private static func pipe() throws(ControlError) -> (Int32, Int32) {
        var ends: [Int32] = [0, 0]
        guard ashlar_pipe(&ends) == 0 else { throw .system(call: "pipe2", code: errno) }
        return (ends[0], ends[1])
    }

    /// Threads hold the server only while they work on something, so that they keep it alive until
    /// `stop()`, which every owner calls.
    private func start() throws(ControlError) {
        do throws(Errno) {
            for index in 0..<Control.handlerThreads {
                let thread = try PlatformThread(name: "control-\(index)") { [self] in handle() }
                threads.withLock { $0.append(thread) }
            }
            let acceptor = try PlatformThread(name: "control-accept") { [self] in accept() }
            threads.withLock { $0.append(acceptor) }
        } catch {
            throw .system(call: "pthread_create", code: error.rawValue)
        }
    }

    /// Accepts no more, lets running handlers end, and removes the socket. A second call does
    /// nothing. Not from a handler.
    public func stop() {
        let isFirst = state.withLock { state in
            defer { state.isStopping = true }
            return !state.isStopping
        }
        guard isFirst else { return }
        state.broadcast()
        var byte: UInt8 = 0
        // A pipe of our own with room for a byte.
        _ = write(wake.write, &byte, 1)
        let running = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in running { thread.join() }
        // Whatever has taken the name since is somebody else's.
        if let now = try? folder.status(), UInt64(now.st_dev) == device,
            UInt64(now.st_ino) == inode
        {
            try? folder.remove()
        }
        state.withLock { $0.waiting = [] }
    }

    // MARK: threads

    private func accept() {
        while true {
            var entries = [
                pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0),
            ]
            let count = poll(&entries, 2, -1)
            if state.withLock({ $0.isStopping }) { return }
            if count <= 0 { continue }
            let descriptor = ashlar_accept(listener.descriptor)
            guard descriptor >= 0 else {
                // Out of descriptors or memory: let some be given back.
                if errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS {
                    sleepNanoseconds(100_000_000)
                }
                continue
            }
            take(UnixSocket(adopting: descriptor))
        }
    }

    private func take(_ socket: UnixSocket) {
        guard let user = try? socket.peerUser(), user == 0 || user == geteuid() else { return }
        let isTaken = state.withLock { state in
            guard state.waiting.count < Control.waitingMax else { return false }
            state.waiting.append(socket)
            return true
        }
        if isTaken {
            state.signal()
        } else {
            Connection(socket, timeoutNanoseconds: 0)
                .answer(.failure(.refused(code: "busy", message: "too many requests")))
        }
    }

    private func handle() {
        while true {
            let socket = state.wait(
                until: { !$0.waiting.isEmpty || $0.isStopping },
                then: { state in
                    state.isStopping || state.waiting.isEmpty ? nil : state.waiting.removeFirst()
                })
            guard let socket else { return }
            let connection = Connection(socket, timeoutNanoseconds: timeoutNanoseconds)
            connection.answer(result(connection))
        }
    }

    private func result(_ connection: Connection) -> Result<JSONValue, ControlError> {
        do throws(ControlError) {
            let request = try connection.request()
            guard let handler = handlers[request.command] else {
                throw .refused(
                    code: "unknown-command", message: "the daemon knows no such command")
            }
            return .success(try handler(request))
        } catch {
            return .failure(error)
        }
    }
}
