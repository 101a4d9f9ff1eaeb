// Times on command lines.
import DiskFormat
import Glibc

/// RFC 3339, a date alone (midnight, UTC), or `@SECONDS`.
enum TimeText {
    static func parse(_ text: String) -> DiskTime? {
        if text.hasPrefix("@") {
            return Int64(text.dropFirst()).map { DiskTime(seconds: $0, nanoseconds: 0) }
        }
        let bytes = Array(text.utf8)
        guard bytes.count >= 10, bytes[4] == 0x2d, bytes[7] == 0x2d,
            let year = number(bytes[0..<4]), let month = number(bytes[5..<7]),
            let day = number(bytes[8..<10]), (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        var fields = tm()
        fields.tm_year = Int32(year - 1900)
        fields.tm_mon = Int32(month - 1)
        fields.tm_mday = Int32(day)
        var nanoseconds: UInt32 = 0
        var offset = 0
        if bytes.count > 10 {
            guard bytes.count >= 20, "Tt ".utf8.contains(bytes[10]), bytes[13] == 0x3a,
                bytes[16] == 0x3a, let hour = number(bytes[11..<13]),
                let minute = number(bytes[14..<16]), let second = number(bytes[17..<19]),
                hour < 24, minute < 60, second <= 60
            else { return nil }
            fields.tm_hour = Int32(hour)
            fields.tm_min = Int32(minute)
            fields.tm_sec = Int32(second)
            var rest = bytes[19...]
            if rest.first == 0x2e {
                let digits = rest.dropFirst().prefix { (0x30...0x39).contains($0) }
                guard !digits.isEmpty, digits.count <= 9, let fraction = number(digits) else {
                    return nil
                }
                nanoseconds = UInt32(fraction)
                for _ in digits.count..<9 { nanoseconds *= 10 }
                rest = rest.dropFirst(1 + digits.count)
            }
            guard let zone = zone(Array(rest)) else { return nil }
            offset = zone
        }
        // timegm(3) turns the 31st of February into a day of March: such a day is none. A leap second
        // is the next day's first.
        let isLeap = fields.tm_sec == 60
        let seconds = timegm(&fields)
        guard fields.tm_mday == Int32(day) || isLeap else { return nil }
        return DiskTime(seconds: Int64(seconds - offset), nanoseconds: nanoseconds)
    }

    /// Seconds east of UTC: `Z` or `+01:00`.
    private static func zone(_ bytes: [UInt8]) -> Int? {
        if bytes == [0x5a] || bytes == [0x7a] { return 0 }
        guard bytes.count == 6, bytes[3] == 0x3a, bytes[0] == 0x2b || bytes[0] == 0x2d,
            let hours = number(bytes[1..<3]), let minutes = number(bytes[4..<6]), hours < 24,
            minutes < 60
        else { return nil }
        return (bytes[0] == 0x2d ? -1 : 1) * (hours * 3600 + minutes * 60)
    }

    private static func number(_ digits: some Sequence<UInt8>) -> Int? {
        var value = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            value = value * 10 + Int(digit - 0x30)
        }
        return value
    }
}
