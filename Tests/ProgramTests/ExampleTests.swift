// The examples do what their page says.
import Foundation
import XCTest

final class ExampleTests: XCTestCase {
    func testEstimateCountsEqualBytesOnce() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("ashlar-example-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var generator = SystemRandomNumberGenerator()
        let bytes = Data((0..<300_000).map { _ in UInt8.random(in: 0...255, using: &generator) })
        try bytes.write(to: folder.appendingPathComponent("a"))
        try bytes.write(to: folder.appendingPathComponent("b"))
        try Data(count: 500_000).write(to: folder.appendingPathComponent("zeros"))
        let result = try BuiltProgram.run(try BuiltProgram.path("estimate"), [folder.path])
        XCTAssertEqual(result.code, 0, result.errors)
        let figures = result.text.split(separator: "\n").map { $0.split(separator: " ") }
        XCTAssertEqual(figures.first?.prefix(2).last, "3,")
        XCTAssertEqual(figures[1].prefix(2).map(String.init), ["logical", "1100000"])
        XCTAssertEqual(figures[2].prefix(2).map(String.init), ["unique", "300000"])
        let stored = try XCTUnwrap(Int(figures[3][1]))
        XCTAssertTrue((290_000...310_000).contains(stored), result.text)
        XCTAssertEqual(try BuiltProgram.run(try BuiltProgram.path("estimate"), []).code, 2)
    }
}
