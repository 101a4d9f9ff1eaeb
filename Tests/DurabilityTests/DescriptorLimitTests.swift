import EndToEndSupport
import Foundation
import XCTest

/// A daemon that may open hardly any files: the index cannot open its tables, packs cannot be begun.
/// It refuses to begin, or answers with errors; what it acknowledged is there afterwards.
final class DescriptorLimitTests: EndToEndTestCase {
    func testFewDescriptors() throws {
        let place = try makePlace("a", ["--pack-size", "1M", "--super-chunk-size", "256K"])
        var random = SeededGenerator()
        var kept: [String: [UInt8]] = [:]
        var served = 0
        for limit in [12, 20, 26, 32, 40, 64, 256] {
            let mounted = try run([
                "sh", "-c", "ulimit -n \(limit); exec \"$@\"", "sh",
                try Program.built("ashlar"), "mount", "-o", "commit=1", place.store,
                place.mountpoint,
            ])
            if mounted.code == 0 {
                served += 1
                for number in 0..<12 {
                    let name = "file-\(limit)-\(number)"
                    let bytes = random.bytes(200_000)
                    let isKept: Void? = try? System.writeFile(
                        place.path(name), bytes, synchronized: true)
                    if isKept != nil { kept[name] = bytes }
                }
                // Its last commit may fail, which it says by its exit code.
                _ = try ashlar(["umount", place.mountpoint])
                try place.awaitDeath()
            } else {
                XCTAssertFalse(mounted.errors.isEmpty, "limit \(limit): no reason is given")
            }
            try place.mount()
            for (name, bytes) in kept {
                let found = try System.readFile(place.path(name))
                XCTAssertTrue(found == bytes, "\(name) under a limit of \(limit)")
            }
            try place.unmount()
            try place.mustBeClean()
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
        // 12 of a limit under which nothing is wanting, whatever the tests themselves have open.
        XCTAssertGreaterThan(served, 0)
        XCTAssertGreaterThanOrEqual(kept.count, 12)
        print("served under \(served) limits, \(kept.count) files kept")
    }
}
