import Foundation

/// Tables of a report, in Markdown that also reads well on a terminal.
public struct Tables {
    private let report: Report

    public init(_ report: Report) {
        self.report = report
    }

    /// Everything: where it was measured, goals, ratios, medians, notes.
    public var all: String {
        let notes = report.notes.map { "- \($0)\n" }.joined()
        return [
            heading, "Goals (ratio of cost, Ashlar ÷ the other; below 1 is ahead)\n\n" + goals,
            "Ratios to Ashlar, median of the rounds (Ashlar ÷ the other)\n\n" + ratios,
            "Medians\n\n" + medians, notes.isEmpty ? "" : "Notes\n\n" + notes,
        ].filter { !$0.isEmpty }.joined(separator: "\n")
    }

    /// Where and when, in one paragraph.
    public var heading: String {
        let machine = report.machine
        let load = String(format: "%.1f to %.1f", machine.loadBefore, machine.loadAfter)
        let scale = report.scale == 1 ? "" : String(format: ", scale %.2f", report.scale)
        return """
            \(machine.began), commit \(machine.commit), \(report.rounds) rounds\(scale); Linux \
            \(machine.kernel), \(machine.processors) × \(machine.processor), load average \(load).

            """
    }

    /// One line for each goal that was measured.
    public var goals: String {
        let rows = report.standings.map { standing in
            [
                title(standing.goal.metric), standing.peer,
                "≤ " + Self.number(standing.goal.reach), "≤ " + Self.number(standing.goal.stretch),
                Self.number(standing.ratio), Self.words(standing.verdict),
            ]
        }
        return Self.table(["work", "against", "reach", "stretch", "measured", ""], rows)
    }

    /// A line for each metric, a column for each other peer; ranges over the rounds in brackets.
    public var ratios: String {
        let others = report.peers.map(\.name).filter { name in
            report.comparisons.contains { $0.peer == name }
        }
        let rows = report.metrics.map { metric in
            [metric.title]
                + others.map { name in
                    report.comparisons.first { $0.metric == metric.name && $0.peer == name }
                        .map(Self.words) ?? "–"
                }
        }
        return Self.table(["work"] + others, rows)
    }

    /// A line for each metric, a column for each peer: medians with their units.
    public var medians: String {
        let rows = report.metrics.map { metric in
            [metric.title]
                + report.peers.map { peer in
                    report.median(metric.name, peer.name)
                        .map { Self.value($0, metric.unit) } ?? "–"
                }
        }
        return Self.table(["work"] + report.peers.map(\.name), rows)
    }

    private func title(_ metric: String) -> String {
        Catalogue.metric(metric)?.title ?? metric
    }

    /// A value with its unit.
    static func value(_ value: Double, _ unit: Metric.Unit) -> String {
        switch unit {
        case .seconds: String(format: value < 1 ? "%.3f s" : "%.2f s", value)
        case .bytes: String(format: "%.1f MB", value / 1e6)
        case .operationsPerSecond: String(format: "%.0f /s", value)
        case .bytesPerSecond: String(format: "%.0f MB/s", value / 1e6)
        }
    }

    static func number(_ ratio: Double) -> String {
        String(format: "%.2f", ratio)
    }

    static func words(_ verdict: Goal.Verdict) -> String {
        switch verdict {
        case .stretch: "reached, stretch too"
        case .reached: "reached"
        case .missed: "not reached"
        }
    }

    private static func words(_ comparison: Comparison) -> String {
        guard comparison.rounds > 1 else { return number(comparison.ratio) }
        return "\(number(comparison.ratio)) (\(number(comparison.ratioLeast))–"
            + "\(number(comparison.ratioGreatest)))"
    }

    /// A table in Markdown whose columns line up: the first to the left, the others to the right.
    static func table(_ header: [String], _ rows: [[String]]) -> String {
        let widths = header.indices.map { column in
            // A rule needs two characters to say that a column is aligned to the right.
            max(([header] + rows).map { $0[column].count }.max() ?? 0, 2)
        }
        func line(_ cells: [String]) -> String {
            let padded = cells.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - cells[column].count)
                return column == 0 ? cells[column] + space : space + cells[column]
            }
            return "| " + padded.joined(separator: " | ") + " |\n"
        }
        let rule = widths.indices.map { column in
            column == 0
                ? String(repeating: "-", count: widths[column])
                : String(repeating: "-", count: widths[column] - 1) + ":"
        }
        return line(header) + line(rule) + rows.map(line).joined()
    }
}
