// The paths that the checker names are those that cannot be read, no more and no fewer: for random
// damage, and for records in each other's place, also of a store that began as a copy of this one.
// Writing the content of one damaged file again heals all that share its chunks.
import Backends
import Checking
import DiskFormat
import FileModel
import Foundation
import Packs
import Pipeline
import Platform
import XCTest

@testable import Volume

final class DamagedPathTests: DamagedPathTestCase {
    func testWhatIsNamedIsWhatCannotBeRead() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let scene = try makeScene(&random)
        let records = try places(scene.backend).filter { $0.header.kind == .superChunk }
        var hit = 0
        for round in 0..<(isLong ? 2000 : 60) {
            let damaged = try damage(scene.backend, records, &random)
            let context = "round \(round), ASHLAR_SEED=\(seed)"
            let told = try named(damaged, scene.state)
            // With its index a volume finds names that the packs have lost.
            let unread = unreadable(damaged, scene.index, scene.state, context)
            XCTAssertTrue(unread.isSubset(of: told), "\(unread) \(told): \(context)")
            if try stopsBefore(damaged) {
                try checkRepair(damaged, scene, losing: told, context)
            } else {
                let rebuilt = unreadable(damaged, MemoryIndexProvider(), scene.state, context)
                XCTAssertEqual(rebuilt, told, context)
            }
            if !told.isEmpty { hit += 1 }
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
        XCTAssertGreaterThan(hit, 0)
    }

    /// Each record in the place of each other one of the store into which it fits.
    func testRecordsInEachOthersPlace() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let scene = try makeScene(&random)
        let records = try places(scene.backend)
        var packs: [PackID: [UInt8]] = [:]
        for record in records where packs[record.pack] == nil {
            packs[record.pack] = try scene.backend.readWhole(
                record.pack.fileName, limitBytes: 1 << 24)
        }
        var pairs = 0
        for (number, target) in records.enumerated() {
            for (other, source) in records.enumerated() where other != number {
                guard source.byteCount <= target.byteCount, isLong || random.chance(1, in: 6),
                    let bytes = packs[source.pack]?[
                        source.offset..<source.offset + source.byteCount]
                else { continue }
                let damaged = try change(scene.backend, target.pack) {
                    $0.replaceSubrange(
                        target.offset..<target.offset + source.byteCount, with: bytes)
                }
                try check(damaged, scene, target, "\(source) in \(target), ASHLAR_SEED=\(seed)")
                pairs += 1
                if (testRun?.totalFailureCount ?? 0) > 0 { return }
            }
        }
        print("\(pairs) pairs")
        XCTAssertGreaterThan(pairs, 5)
    }

    /// Records of a store that was a copy of this one, and was written to differently since: headers,
    /// checksums and places are all as they should be, only it is another's content.
    func testRecordsOfADivergedCopy() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        var scene = try makeScene(&random)
        var other = Scene(
            backend: scene.backend.copy(), kept: scene.index, state: scene.state)
        for number in 0..<6 {
            let count = 3_000 + 2 * random.below(8_000)
            for isOther in [false, true] {
                let bytes = random.bytes(count)
                let open = try OpenStore(
                    isOther ? other.backend : scene.backend, isOther ? other.kept : scene.kept)
                var state = isOther ? other.state : scene.state
                try add(bytes, "/late-\(number)", in: 1, open, &state)
                if isOther { other.state = state } else { scene.state = state }
                try open.live.close()
            }
        }
        let theirs = try places(other.backend)
        var swapped = 0
        for target in try places(scene.backend) {
            let source = theirs.first {
                $0.pack == target.pack && $0.offset == target.offset
                    && $0.byteCount == target.byteCount && $0.header != target.header
            }
            guard let source else { continue }
            let bytes = try other.backend.readWhole(source.pack.fileName, limitBytes: 1 << 24)
            let damaged = try change(scene.backend, target.pack) {
                $0.replaceSubrange(
                    target.offset..<target.offset + target.byteCount,
                    with: bytes[source.offset..<source.offset + source.byteCount])
            }
            try check(damaged, scene, target, "\(target) of the other, ASHLAR_SEED=\(seed)")
            swapped += 1
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
        print("\(swapped) records swapped")
        XCTAssertGreaterThan(swapped, 4)
    }

    private func check(
        _ damaged: MemoryBackend, _ scene: Scene, _ target: Place, _ context: String
    ) throws {
        let told = try named(damaged, scene.state)
        let unread = unreadable(damaged, scene.index, scene.state, context)
        let rebuilt = unreadable(damaged, MemoryIndexProvider(), scene.state, context)
        guard target.header.kind == .superChunk else {
            // What a bad commit takes away is no path's loss: the store is refused for writing, or an
            // older state is there, and the checker has told.
            if !unread.isEmpty || !rebuilt.isEmpty {
                let report = try StoreCheck.run(damaged.copy(isReadOnly: true))
                XCTAssertTrue(report.problems.contains { $0.severity > .information }, context)
            }
            return
        }
        XCTAssertTrue(unread.isSubset(of: told), "\(unread) \(told): \(context)")
        if try stopsBefore(damaged) {
            try checkRepair(damaged, scene, losing: told, context)
        } else {
            XCTAssertEqual(rebuilt, told, context)
        }
    }

    func testRewritingOneFileHealsAllThatShareItsChunks() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let scene = try makeScene(&random)
        let records = try places(scene.backend).filter {
            $0.header.kind == .superChunk && !$0.header.flags.contains(.metadata)
        }
        var healed = 0
        for round in 0..<(isLong ? 200 : 12) {
            let record = records[random.below(records.count)]
            let at = record.offset + record.byteCount - 1 - random.below(200)
            let damaged = try change(scene.backend, record.pack) { $0[at] ^= 4 }
            let context = "round \(round), ASHLAR_SEED=\(seed)"
            let told = try named(damaged, scene.state)
            let index = scene.index
            let open = try OpenStore(damaged, index)
            let lost = unreadable(open, scene.state, context)
            XCTAssertEqual(lost, told, context)
            for path in lost.sorted() {
                // What an earlier one has healed need not be written.
                guard unreadable(open, scene.state, context).contains(path) else {
                    healed += 1
                    continue
                }
                let bytes = try XCTUnwrap(scene.state[path])
                let inode = try XCTUnwrap(try find(path, open)).inode
                if bytes.count % 2 == 0 {
                    // Attributes that cannot be read cannot be changed: another file's heal them.
                    let helper = try open.volume.makeFile(Array("helper".utf8), in: 1).inode
                    try open.volume.setAttribute(
                        "user.long", of: helper, to: Array(bytes.prefix(700)))
                    try open.live.commit()
                    try open.volume.removeFile(Array("helper".utf8), in: 1)
                }
                try open.volume.put(bytes, into: inode)
                try open.live.commit()
            }
            XCTAssertEqual(unreadable(open, scene.state, context), [], context)
            try open.live.close()
            XCTAssertEqual(try named(damaged, scene.state), [], context)
            XCTAssertEqual(
                unreadable(damaged, MemoryIndexProvider(), scene.state, context), [], context)
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
        print("\(healed) files healed by others")
        XCTAssertGreaterThan(healed, 0)
    }
}
