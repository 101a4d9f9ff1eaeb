import BenchmarkKit
import Foundation

/// What the machine says of itself.
enum Machines {
    static var kernel: String {
        var names = utsname()
        uname(&names)
        return withUnsafeBytes(of: names.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// The load average of the last minute.
    static var load: Double {
        var loads = [0.0]
        return getloadavg(&loads, 1) == 1 ? loads[0] : 0
    }

    static var now: String {
        ISO8601DateFormatter().string(from: Date())
    }

    private static var processor: String {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
        let name = line?.split(separator: ":").last.map(String.init) ?? "unknown processor"
        return name.trimmingCharacters(in: .whitespaces)
    }

    /// The machine, between two moments.
    static func describe(
        began: String, loadBefore: Double, sources: String
    ) -> Report.Machine {
        let commit = try? Command(
            "git", "-c", "safe.directory=*", "-C", sources, "rev-parse", "--short", "HEAD"
        ).cleaning.run().output
        return Report.Machine(
            kernel: kernel, processor: processor,
            processors: ProcessInfo.processInfo.activeProcessorCount,
            memoryBytes: ProcessInfo.processInfo.physicalMemory, began: began, ended: now,
            loadBefore: loadBefore, loadAfter: load, commit: commit ?? "unknown")
    }
}
