// One request, on the daemon's side.
import Platform

/// A client that was accepted. Progress may be told from any thread; the rest is its handler's.
final class Connection: Sendable {
    private let socket: UnixSocket
    private let timeoutNanoseconds: UInt64
    /// Whether a line could not be delivered: nothing more is sent then.
    private let isBroken = ConditionMutex(false)

    init(_ socket: UnixSocket, timeoutNanoseconds: UInt64) {
        self.socket = socket
        self.timeoutNanoseconds = timeoutNanoseconds
    }

    private var deadline: UInt64 { monotonicNanoseconds() + timeoutNanoseconds }

    /// What the client asks.
    func request() throws(ControlError) -> ControlRequest {
        var lines = LineReader(socket, limitBytes: Control.requestBytesMax)
        let value = try JSONValue(line: try lines.next(deadline: deadline))
        guard let command = value["command"]?.text else {
            throw .badMessage("no command")
        }
        let arguments = value["arguments"] ?? .object([:])
        guard case .object = arguments else { throw .badMessage("arguments are no object") }
        return ControlRequest(command: command, arguments: arguments, connection: self)
    }

    func progress(_ value: JSONValue) {
        send(.object(["progress": value]))
    }

    var isAbandoned: Bool { isBroken.withLock { $0 } || socket.isHungUp }

    /// The last line.
    func answer(_ result: Result<JSONValue, ControlError>) {
        switch result {
        case .success(let value): send(.object(["result": value]))
        case .failure(let error):
            let (code, message) = Self.words(error)
            send(.object(["error": .object(["code": .text(code), "message": .text(message)])]))
        }
    }

    private static func words(_ error: ControlError) -> (code: String, message: String) {
        switch error {
        case .refused(let code, let message): (code, message)
        case .badMessage(let what): ("bad-request", "the request makes no sense: \(what)")
        case .tooLong(let limit): ("bad-request", "a request has at most \(limit) bytes")
        case .timedOut: ("timed-out", "the request did not come in time")
        default: ("failed", error.words)
        }
    }

    private func send(_ value: JSONValue) {
        isBroken.withLock { isBroken in
            guard !isBroken else { return }
            do throws(ControlError) {
                let line = try value.line()
                guard line.count <= Control.answerBytesMax else {
                    throw .tooLong(limitBytes: Control.answerBytesMax)
                }
                try socket.send(line, deadline: deadline)
            } catch {
                isBroken = true
            }
        }
    }
}
