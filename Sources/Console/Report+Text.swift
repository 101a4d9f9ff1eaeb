// Reports for people.
import Glibc

extension ReportTime {
    static func calendar(_ seconds: Int64) -> String? {
        var moment = time_t(seconds)
        var fields = tm()
        guard gmtime_r(&moment, &fields) != nil else { return nil }
        var characters = [CChar](repeating: 0, count: 64)
        let count = strftime(&characters, characters.count, "%Y-%m-%dT%H:%M:%S", &fields)
        guard count > 0 else { return nil }
        return String(
            decoding: characters.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

extension ReportValue {
    /// On one line; nil for what needs several.
    var inline: String? {
        switch self {
        case .text(let text): text
        case .name(let bytes): DisplayText.escaped(bytes)
        case .bytes(let count):
            count < 1024 ? ByteSize.text(count) : "\(ByteSize.text(count)) (\(count))"
        case .number(let number): "\(number)"
        case .signed(let number): "\(number)"
        case .ratio(let ratio): Self.decimal(ratio)
        case .flag(let flag): flag ? "yes" : "no"
        case .time(let seconds, let nanoseconds): ReportTime.text(seconds, nanoseconds)
        case .none: ""
        case .list(let values):
            values.count <= 4 && values.allSatisfy { $0.inline != nil }
                ? values.compactMap(\.inline).joined(separator: ", ") : nil
        case .object, .table: nil
        }
    }

    /// In a column: sizes without their exact number.
    var cell: String {
        if case .bytes(let count) = self { return ByteSize.text(count) }
        return inline ?? "…"
    }

    /// Whether columns of it are aligned to the right.
    var isNumeric: Bool {
        switch self {
        case .bytes, .number, .signed, .ratio: true
        default: false
        }
    }

    static func decimal(_ ratio: Double) -> String {
        guard ratio.isFinite, abs(ratio) < 1e12 else { return "\(ratio)" }
        let thousandths = Int64((abs(ratio) * 1000).rounded())
        let digits = String(thousandths % 1000)
        let fraction = String(repeating: "0", count: 3 - digits.count) + digits
        return "\(ratio < 0 && thousandths > 0 ? "-" : "")\(thousandths / 1000).\(fraction)"
    }
}

extension Report {
    /// As lines: `key:  value`, aligned; parts of several lines are indented below their key.
    public func textLines(indentation: Int = 0) -> [String] {
        let shown = fields.filter { $0.value != .none }
        let width = shown.reduce(0) { $1.value.inline == nil ? $0 : max($0, $1.key.count) }
        let margin = String(repeating: " ", count: indentation)
        var lines: [String] = []
        for (key, value) in shown {
            let label = key.replacing("_", with: " ")
            if let text = value.inline {
                let gap = String(repeating: " ", count: width - key.count + 2)
                lines.append("\(margin)\(label):\(gap)\(text)")
            } else {
                lines.append("\(margin)\(label):")
                lines += value.blockLines(indentation: indentation + 2)
            }
        }
        return lines
    }
}

extension ReportValue {
    /// On lines of their own.
    func blockLines(indentation: Int) -> [String] {
        let margin = String(repeating: " ", count: indentation)
        switch self {
        case .object(let report):
            return report.textLines(indentation: indentation)
        case .table(let table):
            return table.textLines().map { margin + $0 }
        case .list(let values):
            return values.flatMap { value in
                var lines = value.blockLines(indentation: indentation + 2)
                if let first = lines.first {
                    lines[0] = margin + "- " + first.dropFirst(indentation + 2)
                }
                return lines
            }
        default:
            return [margin + (inline ?? "")]
        }
    }
}

extension ReportTable {
    /// A heading and a line for each row, in columns two spaces apart.
    public func textLines(hasHeading: Bool = true) -> [String] {
        let cells = rows.map { $0.map(\.cell) }
        let isRight = columns.indices.map { column in
            !rows.isEmpty
                && rows.allSatisfy {
                    column >= $0.count || $0[column].isNumeric || $0[column] == .none
                }
        }
        var lines = cells
        if hasHeading {
            lines.insert(columns.map { $0.replacing("_", with: " ").uppercased() }, at: 0)
        }
        let widths = columns.indices.map { column in
            lines.reduce(0) { max($0, column < $1.count ? $1[column].count : 0) }
        }
        return lines.map { line in
            var text = ""
            for (column, cell) in line.enumerated() where column < widths.count {
                if column > 0 { text += "  " }
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                text += isRight[column] ? padding + cell : cell + padding
            }
            while text.last == " " { text.removeLast() }
            return text
        }
    }
}
