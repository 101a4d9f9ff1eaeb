import DiskFormat
import Glibc

/// A stretch of a calendar.
public enum Period: String, CaseIterable, Sendable {
    case hour, day, week, month, year

    /// As in `keep-daily`.
    public var adjective: String {
        switch self {
        case .hour: "hourly"
        case .day: "daily"
        case .week: "weekly"
        case .month: "monthly"
        case .year: "yearly"
        }
    }
}

/// A time in a calendar.
public struct CalendarMoment: Equatable, Sendable {
    public var year: Int
    /// 1 ... 12
    public var month: Int
    /// 1 ... 31
    public var day: Int
    /// 0 ... 23
    public var hour: Int
    /// 1 Monday ... 7 Sunday
    public var weekday: Int
    /// 1 ... 366
    public var dayOfYear: Int
    /// Seconds east of UTC: an hour that comes twice when clocks are set back is two.
    public var offsetSeconds: Int

    /// In the time zone of the machine (TZ).
    public static func local(_ time: DiskTime) -> CalendarMoment { moment(time, localtime_r) }

    public static func universal(_ time: DiskTime) -> CalendarMoment { moment(time, gmtime_r) }

    private static func moment(
        _ time: DiskTime,
        _ convert: (UnsafePointer<time_t>, UnsafeMutablePointer<tm>) -> UnsafeMutablePointer<tm>?
    ) -> CalendarMoment {
        var seconds = time_t(time.seconds)
        var fields = tm()
        // Years beyond what the calendar can say are all one: nothing of them is told apart.
        guard convert(&seconds, &fields) != nil else {
            return CalendarMoment(
                year: time.seconds < 0 ? Int.min : Int.max, month: 1, day: 1, hour: 0, weekday: 1,
                dayOfYear: 1, offsetSeconds: 0)
        }
        return CalendarMoment(
            year: Int(fields.tm_year) + 1900, month: Int(fields.tm_mon) + 1,
            day: Int(fields.tm_mday), hour: Int(fields.tm_hour),
            weekday: fields.tm_wday == 0 ? 7 : Int(fields.tm_wday),
            dayOfYear: Int(fields.tm_yday) + 1, offsetSeconds: fields.tm_gmtoff)
    }

    public init(
        year: Int, month: Int, day: Int, hour: Int, weekday: Int, dayOfYear: Int,
        offsetSeconds: Int
    ) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.weekday = weekday
        self.dayOfYear = dayOfYear
        self.offsetSeconds = offsetSeconds
    }

    /// What is equal for two moments of one period, and for no others: `2026-11-27`, `2026-W48`.
    public func label(of period: Period) -> String {
        switch period {
        case .hour: "\(label(of: .day)) \(Self.two(hour))h\(Self.zone(offsetSeconds))"
        case .day: "\(label(of: .month))-\(Self.two(day))"
        case .week: "\(week.year)-W\(Self.two(week.number))"
        case .month: "\(year)-\(Self.two(month))"
        case .year: "\(year)"
        }
    }

    /// ISO 8601: the week with the year's first Thursday is its first.
    var week: (year: Int, number: Int) {
        guard year != Int.min, year != Int.max else { return (year, 1) }
        let number = (dayOfYear - weekday + 10) / 7
        if number < 1 { return (year - 1, Self.weeks(in: year - 1)) }
        if number > Self.weeks(in: year) { return (year + 1, 1) }
        return (year, number)
    }

    private static func weeks(in year: Int) -> Int {
        func firstWeekday(_ year: Int) -> Int { (year + year / 4 - year / 100 + year / 400) % 7 }
        return firstWeekday(year) == 4 || firstWeekday(year - 1) == 3 ? 53 : 52
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    private static func zone(_ seconds: Int) -> String {
        if seconds == 0 { return "Z" }
        let minutes = abs(seconds) / 60
        return "\(seconds < 0 ? "-" : "+")\(two(minutes / 60)):\(two(minutes % 60))"
    }
}
