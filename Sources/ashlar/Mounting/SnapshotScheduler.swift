// Snapshots that a daemon makes by itself, as the rules of its volumes say.
import Console
import DiskFormat
import Logging
import Platform
import Retention
import Volume

/// Looks, on a thread of its own, whether a mounted volume is due for a snapshot, makes it, and lets go
/// of those that the volume's retention does not keep: of those that a schedule has made, no others.
/// Any thread may call it.
final class SnapshotScheduler: Sendable {
    private struct State {
        var isStopping = false
        var hasEnded = true
        /// Somebody has changed the rules, or mounted a volume.
        var isCalled = false
        var looksBegun: UInt64 = 0
        var looksEnded: UInt64 = 0
        /// When the last one was made, or the wait for it began, by the clock that is never set.
        var waitingSince: [String: UInt64] = [:]
        /// What has been complained of already.
        var complaints: Set<String> = []
    }

    /// The time of day may be set while one waits: it is looked at so often.
    private static let lookSecondsMax: UInt64 = 20
    private static let nanosecondsPerSecond: UInt64 = 1_000_000_000

    private let live: LiveStore
    private let log: Logger
    private let state = ConditionMutex(State())

    init(_ live: LiveStore, log: Logger) {
        self.live = live
        self.log = log
    }

    /// - Parameter volumes: the names of those that snapshots are made of.
    func start(_ volumes: @escaping @Sendable () -> [String]) throws(CommandFailure) {
        state.withLock { $0.hasEnded = false }
        do throws(Errno) {
            _ = try PlatformThread(name: "schedule") { [self] in run(volumes) }
        } catch {
            state.withLock { $0.hasEnded = true }
            throw CommandFailure(error, "cannot start a thread")
        }
    }

    /// Returns when no snapshot is being made any more.
    func stop() {
        state.withLock { $0.isStopping = true }
        state.broadcast()
        state.wait(until: { $0.hasEnded }, then: { _ in })
    }

    /// Something has changed: it looks at once.
    func look() {
        state.withLock { $0.isCalled = true }
        state.broadcast()
    }

    /// As `look`, and returns when what that finds due is made: what was changed before is obeyed.
    func lookAndWait() {
        let target = state.withLock { state in
            state.isCalled = true
            return state.looksBegun + 1
        }
        state.broadcast()
        state.wait(until: { $0.hasEnded || $0.looksEnded >= target }, then: { _ in })
    }

    private func run(_ volumes: @Sendable () -> [String]) {
        while true {
            var seconds = Self.lookSecondsMax
            state.withLock { state in
                state.isCalled = false
                state.looksBegun += 1
            }
            for volume in volumes() { seconds = min(seconds, serve(volume)) }
            state.withLock { $0.looksEnded = $0.looksBegun }
            state.broadcast()
            let deadline = monotonicNanoseconds() + seconds * Self.nanosecondsPerSecond
            _ = state.wait(
                deadlineNanoseconds: deadline, until: { $0.isStopping || $0.isCalled })
            if state.withLock({ $0.isStopping }) { break }
        }
        state.withLock { $0.hasEnded = true }
        state.broadcast()
    }

    /// Makes what is due.
    ///
    /// - Returns: seconds until it is worth looking again.
    private func serve(_ volume: String) -> UInt64 {
        do {
            let rules = try live.rules(of: volume)
            guard !rules.schedule.isEmpty else { return Self.lookSecondsMax }
            let schedule = try SnapshotSchedule(text: rules.schedule)
            let clock = wallClock()
            let now = DiskTime(seconds: clock.seconds, nanoseconds: clock.nanoseconds)
            let snapshots = try live.snapshots(of: volume)
            let last = snapshots.last { $0.tags.contains(SnapshotSchedule.tag) }
            let uptime = monotonicNanoseconds()
            let since = state.withLock { state in
                let since = state.waitingSince[volume] ?? uptime
                state.waitingSince[volume] = since
                return since
            }
            let isDue = schedule.isDue(
                at: now, last: last?.time,
                secondsWaited: (uptime - since) / Self.nanosecondsPerSecond)
            if isDue {
                try make(schedule, at: now, of: volume, besides: snapshots)
                state.withLock { $0.waitingSince[volume] = uptime }
                try apply(rules.retention, to: volume)
            }
            return schedule.secondsToNext(after: now)
        } catch {
            complain("\(volume): no snapshot was made: \(words(error))")
            return Self.lookSecondsMax
        }
    }

    private func make(
        _ schedule: SnapshotSchedule, at now: DiskTime, of volume: String,
        besides snapshots: [SnapshotImage]
    ) throws {
        let names = Set(snapshots.map(\.name))
        var draft = SnapshotDraft(name: schedule.name(at: now) { names.contains($0) })
        draft.tags = [SnapshotSchedule.tag] + schedule.tags
        let made = try live.createSnapshot(draft, of: volume)
        log.info("made \(volume)@\(made.name)")
    }

    private func apply(_ retention: String, to volume: String) throws {
        guard !retention.isEmpty else { return }
        let policy = try RetentionPolicy(text: retention)
        let own = try live.snapshots(of: volume).filter {
            $0.tags.contains(SnapshotSchedule.tag)
        }
        let decisions = policy.decide(
            own.map {
                RetainedSnapshot(
                    volume: volume, name: $0.name, time: $0.time, tags: $0.tags,
                    isPinned: $0.isPinned)
            }, calendar: CalendarMoment.local)
        for decision in decisions where !decision.isKept {
            let name = decision.snapshot.name
            do throws(SnapshotError) {
                _ = try live.deleteSnapshot(named: name, of: volume)
                log.info("deleted \(volume)@\(name): no rule keeps it")
            } catch {
                complain("\(volume)@\(name) was not deleted: \(words(error))")
            }
        }
    }

    private func words(_ error: any Error) -> String {
        switch error {
        case let error as SnapshotError: CommandFailure(error, live).message
        case let error as RetentionError: CommandFailure(error).message
        default: "\(error)"
        }
    }

    /// Once for each reason: it is tried again and again.
    private func complain(_ text: String) {
        let isNew = state.withLock { state in
            // Names change from one to the next; this bounds what is remembered.
            if state.complaints.count > 100 { state.complaints = [] }
            return state.complaints.insert(text).inserted
        }
        if isNew { log.warning("\(text)") }
    }
}
