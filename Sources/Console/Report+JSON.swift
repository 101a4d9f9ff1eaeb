// Reports for programs: one JSON object, keys sorted, sizes and counts exact.
//
// A name that is not UTF-8 cannot be a JSON string. It is given escaped (as on a terminal), and its
// exact bytes in base64 under the same key with `_base64` behind it; in a list, such a name is an
// object of `text` and `base64`. Times are RFC 3339 strings.
import FoundationEssentials

/// A key of a JSON object that is known when the program runs.
struct ReportKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension Report: Encodable {
    /// As one JSON object with sorted keys, ending in a line feed.
    ///
    /// - Parameter isCompact: on one line.
    public func json(isCompact: Bool = false) throws(CommandFailure) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            isCompact
            ? [.sortedKeys, .withoutEscapingSlashes]
            : [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        } catch {
            throw CommandFailure(.internalError, "cannot write JSON: \(error)")
        }
    }

    /// Field by field; a name that is not UTF-8 twice, see the file's head.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ReportKey.self)
        for (key, value) in fields {
            try container.encode(value, forKey: ReportKey(stringValue: key))
            if case .name(let bytes) = value, DisplayText.exact(bytes) == nil {
                try container.encode(
                    Data(bytes).base64EncodedString(),
                    forKey: ReportKey(stringValue: key + "_base64"))
            }
        }
    }
}

extension ReportValue: Encodable {
    /// The value alone: a name that is not UTF-8 escaped.
    public func encode(to encoder: any Encoder) throws {
        var single = encoder.singleValueContainer()
        switch self {
        case .text(let text): try single.encode(text)
        case .name(let bytes):
            try single.encode(DisplayText.exact(bytes) ?? DisplayText.escaped(bytes))
        case .bytes(let number), .number(let number): try single.encode(number)
        case .signed(let number): try single.encode(number)
        case .ratio(let ratio):
            if ratio.isFinite {
                try single.encode((ratio * 1000).rounded() / 1000)
            } else {
                try single.encodeNil()
            }
        case .flag(let flag): try single.encode(flag)
        case .time(let seconds, let nanoseconds):
            try single.encode(ReportTime.text(seconds, nanoseconds))
        case .none: try single.encodeNil()
        case .list(let values): try single.encode(values.map(ListItem.init))
        case .object(let report): try single.encode(report)
        case .table(let table):
            try single.encode(
                table.rows.map { row in Report(zip(table.columns, row).map { ($0, $1) }) })
        }
    }

    /// A value in a list, where there is no key beside it.
    private struct ListItem: Encodable {
        let value: ReportValue

        func encode(to encoder: any Encoder) throws {
            guard case .name(let bytes) = value, DisplayText.exact(bytes) == nil else {
                return try value.encode(to: encoder)
            }
            let item: Report = [
                "text": .text(DisplayText.escaped(bytes)),
                "base64": .text(Data(bytes).base64EncodedString()),
            ]
            try item.encode(to: encoder)
        }
    }
}

extension Output {
    /// Shows a report: as text, or as JSON.
    public func report(_ report: Report, asJSON: Bool) throws(CommandFailure) {
        if asJSON {
            bytes(Array(try report.json().utf8))
        } else {
            for text in report.textLines() { line(text) }
        }
    }
}
