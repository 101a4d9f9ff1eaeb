// A line that tells how far long work has come.
import Glibc
import Platform

/// Progress of one piece of work, drawn on a terminal at most so often. One thread at a time.
public final class Progress {
    /// Drawings a second; ASHLAR_PROGRESS_FPS replaces it (0.1 ... 60).
    public static let drawingsPerSecond = 10.0

    private let output: Output
    private let label: String
    private let intervalNanoseconds: UInt64
    private var lastDrawn: UInt64 = 0
    private let began = monotonicNanoseconds()

    /// - Parameter label: what is being done, in a word or two.
    public init(_ label: String, on output: Output) {
        self.label = label
        self.output = output
        let asked = getenv("ASHLAR_PROGRESS_FPS").flatMap { Double(String(cString: $0)) }
        let rate = asked.map { min(60, max(0.1, $0)) } ?? Self.drawingsPerSecond
        intervalNanoseconds = UInt64(1e9 / rate)
    }

    deinit {
        finish()
    }

    /// So many of `total` bytes are done (`total` nil: unknown), with what is being looked at.
    public func update(doneBytes: UInt64, totalBytes: UInt64?, detail: String = "") {
        let now = monotonicNanoseconds()
        guard output.showsProgress, now - lastDrawn >= intervalNanoseconds else { return }
        lastDrawn = now
        output.showProgress(
            Self.line(
                label: label, doneBytes: doneBytes, totalBytes: totalBytes,
                seconds: Double(now - began) / 1e9, detail: detail))
    }

    /// A line without numbers.
    public func update(_ text: String) {
        let now = monotonicNanoseconds()
        guard output.showsProgress, now - lastDrawn >= intervalNanoseconds else { return }
        lastDrawn = now
        output.showProgress("\(label) \(text)")
    }

    /// Takes the line away.
    public func finish() {
        output.eraseProgress()
    }

    /// `checking  41%  1.2 GiB of 2.9 GiB  310 MiB/s  0:05 left  …`
    static func line(
        label: String, doneBytes: UInt64, totalBytes: UInt64?, seconds: Double, detail: String
    ) -> String {
        var parts = [label]
        let rate = seconds > 0 ? Double(doneBytes) / seconds : 0
        if let totalBytes, totalBytes > 0 {
            let done = min(doneBytes, totalBytes)
            parts.append("\(Int(Double(done) * 100 / Double(totalBytes)))%")
            parts.append("\(ByteSize.text(done)) of \(ByteSize.text(totalBytes))")
            if rate > 0 {
                parts.append("\(ByteSize.text(UInt64(rate)))/s")
                parts.append("\(clock(Double(totalBytes - done) / rate)) left")
            }
        } else {
            parts.append(ByteSize.text(doneBytes))
            if rate > 0 { parts.append("\(ByteSize.text(UInt64(rate)))/s") }
        }
        if !detail.isEmpty { parts.append(detail) }
        return parts.joined(separator: "  ")
    }

    private static func clock(_ seconds: Double) -> String {
        let whole = Int(min(seconds, 359_999))
        let padded = { (number: Int) in number < 10 ? "0\(number)" : "\(number)" }
        let hours = whole / 3600
        let minutes = whole / 60 % 60
        return hours > 0
            ? "\(hours):\(padded(minutes)):\(padded(whole % 60))"
            : "\(minutes):\(padded(whole % 60))"
    }
}
