// Times and memory, on demand: ASHLAR_MEASURE=1 swift test -c release -Xswiftc -enable-testing
// --filter MeasureTests
import DiskFormat
import Foundation
import Platform
import XCTest

@testable import Checking

final class MeasureTests: XCTestCase {
    /// Without ASHLAR_MEASURE the sizes are a hundredth: then only the answers count.
    private let share =
        ProcessInfo.processInfo.environment["ASHLAR_MEASURE"] == nil ? 100 : 1

    private func time(_ what: String, _ body: () throws -> Void) rethrows {
        let start = ContinuousClock.now
        try body()
        print("\(what): \(ContinuousClock.now - start)")
    }

    func testMeasure() throws {
        try measureTable()
        try measureStore()
    }

    private func measureTable() throws {
        var random = SeededGenerator(seed: 1)
        var table = ChunkTable()
        let count = 2_000_000 / share
        table.reserve(count)
        for index in 0..<count {
            let name = ChunkName(
                w0: random.next(), w1: random.next(), w2: random.next(), w3: random.next())
            table.append(
                .init(
                    name: name, record: UInt32(index / 32), frameOffset: 0,
                    packedLength: 1 | 1 << 28, frame: 0))
        }
        time("sort \(count) copies") { table.finish() }
        var found = 0
        time("look \(count) names up") {
            for index in 0..<count where table.number(of: table.copies[index].name) == index {
                found += 1
            }
        }
        XCTAssertEqual(found, count)
    }

    private func measureStore() throws {
        var options = SmallStore.Options()
        options.superChunkBytes = 1 << 20
        options.frameBytes = 1 << 20
        options.packBytes = 1 << 30
        let store = try SmallStore(options)
        let volume = SmallVolume(store)
        volume.chunkBytes = 32 << 10
        var random = SeededGenerator(seed: 2)
        var bytes = 0
        for index in 0..<100 / share {
            // Half of it compresses.
            let part = (0..<(1 << 19)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let content = part + (0..<(1 << 19)).map { UInt8(truncatingIfNeeded: $0 &* index >> 9) }
            bytes += content.count
            try volume.makeFile("file-\(index)", content)
            if index % 40 == 39 {
                try volume.commit()
                try store.roll()
            }
        }
        for index in 0..<40_000 / share {
            try volume.makeFile("small-\(index)", [UInt8(index & 255), UInt8(index >> 8)])
        }
        try volume.checkpoint()
        for depth in [CheckDepth.quick, .full, .deep] {
            try time("\(depth) of \(bytes >> 20) MiB and small files") {
                XCTAssertEqual(try checkStore(store.backend, depth).complaints, [])
            }
        }
    }
}
