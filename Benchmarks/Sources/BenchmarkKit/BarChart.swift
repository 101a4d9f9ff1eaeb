import Foundation

/// A chart of horizontal bars as SVG text: no fonts, scripts or files besides. Colours of text and
/// lines follow the reader's light or dark setting.
public struct BarChart {
    public struct Bar: Hashable, Sendable {
        public var label: String
        public var value: Double
        /// What is written behind the bar.
        public var text: String
        /// Whether this is the bar that the chart is about.
        public var isSubject: Bool

        public init(label: String, value: Double, text: String, isSubject: Bool) {
            self.label = label
            self.value = value
            self.text = text
            self.isSubject = isSubject
        }
    }

    public var title: String
    public var bars: [Bar]

    public init(title: String, bars: [Bar]) {
        self.title = title
        self.bars = bars
    }

    private static let width = 640.0
    private static let labelWidth = 110.0
    private static let textWidth = 110.0
    private static let rowHeight = 26.0
    private static let titleHeight = 40.0

    /// The chart of one metric: its median on each peer. nil where nothing was measured.
    public init?(_ report: Report, metric: Metric) {
        let bars = report.peers.compactMap { peer in
            report.median(metric.name, peer.name).map {
                Bar(
                    label: peer.name, value: $0, text: Tables.value($0, metric.unit),
                    isSubject: peer.name == BenchmarkKit.subject)
            }
        }
        guard !bars.isEmpty else { return nil }
        self.init(
            title: metric.title + (metric.unit.moreIsBetter ? " (more is better)" : ""),
            bars: bars)
    }

    /// The file's text.
    public var svg: String {
        let height = Self.titleHeight + Self.rowHeight * Double(bars.count) + 10
        let greatest = bars.map(\.value).max() ?? 0
        let room = Self.width - Self.labelWidth - Self.textWidth
        let rows = bars.enumerated().map { index, bar in
            let length = greatest > 0 ? room * bar.value / greatest : 0
            let top = Self.titleHeight + Self.rowHeight * Double(index)
            return row(bar, top: top, length: max(length, 1))
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.text(Self.width)) \
            \(Self.text(height))" width="\(Self.text(Self.width))" height="\(Self.text(height))" \
            role="img">
            <title>\(Self.escaped(title))</title>
            <style>
            text { font: 13px system-ui, sans-serif; fill: #1f2328; }
            .title { font-weight: 600; font-size: 15px; }
            .bar { fill: #8c959f; } .subject { fill: #bc4c00; }
            @media (prefers-color-scheme: dark) {
            text { fill: #e6edf3; } .bar { fill: #6e7681; } .subject { fill: #f0883e; }
            }
            </style>
            <text class="title" x="8" y="24">\(Self.escaped(title))</text>
            \(rows.joined(separator: "\n"))
            </svg>

            """
    }

    private func row(_ bar: Bar, top: Double, length: Double) -> String {
        let base = Self.text(top + 15)
        return """
            <text x="8" y="\(base)">\(Self.escaped(bar.label))</text>
            <rect class="\(bar.isSubject ? "subject" : "bar")" x="\(Self.text(Self.labelWidth))" \
            y="\(Self.text(top + 2))" width="\(Self.text(length))" height="18" rx="2"/>
            <text x="\(Self.text(Self.labelWidth + length + 6))" y="\(base)">\
            \(Self.escaped(bar.text))</text>
            """
    }

    private static func text(_ number: Double) -> String {
        String(format: "%.1f", number)
    }

    static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;")
            .replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;")
            .replacingOccurrences(of: "\"", with: "&quot;")
    }
}
