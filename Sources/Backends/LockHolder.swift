/// Who holds a store: what the text in a lock file says. For people only.
import Glibc
import Platform

public struct LockHolder: Equatable, Sendable, CustomStringConvertible {
    public var processID: Int32
    public var host: String
    public var command: String
    /// When the lock was taken, in seconds since 1970 UTC.
    public var sinceSeconds: Int64
    /// When the process started, in clock ticks since boot: tells it from a later one of its number.
    public var startedTicks: UInt64
    public var mode: StoreLockMode

    static let textBytesMax = 4096
    /// Longer commands are cut.
    static let commandBytesMax = 256

    /// The living process that the text of a lock file names; nil where there is none.
    init?(_ file: Descriptor, _ systemCalls: any SystemCalls) {
        var bytes = [UInt8](repeating: 0, count: Self.textBytesMax)
        let got = bytes.withUnsafeMutableBytes { buffer in
            try? systemCalls.readAll(file, into: buffer, at: 0)
        }
        guard let got else { return nil }
        self.init(text: bytes.prefix(got))
        guard isAlive else { return nil }
    }

    /// This process.
    static func current(
        mode: StoreLockMode, command: String?, sinceSeconds: Int64
    ) -> LockHolder {
        let processID = getpid()
        return LockHolder(
            processID: processID, host: hostName(),
            command: printable((command ?? commandLine()).utf8),
            sinceSeconds: sinceSeconds,
            startedTicks: startTicks(of: processID) ?? 0, mode: mode)
    }

    var text: String {
        """
        pid=\(processID)
        host=\(host)
        command=\(command)
        since=\(sinceSeconds)
        started=\(startedTicks)
        mode=\(mode.rawValue)

        """
    }

    /// Reads the text; nil where anything is missing or no number. Unknown lines are passed over.
    init?(text bytes: some Collection<UInt8>) {
        var fields: [String: String] = [:]
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            guard let equals = line.firstIndex(of: UInt8(ascii: "=")) else { continue }
            fields[Self.printable(line[..<equals])] = Self.printable(
                line[line.index(after: equals)...])
        }
        guard let processID = fields["pid"].flatMap({ Int32($0) }), processID > 0,
            let host = fields["host"], let command = fields["command"],
            let since = fields["since"].flatMap({ Int64($0) }),
            let started = fields["started"].flatMap({ UInt64($0) }),
            let mode = fields["mode"].flatMap({ StoreLockMode(rawValue: $0) })
        else { return nil }
        self.init(
            processID: processID, host: host, command: command, sinceSeconds: since,
            startedTicks: started, mode: mode)
    }

    init(
        processID: Int32, host: String, command: String, sinceSeconds: Int64,
        startedTicks: UInt64, mode: StoreLockMode
    ) {
        self.processID = processID
        self.host = host
        self.command = command
        self.sinceSeconds = sinceSeconds
        self.startedTicks = startedTicks
        self.mode = mode
    }

    /// Whether the process runs. Of another host that cannot be seen, and is taken for granted: some
    /// process does hold the lock. A zombie has closed its files, and is not alive.
    public var isAlive: Bool {
        guard host == Self.hostName() else { return true }
        return Self.startTicks(of: processID) == startedTicks
    }

    /// "pid 4711 (ashlar mount /srv/store /mnt) on mason since 2026-11-21T04:20:00Z".
    public var description: String {
        "pid \(processID) (\(command)) on \(host) since \(Self.time(sinceSeconds))"
    }

    private static func time(_ seconds: Int64) -> String {
        var moment = time_t(seconds)
        var fields = tm()
        var characters = [CChar](repeating: 0, count: 64)
        guard gmtime_r(&moment, &fields) != nil else { return "@\(seconds)" }
        let count = strftime(&characters, characters.count, "%Y-%m-%dT%H:%M:%SZ", &fields)
        let bytes = characters.prefix(count).map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func hostName() -> String {
        var characters = [CChar](repeating: 0, count: 256)
        guard gethostname(&characters, characters.count - 1) == 0 else { return "localhost" }
        return printable(characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) })
    }

    private static func commandLine() -> String {
        let bytes = (try? readSmallFile("/proc/self/cmdline", limitBytes: textBytesMax)) ?? []
        return bytes.split(separator: 0)
            .map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
    }

    /// Field 22 of /proc/PID/stat, counted from behind the command in parentheses, which may contain
    /// spaces and parentheses itself; nil when there is no such process, or only a zombie.
    private static func startTicks(of processID: Int32) -> UInt64? {
        let path = "/proc/\(processID)/stat"
        guard let bytes = try? readSmallFile(path, limitBytes: 2048),
            let parenthesis = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = bytes[(parenthesis + 1)...].split(separator: UInt8(ascii: " "))
        // The first field behind the command is number 3.
        guard fields.count > 19, let state = fields[0].first,
            state != UInt8(ascii: "Z"), state != UInt8(ascii: "X")
        else { return nil }
        return UInt64(String(decoding: fields[19], as: UTF8.self))
    }

    /// At most `commandBytesMax` bytes; what is not printable ASCII becomes `?`, so that a text in a
    /// lock file can neither break a line nor command a terminal.
    private static func printable(_ bytes: some Sequence<UInt8>) -> String {
        let kept = bytes.prefix(commandBytesMax).map { byte in
            byte >= 0x20 && byte < 0x7F ? byte : UInt8(ascii: "?")
        }
        return String(decoding: kept, as: UTF8.self)
    }
}
