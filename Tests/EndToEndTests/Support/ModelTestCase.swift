import EndToEndSupport
import Foundation
import XCTest

/// Tests that compare a volume with a model, operation by operation.
///
/// `ASHLAR_MODEL_SECONDS=N` in the environment makes each of them run for N seconds, in rounds with a
/// seed of their own that they print; `ASHLAR_SEED=S` repeats one round. Without, there is one round
/// of some seconds.
class ModelTestCase: EndToEndTestCase {
    /// Whether an assertion has failed so far.
    var hasFailed: Bool { (testRun?.totalFailureCount ?? 0) > 0 }

    /// Runs a round on a new store, which is unmounted and checked in the end; and more rounds, as
    /// long as the environment wants, until one fails.
    func eachRound(
        _ test: String = #function, _ round: (Place, inout SeededGenerator) throws -> Void
    ) throws {
        let end = Date(timeIntervalSinceNow: Machine.modelSeconds)
        let isRepeating = ProcessInfo.processInfo.environment["ASHLAR_SEED"] == nil
        var number = 0
        repeat {
            var random = SeededGenerator("\(test), round \(number)")
            let place = try makePlace("round-\(number)")
            try round(place, &random)
            if place.isMounted { try place.unmount() }
            try place.mustBeClean()
            XCTAssertEqual(Cleaning.removeTree(path("round-\(number)")), 0)
            number += 1
        } while isRepeating && Date() < end && !hasFailed
    }
}
