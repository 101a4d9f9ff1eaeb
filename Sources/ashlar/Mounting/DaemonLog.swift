// Where a mount's log goes: standard error in the foreground, syslog(3) in the background.
import CLinux
import Console
import Logging
import Platform

/// Sets the process's log up. The first call counts: swift-log can be set up once a process.
enum DaemonLog {
    private static let isSetUp = ConditionMutex(false)

    private static func setUp(_ make: @escaping @Sendable (String) -> any LogHandler) {
        isSetUp.withLock { isSetUp in
            if !isSetUp { LoggingSystem.bootstrap(make) }
            isSetUp = true
        }
    }

    /// To standard error, through `output`.
    static func toTerminal(_ output: Output, isVerbose: Bool) {
        setUp { label in
            LineLogHandler(label: label, level: isVerbose ? .debug : .info) { level, text in
                output.say("\(output.program): \(level >= .warning ? "\(level): " : "")\(text)\n")
            }
        }
    }

    /// To the system's log, as the daemon `ashlar`.
    static func toSystem(isVerbose: Bool) {
        ashlar_open_system_log()
        setUp { label in
            LineLogHandler(label: label, level: isVerbose ? .debug : .info) { level, text in
                ashlar_write_system_log(Self.severity(level), text)
            }
        }
    }

    /// The severity of syslog(3).
    static func severity(_ level: Logger.Level) -> Int32 {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}

/// A log handler that makes one escaped line of each event.
struct LineLogHandler: LogHandler {
    let label: String
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    private let write: @Sendable (Logger.Level, String) -> Void

    init(
        label: String, level: Logger.Level,
        write: @escaping @Sendable (Logger.Level, String) -> Void
    ) {
        self.label = label
        logLevel = level
        self.write = write
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var text = event.message.description
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { text += " \(key)=\(value)" }
        write(event.level, DisplayText.escaped(text.utf8))
    }
}
