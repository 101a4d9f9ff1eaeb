import EndToEndSupport
import Foundation
import XCTest

/// Memory of scans, whatever the number of files.
final class DirectoryMemoryTests: EndToEndTestCase {
    /// The most that a program ever had in memory (VmHWM), in KiB, and how it ended. Looked at while it
    /// runs: what wait4(2) tells begins with the memory of who has started it.
    private func peak(_ words: [String]) throws -> Int {
        let program = try Program([try Program.built("ashlar")] + words, scratch: folder)
        var peak = 0
        while program.isRunning {
            let status = (try? System.readFile("/proc/\(program.process)/status")) ?? []
            let line = String(decoding: status, as: UTF8.self).split(separator: "\n")
                .first { $0.hasPrefix("VmHWM:") }
            let number = line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
            peak = max(peak, number ?? 0)
            usleep(1000)
        }
        let result = try program.finish(seconds: 10)
        XCTAssertEqual(result.code, 0, "\(words): \(result.errors)")
        XCTAssertGreaterThan(peak, 1000)
        return peak
    }

    /// Tiny files, each with a content of its own, in directories of 500.
    private func fill(_ source: String, _ range: Range<Int>) throws {
        for index in range {
            let folder = "\(source)/\(index / 500)"
            if index % 500 == 0 { try System.check(mkdir(folder, 0o755)) }
            try System.writeFile("\(folder)/a file with number \(index)", Array("\(index)".utf8))
        }
    }

    func testMoreFilesTakeNoMoreMemory() throws {
        let source = try makeDirectory("source")
        let few = 2000
        let many = Machine.files(20_000)
        var peaks: [String: (few: Int, many: Int)] = [:]
        for (count, isFew) in [(few, true), (many, false)] {
            try fill(source, isFew ? 0..<few : few..<many)
            let place = try makePlace(isFew ? "few" : "many")
            let output = path("\(count).snap")
            let works: [(String, [String])] = [
                ("first", ["snapshot", "create", "--source", source, place.store, "one"]),
                ("unchanged", ["snapshot", "create", "--source", source, place.store, "two"]),
                (
                    "file",
                    ["stream", "snapshot", "--source", source, "--content", "--output", output]
                ),
            ]
            for (name, words) in works {
                let peak = try peak(words)
                if isFew { peaks[name] = (peak, 0) } else { peaks[name]?.many = peak }
            }
            try mustRun(["rm", "-r", place.store, output])
        }
        for (name, peak) in peaks.sorted(by: { $0.key < $1.key }) {
            print("\(name): \(peak.few) KiB, \(peak.many) KiB")
            // The caches fill, of the index and of decoded frames: no more than they may take. From 100,000
            // files on RocksDB's tables have their share.
            XCTAssertLessThan(peak.many, peak.few + (many > 100_000 ? 28 : 14) << 10, name)
        }
    }
}
