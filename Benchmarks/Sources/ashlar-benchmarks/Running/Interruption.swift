import Dispatch
import Foundation
import Synchronization

/// SIGINT and SIGTERM: the program that is running on our behalf is ended, and whoever waits for it
/// gets `interrupted`; cleaning up is not disturbed. Any thread.
enum Interruption {
    private struct State {
        var isRequested = false
        /// The process group of the program that may be ended, or 0.
        var group: pid_t = 0
    }

    private static let state = Mutex(State())
    /// Kept alive; written once, by `begin`.
    private nonisolated(unsafe) static var sources: [any DispatchSourceSignal] = []

    static var isRequested: Bool { state.withLock { $0.isRequested } }

    /// Takes over the signals. Once, at the start.
    static func begin() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { request() }
            source.resume()
            sources.append(source)
        }
    }

    private static func request() {
        state.withLock {
            $0.isRequested = true
            if $0.group > 0 { kill(-$0.group, SIGTERM) }
        }
    }

    /// Throws if a signal has come.
    static func check() throws(BenchmarkError) {
        if isRequested { throw .interrupted }
    }

    /// Names the process group that a signal ends; 0 for none.
    static func setGroup(_ group: pid_t) {
        state.withLock {
            $0.group = group
            if $0.isRequested, group > 0 { kill(-group, SIGTERM) }
        }
    }
}
