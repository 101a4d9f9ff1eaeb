// Rules of volumes: kept by the packs alone, through crashes, rebuilds and checkpoints.
import Backends
import DiskFormat
import FileModel
import Metadata
import XCTest

@testable import Checking
@testable import Pipeline
@testable import Volume

final class RulesTests: XCTestCase {
    private func packsSay(_ backend: MemoryBackend) throws -> [String: String] {
        let state = try State.open(backend.copy(isReadOnly: true))
        var result: [String: String] = [:]
        for volume in state.volumes {
            guard let rules = state.rules[volume.id] else { continue }
            result[volume.name] = rules.retention + "|" + rules.schedule
        }
        return result
    }

    func testKeptWhateverHappens() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var open = try OpenStore(backend, index)
        try open.live.createVolume(named: "other")
        _ = try open.live.changeRules(of: "main") { $0.retention = "keep-last=3" }
        _ = try open.live.changeRules(of: "other") { $0.schedule = "every=1h" }
        let before = open.sequence
        let same = try open.live.changeRules(of: "main") { $0.retention = "keep-last=3" }
        XCTAssertEqual(open.sequence, before, "what changes nothing is no commit")
        XCTAssertEqual(same.retention, "keep-last=3")
        let expected = ["main": "keep-last=3|", "other": "|every=1h"]
        XCTAssertEqual(try packsSay(backend), expected)
        // A crash behind the commits, and an index made anew from them.
        for keeping in [0, 1, Int.max] {
            let crashed = index.crash(keepingBatches: keeping)
            let copy = backend.copy(isReadOnly: false)
            let again = try OpenStore(copy, crashed)
            XCTAssertEqual(try again.live.rules(of: "main").retention, "keep-last=3")
            XCTAssertEqual(try again.live.rules(of: "other").schedule, "every=1h")
            try again.live.close()
            XCTAssertEqual(try complaints(copy, crashed), [])
        }
        // Checkpoints repeat them; a rebuild takes them from the newest one alone.
        for number in 0..<3 {
            _ = try open.volume.makeFile(Array("f\(number)".utf8), in: 1)
            try open.live.checkpoint()
        }
        try open.live.renameVolume(named: "other", to: "renamed")
        try open.live.close()
        XCTAssertEqual(
            try packsSay(backend), ["main": "keep-last=3|", "renamed": "|every=1h"])
        let anew = MemoryIndexProvider()
        open = try OpenStore(backend, anew)
        XCTAssertEqual(try open.live.rules(of: "main").retention, "keep-last=3")
        XCTAssertEqual(try open.live.rules(of: "renamed").schedule, "every=1h")
        // Cleared, and gone with the volume.
        _ = try open.live.changeRules(of: "main") { $0.retention = "" }
        XCTAssertEqual(try packsSay(backend), ["renamed": "|every=1h"])
        try open.live.removeVolume(named: "renamed")
        XCTAssertEqual(try packsSay(backend), [:])
        try open.live.close()
        XCTAssertEqual(try complaints(backend, anew), [])
        open = try OpenStore(backend, MemoryIndexProvider())
        XCTAssertTrue(try open.live.rules(of: "main").isEmpty)
        XCTAssertThrowsError(try open.live.rules(of: "renamed"))
        XCTAssertThrowsError(
            try open.live.changeRules(of: "main") {
                $0.retention = String(repeating: "a", count: VolumeRules.retentionBytesMax + 1)
            }
        ) { XCTAssertEqual($0 as? SnapshotError, .rulesTooLong) }
        try open.live.close()
    }
}
