// When snapshots are made by themselves, as text: how it is kept in a store, and shown.
//
//     every=1h prefix=auto tag=hourly tag=work
//
// Words apart by spaces, in that order; a tag has no spaces.
import DiskFormat

/// When snapshots of a volume are made, and how they are called.
///
/// A time is in a *slot*: so many whole intervals have passed since 1970 UTC. A snapshot is due when the
/// last one that the schedule made is of an earlier slot: so one that was missed is made up for, once,
/// however many were. No clock is trusted with more than that: one that was set back makes none due until
/// an interval has passed by the clock that is never set.
public struct SnapshotSchedule: Equatable, Sendable {
    /// What all snapshots that a schedule made have, and nothing else does but by somebody's word.
    public static let tag = "scheduled"
    public static let prefixBytesMax = 64
    public static let everySecondsMax: UInt64 = 366 * 86_400

    /// At least 1.
    public var everySeconds: UInt64
    /// What names begin with: a name of a snapshot itself.
    public var prefix: String
    /// Beside `tag`.
    public var tags: [String]

    /// - Throws: where an argument is out of its bounds.
    public init(
        everySeconds: UInt64, prefix: String = "auto", tags: [String] = []
    ) throws(RetentionError) {
        guard (1...Self.everySecondsMax).contains(everySeconds) else {
            throw .badDuration("\(everySeconds)s")
        }
        guard ObjectName.isAcceptable(prefix), prefix.utf8.count <= Self.prefixBytesMax else {
            throw .badPrefix(prefix)
        }
        for tag in tags where !ObjectName.isAcceptable(tag) { throw .badTag(tag) }
        guard tags.count < SnapshotImage.tagsMax else { throw .badTag(tags.joined(separator: ",")) }
        self.everySeconds = everySeconds
        self.prefix = prefix
        self.tags = tags
    }

    /// The text of this schedule.
    public var text: String {
        (["every=\(RetentionPolicy.words(everySeconds))", "prefix=\(prefix)"]
            + Set(tags).sorted().map { "tag=\($0)" }).joined(separator: " ")
    }

    /// From its text.
    public init(text: String) throws(RetentionError) {
        var every: UInt64?
        var prefix = "auto"
        var tags: [String] = []
        for word in text.split(separator: " ") {
            guard let equals = word.firstIndex(of: "=") else {
                throw .unknownRule(String(word))
            }
            let value = String(word[word.index(after: equals)...])
            switch word[..<equals] {
            case "every": every = try RetentionPolicy.duration(value)
            case "prefix": prefix = value
            case "tag": tags.append(value)
            default: throw .unknownRule(String(word))
            }
        }
        guard let every else { throw .badDuration(text) }
        try self.init(everySeconds: every, prefix: prefix, tags: tags)
    }

    // MARK: time

    private func slot(_ time: DiskTime) -> Int64 {
        let length = Int64(everySeconds)
        let (quotient, remainder) = time.seconds.quotientAndRemainder(dividingBy: length)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// Whether one is due.
    ///
    /// - Parameters:
    ///   - last: when the last one was made that the schedule has made; nil: none was.
    ///   - secondsWaited: since then, or since somebody began to wait, by a clock that is never set.
    public func isDue(at now: DiskTime, last: DiskTime?, secondsWaited: UInt64) -> Bool {
        guard let last else { return true }
        let a = slot(last)
        let b = slot(now)
        return b > a || (b < a && secondsWaited >= everySeconds)
    }

    /// Seconds from `now` to the next slot: 1 ... `everySeconds`.
    public func secondsToNext(after now: DiskTime) -> UInt64 {
        let length = Int64(everySeconds)
        let remainder = now.seconds % length
        return UInt64(length - (remainder < 0 ? remainder + length : remainder))
    }

    /// `auto-20261127T124500Z`; with a number behind it where that is taken.
    public func name(at now: DiskTime, isTaken: (String) -> Bool) -> String {
        let moment = CalendarMoment.universal(now)
        func digits(_ number: Int, _ count: Int) -> String {
            let text = String(abs(number == .min ? 0 : number))
            return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
        }
        let seconds = Int(((now.seconds % 3_600) + 3_600) % 3_600)
        let year = moment.year == .max || moment.year == .min ? 0 : moment.year
        let base =
            "\(prefix)-\(digits(year, 4))\(digits(moment.month, 2))\(digits(moment.day, 2))"
            + "T\(digits(moment.hour, 2))\(digits(seconds / 60, 2))\(digits(seconds % 60, 2))Z"
        var name = base
        var number = 2
        while isTaken(name) {
            name = "\(base).\(number)"
            number += 1
        }
        return name
    }
}
