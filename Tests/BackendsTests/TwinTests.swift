import Backends
import Platform
import XCTest

/// The twins that fail and that record.
final class TwinTests: XCTestCase {
    func testFaultsStrikeTheCallsTheyName() throws {
        let plan = FaultPlan<BackendOperation>([
            Fault([.write], nameContains: "pack", firstCall: 2, error: .noSpace),
            Fault([.removeFile], isLasting: true),
        ])
        let backend = FaultInjectingBackend(MemoryBackend(), plan: plan)
        let pack = try backend.createFile("a.pack")
        let other = try backend.createFile("other")
        try pack.write([1], at: 0)
        try other.write([1], at: 0)
        assertThrows(.noSpace(name: "a.pack")) { try pack.write([2], at: 0) }
        try pack.write([3], at: 0)
        XCTAssertEqual(try pack.readAll(), [3])
        for _ in 0..<3 {
            XCTAssertEqual(systemCode { try backend.removeFile("other") }, Errno.ioError.rawValue)
        }
        XCTAssertEqual(plan.struckCount, 4)
        XCTAssertEqual(plan.callCount(.write), 4)
        plan.clear()
        try backend.removeFile("other")
    }

    func testEffects() throws {
        let plan = FaultPlan<BackendOperation>([
            Fault([.write], effect: .partial(bytes: 3)),
            Fault([.removeFile], effect: .complete),
        ])
        let memory = MemoryBackend()
        let backend = FaultInjectingBackend(memory, plan: plan)
        let file = try backend.createFile("f")
        let bytes: [UInt8] = [1, 2, 3, 4]
        bytes.withUnsafeBytes { all in
            let halves = [
                UnsafeRawBufferPointer(rebasing: all[..<2]),
                UnsafeRawBufferPointer(rebasing: all[2...]),
            ]
            XCTAssertNotNil(systemCode { try file.write(halves, at: 0) })
        }
        XCTAssertEqual(try file.readAll(), [1, 2, 3])
        XCTAssertNotNil(systemCode { try backend.removeFile("f") })
        XCTAssertEqual(try memory.contents(), [:])
    }

    func testInjectedSynchronisationFailurePoisons() throws {
        let plan = FaultPlan<BackendOperation>([Fault([.synchronize])])
        let memory = MemoryBackend()
        let backend = FaultInjectingBackend(memory, plan: plan)
        let file = try backend.createFile("f")
        try backend.synchronizeNames()
        try file.write([1], at: 0)
        XCTAssertNotNil(systemCode { try file.synchronize() })
        assertThrows(.poisoned(name: "f")) { try file.synchronize() }
        assertThrows(.poisoned(name: "f")) { try file.write([2], at: 0) }
        XCTAssertEqual(try file.readAll(), [1])
        XCTAssertEqual(try memory.crash().contents(), ["f": []])
        try backend.openFile("f", writable: true).synchronize()
    }

    func testReplayGivesEveryMoment() throws {
        let temporary = try TemporaryDirectory()
        let backend = RecordingBackend(try DirectoryBackend(path: temporary.path))
        let recording = backend.recording
        let file = try backend.createFile("f")
        try backend.synchronizeNames()
        try file.write([1, 2], at: 0)
        try file.synchronize()
        recording.mark("synced")
        try file.write([3], at: 2)
        try backend.renameFile("f", to: "g")
        XCTAssertThrowsError(try backend.removeFile("none"))
        XCTAssertEqual(recording.count, 7, "what failed is not recorded")

        let replay = BackendReplay(recording.operations)
        var live: [[String: [UInt8]]] = []
        var durable: [[String: [UInt8]]] = []
        for end in 0...recording.count {
            try replay.advance(to: end)
            XCTAssertEqual(replay.marks, end >= 5 ? ["synced"] : [])
            live.append(try replay.backend.contents())
            durable.append(try replay.backend.crash().contents())
        }
        let synced: [String: [UInt8]] = ["f": [1, 2]]
        XCTAssertEqual(
            live,
            [
                [:], ["f": []], ["f": []], synced, synced, synced, ["f": [1, 2, 3]],
                ["g": [1, 2, 3]],
            ])
        XCTAssertEqual(
            durable, [[:], [:], ["f": []], ["f": []], synced, synced, synced, synced])
        XCTAssertEqual(try backend.contents(), live.last)
    }

    func testReplayOfRandomWork() throws {
        var generator = SeededGenerator(seed: testSeed())
        let start = MemoryBackend()
        try start.writeWhole("there", [9, 9, 9])
        let backend = RecordingBackend(start.copy())
        var files = [try backend.openFile("there", writable: true)]
        for step in 0..<300 {
            let offset = UInt64.random(in: 0..<9000, using: &generator)
            guard let file = files.randomElement(using: &generator) else { continue }
            switch Int.random(in: 0..<9, using: &generator) {
            case 0: files.append(try backend.createFile("d/\(step)"))
            case 1: try file.truncate(to: offset)
            case 2: _ = try file.punchHole(offset..<(offset + 5000))
            case 3: _ = try file.preallocate(offset..<(offset + 5000))
            case 4: try file.synchronize()
            case 5: try backend.synchronizeNames()
            case 6: try backend.writeWhole("whole", [UInt8(step & 255)])
            default: try file.write([UInt8](repeating: UInt8(step & 255), count: 700), at: offset)
            }
        }
        let replay = BackendReplay(backend.recording.operations, into: start)
        try replay.advance(to: replay.operations.count)
        XCTAssertEqual(try replay.backend.contents(), try backend.contents())
        let memory = try XCTUnwrap(backend.base as? MemoryBackend)
        XCTAssertEqual(try replay.backend.crash().contents(), try memory.crash().contents())
    }
}
