/// # Retention: which snapshots are kept
///
/// Purpose: decides, from a policy and the times at which snapshots were taken, which of them stay,
/// and explains each decision. It deletes nothing and knows no store.
///
/// Words: a *rule* is one line of a policy; a *period* is an hour, day, week (ISO 8601, from Monday),
/// month or year of a calendar; a rule for periods keeps the newest snapshot of each of the newest so
/// many periods that have any.
///
/// Invariants:
/// 1. Rules add up: what any of them keeps is kept.
/// 2. A pinned snapshot is kept whatever the policy says; a policy without rules keeps everything.
/// 3. Decisions depend on recorded times alone, never on what time it is now: "within 7 days" is
///    counted back from the newest snapshot.
/// 4. Volumes are apart: a rule counts the snapshots of each for itself.
///
/// Threads: values; any.
import DiskFormat

/// A snapshot as far as retention looks at it.
public struct RetainedSnapshot: Equatable, Sendable {
    public var volume: String
    public var name: String
    public var time: DiskTime
    public var tags: [String]
    public var isPinned: Bool

    public init(
        volume: String, name: String, time: DiskTime, tags: [String] = [], isPinned: Bool = false
    ) {
        self.volume = volume
        self.name = name
        self.time = time
        self.tags = tags
        self.isPinned = isPinned
    }
}

/// What becomes of a snapshot, and why.
public struct RetentionDecision: Equatable, Sendable {
    public var snapshot: RetainedSnapshot
    /// Every rule that keeps it, in words; empty: it goes.
    public var reasons: [String]

    public var isKept: Bool { !reasons.isEmpty }
}

/// Which snapshots are kept.
public struct RetentionPolicy: Equatable, Sendable {
    /// The newest so many.
    public var last = 0
    /// Those taken at most so many seconds before the newest.
    public var withinSeconds: UInt64 = 0
    /// Of so many periods, the newest of each.
    public var counts: [Period: Int] = [:]
    /// Those with any of these tags.
    public var tags: [String] = []

    public init() {}

    /// Whether it has no rule, and so keeps everything.
    public var isEmpty: Bool {
        last == 0 && withinSeconds == 0 && tags.isEmpty && counts.values.allSatisfy { $0 == 0 }
    }

    /// Decides about all snapshots, by volume and from the newest to the oldest.
    ///
    /// - Parameter calendar: the moment of a time in the calendar that periods are of.
    public func decide(
        _ snapshots: [RetainedSnapshot], calendar: (DiskTime) -> CalendarMoment
    ) -> [RetentionDecision] {
        let sorted = snapshots.sorted {
            ($0.volume, $1.time, $1.name) < ($1.volume, $0.time, $0.name)
        }
        var decisions: [RetentionDecision] = []
        var start = 0
        while start < sorted.count {
            let volume = sorted[start].volume
            let end = sorted[start...].firstIndex { $0.volume != volume } ?? sorted.count
            decisions += decide(oneVolume: sorted[start..<end], calendar)
            start = end
        }
        return decisions
    }

    private func decide(
        oneVolume snapshots: ArraySlice<RetainedSnapshot>,
        _ calendar: (DiskTime) -> CalendarMoment
    ) -> [RetentionDecision] {
        var decisions = snapshots.map { RetentionDecision(snapshot: $0, reasons: []) }
        if isEmpty {
            for index in decisions.indices { decisions[index].reasons = ["the policy is empty"] }
        }
        for index in decisions.indices {
            let snapshot = decisions[index].snapshot
            if snapshot.isPinned { decisions[index].reasons.append("pinned") }
            if index < last { decisions[index].reasons.append("\(index + 1) of the last \(last)") }
            if isWithin(snapshot.time, of: decisions[0].snapshot.time) {
                decisions[index].reasons.append("within \(Self.words(withinSeconds))")
            }
            for tag in snapshot.tags where tags.contains(tag) {
                decisions[index].reasons.append("tag \(tag)")
            }
        }
        for period in Period.allCases {
            var left = counts[period] ?? 0
            var newest: String?
            for index in decisions.indices where left > 0 {
                let label = calendar(decisions[index].snapshot.time).label(of: period)
                guard label != newest else { continue }
                newest = label
                left -= 1
                decisions[index].reasons.append("\(period.adjective) \(label)")
            }
        }
        return decisions
    }

    private func isWithin(_ time: DiskTime, of newest: DiskTime) -> Bool {
        guard withinSeconds > 0 else { return false }
        let (age, overflow) = newest.seconds.subtractingReportingOverflow(time.seconds)
        guard !overflow, age >= 0 else { return !overflow }
        return UInt64(age) < withinSeconds
            || (UInt64(age) == withinSeconds && newest.nanoseconds <= time.nanoseconds)
    }

    /// `7d`, `36h`: the largest unit that says it exactly.
    static func words(_ seconds: UInt64) -> String {
        for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60)] as [(String, UInt64)]
        where seconds % length == 0 {
            return "\(seconds / length)\(unit)"
        }
        return "\(seconds)s"
    }
}
