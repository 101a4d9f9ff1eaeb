// What `ashlar mkfs` leaves, as a user sees it.
import Foundation
import XCTest

final class NewStoreTests: XCTestCase {
    /// Whoever can read the packs or the index reads everybody's files.
    func testAStoreIsItsMakersAlone() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("ashlar-make-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let made = try BuiltProgram.ashlar(["mkfs", "-q", folder])
        XCTAssertEqual(made.code, 0, made.errors)
        for name in ["", "/packs", "/index"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: folder + name)
            XCTAssertEqual(attributes[.posixPermissions] as? Int, 0o700, name)
        }
        let again = try BuiltProgram.ashlar(["mkfs", "-q", folder])
        XCTAssertNotEqual(again.code, 0)
        XCTAssertTrue(again.errors.contains("is an Ashlar store already"), again.errors)
    }
}
