// A result as a value, with two renderings: text for people and JSON for programs.

/// A value of a report.
public indirect enum ReportValue: Equatable, Sendable {
    /// Words of ours.
    case text(String)
    /// Bytes that somebody else chose: a file's name, a link's target.
    case name([UInt8])
    /// A number of bytes: with its unit in text, exact in JSON.
    case bytes(UInt64)
    case number(UInt64)
    case signed(Int64)
    /// Rounded to three decimals.
    case ratio(Double)
    case flag(Bool)
    /// Seconds since 1970 and nanoseconds.
    case time(Int64, UInt32)
    /// Nothing: left out of text, null in JSON.
    case none
    case list([ReportValue])
    case object(Report)
    /// Rows with the same keys.
    case table(ReportTable)
}

/// A report, or a part of one: values by name, in the order in which text shows them.
public struct Report: Equatable, Sendable, ExpressibleByDictionaryLiteral {
    /// Keys are `lower_case`; text shows them with spaces.
    public var fields: [(key: String, value: ReportValue)]

    /// From fields in their order.
    public init(_ fields: [(key: String, value: ReportValue)] = []) {
        self.fields = fields
    }

    /// From a literal, in its order; a key may come twice.
    public init(dictionaryLiteral elements: (String, ReportValue)...) {
        fields = elements.map { ($0.0, $0.1) }
    }

    /// Adds a field at the end.
    public mutating func add(_ key: String, _ value: ReportValue) {
        fields.append((key, value))
    }

    /// The first value of that name.
    public subscript(key: String) -> ReportValue? {
        fields.first { $0.key == key }?.value
    }

    /// Equal fields in equal order.
    public static func == (a: Report, b: Report) -> Bool {
        a.fields.count == b.fields.count
            && zip(a.fields, b.fields).allSatisfy { $0.key == $1.key && $0.value == $1.value }
    }
}

/// Rows of equal shape: columns in text, a list of objects in JSON.
public struct ReportTable: Equatable, Sendable {
    /// Keys of the values, as in a `Report`.
    public var columns: [String]
    /// Each with as many values as there are columns.
    public var rows: [[ReportValue]]

    /// From its parts.
    public init(columns: [String], rows: [[ReportValue]] = []) {
        self.columns = columns
        self.rows = rows
    }
}

/// Times as reports show them.
public enum ReportTime {
    /// `2026-11-21T07:10:38.000000005Z`, or `@SECONDS` where the calendar does not reach.
    public static func text(_ seconds: Int64, _ nanoseconds: UInt32) -> String {
        guard let stamp = calendar(seconds) else { return "@\(seconds)" }
        let digits = String(nanoseconds)
        let fraction = String(repeating: "0", count: max(0, 9 - digits.count)) + digits
        return nanoseconds == 0 ? "\(stamp)Z" : "\(stamp).\(fraction)Z"
    }
}
