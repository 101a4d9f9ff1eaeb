// The side of the commands.
import Glibc
import Platform

/// A way to the daemon of one store. Each call is a connection of its own. Any thread.
public struct ControlClient: Sendable {
    /// The store's directory.
    public let storePath: String

    /// To the daemon of the store at that path, whether there is one or not.
    public init(storePath: String) {
        self.storePath = storePath
    }

    /// To the daemon that has mounted a volume at `mountpoint`.
    ///
    /// - Throws: `notMounted` where no volume of ours is mounted there.
    public init(mountpoint: String) throws(ControlError) {
        guard let mount = try MountTable.current().mount(at: mountpoint) else {
            throw .notMounted(mountpoint: mountpoint)
        }
        storePath = mount.source
    }

    /// Whether a daemon answers.
    public func isAnswered() throws(ControlError) -> Bool {
        do throws(ControlError) {
            _ = try connect()
            return true
        } catch {
            if case .noDaemon = error { return false }
            throw error
        }
    }

    /// Asks the daemon.
    ///
    /// - Parameters:
    ///   - silenceNanoseconds: how long the daemon may say nothing; nil for as long as it takes.
    ///   - progress: gets what the daemon tells on the way.
    /// - Returns: the result.
    public func call(
        _ command: String, _ arguments: [String: JSONValue] = [:],
        silenceNanoseconds: UInt64? = Control.peerTimeoutNanoseconds,
        progress: (JSONValue) -> Void = { _ in }
    ) throws(ControlError) -> JSONValue {
        let socket = try connect()
        let request: JSONValue = .object([
            "command": .text(command), "arguments": .object(arguments),
        ])
        let line = try request.line()
        guard line.count <= Control.requestBytesMax else {
            throw .tooLong(limitBytes: Control.requestBytesMax)
        }
        try socket.send(line, deadline: monotonicNanoseconds() + Control.peerTimeoutNanoseconds)
        var lines = LineReader(socket, limitBytes: Control.answerBytesMax)
        while true {
            let deadline = silenceNanoseconds.map { monotonicNanoseconds() + $0 } ?? UInt64.max
            let answer = try JSONValue(line: try lines.next(deadline: deadline))
            if let value = answer["progress"] {
                progress(value)
            } else if let value = answer["result"] {
                return value
            } else if let error = answer["error"], let code = error["code"]?.text {
                throw .refused(code: code, message: error["message"]?.text ?? code)
            } else {
                throw .badMessage("neither progress, result nor error")
            }
        }
    }

    private func connect() throws(ControlError) -> UnixSocket {
        let folder: StoreFolder
        do throws(ControlError) {
            folder = try StoreFolder(storePath)
        } catch {
            if case .system(_, ENOENT) = error { throw .noDaemon(store: storePath) }
            throw error
        }
        let socket = try UnixSocket()
        let deadline = monotonicNanoseconds() + Control.peerTimeoutNanoseconds
        while true {
            let result = UnixSocket.withAddress(folder.socketPath) { address, length in
                Glibc.connect(socket.descriptor, address, length)
            }
            if result == 0 { return socket }
            switch errno {
            case ENOENT, ECONNREFUSED, ENOTSOCK: throw .noDaemon(store: storePath)
            // The daemon's queue of connections is full.
            case EAGAIN where monotonicNanoseconds() < deadline: sleepNanoseconds(10_000_000)
            case EAGAIN: throw .timedOut
            case EINTR: continue
            case let code: throw .system(call: "connect", code: code)
            }
        }
    }
}
