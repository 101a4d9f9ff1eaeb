// A policy as text: how it is kept in a store, and shown.
//
//     keep-last=3 keep-within=7d keep-hourly=24 keep-daily=7 keep-weekly=4 keep-monthly=12
//     keep-yearly=10 keep-tag=release keep-tag=audit
//
// Words apart by spaces, in that order, those that say nothing left out; a tag has no spaces.

/// Why a text is no policy.
public enum RetentionError: Error, Equatable, Sendable {
    case unknownRule(String)
    /// Not a number from 0 to 1,000,000.
    case badCount(rule: String, value: String)
    /// Not a number with s, m, h, d, w or y behind it.
    case badDuration(String)
    /// Empty, or longer than 128 bytes, or with a space or control character.
    case badTag(String)
    /// No name of a snapshot, or longer than 64 bytes.
    case badPrefix(String)
}

extension RetentionPolicy {
    private static let countMax = 1_000_000
    private static let tagBytesMax = 128

    /// The text of this policy; equal policies have equal texts.
    public var text: String {
        var words: [String] = []
        if last > 0 { words.append("keep-last=\(last)") }
        if withinSeconds > 0 { words.append("keep-within=\(Self.words(withinSeconds))") }
        for period in Period.allCases {
            if let count = counts[period], count > 0 {
                words.append("keep-\(period.adjective)=\(count)")
            }
        }
        words += Set(tags).sorted().map { "keep-tag=\($0)" }
        return words.joined(separator: " ")
    }

    /// From its text.
    public init(text: String) throws(RetentionError) {
        self.init()
        for word in text.split(separator: " ") {
            guard let equals = word.firstIndex(of: "=") else {
                throw .unknownRule(String(word))
            }
            let rule = String(word[..<equals])
            try add(rule, String(word[word.index(after: equals)...]))
        }
    }

    /// Adds what one rule says.
    public mutating func add(_ rule: String, _ value: String) throws(RetentionError) {
        switch rule {
        case "keep-last": last = try Self.count(rule, value)
        case "keep-within": withinSeconds = try Self.duration(value)
        case "keep-tag":
            let isPlain = value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f }
            guard !value.isEmpty, value.utf8.count <= Self.tagBytesMax, isPlain else {
                throw .badTag(value)
            }
            tags.append(value)
        default:
            guard let period = Period.allCases.first(where: { "keep-\($0.adjective)" == rule })
            else { throw .unknownRule(rule) }
            counts[period] = try Self.count(rule, value)
        }
    }

    private static func count(_ rule: String, _ value: String) throws(RetentionError) -> Int {
        guard let number = Int(value), (0...countMax).contains(number) else {
            throw .badCount(rule: rule, value: value)
        }
        return number
    }

    /// Seconds in `90m`, `36h`, `7d`, `4w`, `1y` (365 days).
    public static func duration(_ text: String) throws(RetentionError) -> UInt64 {
        let units: [Character: UInt64] = [
            "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000,
        ]
        // What is written by `words` in days has to be read again.
        guard let last = text.last, let unit = units[last], let number = UInt64(text.dropLast()),
            number <= 1_000_000, number * unit <= 1_000_000 * 86_400
        else { throw .badDuration(text) }
        return number * unit
    }
}
