import Foundation
import XCTest

/// Random histories on a volume and on a model, with commits, checkpoints, evictions, reopening,
/// crashes and rebuilt indexes; at their ends the independent checker finds nothing.
final class VolumeModelTests: XCTestCase {
    func testRandomHistories() throws {
        let seed = printedSeed()
        let isGiven = ProcessInfo.processInfo.environment["ASHLAR_SEED"] != nil
        let runs = isGiven ? 1 : isLong ? 600 : 4
        for number in 0..<UInt64(runs) {
            let own = seed &+ number
            do {
                try ModelRun(seed: own).run(steps: isLong ? 700 : 400)
            } catch {
                XCTFail("ASHLAR_SEED=\(own): \(error)")
                if (testRun?.totalFailureCount ?? 0) >= 5 { return }
            }
        }
    }
}
