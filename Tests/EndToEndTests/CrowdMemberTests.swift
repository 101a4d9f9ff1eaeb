import EndToEndSupport
import Foundation
import XCTest

/// One member of a crowd of processes: see `Crowd.performInProcesses`, which says in the environment
/// what it does. Without that a crowd works in plain directories, which must come out alike: its
/// operations give the same result wherever they are done.
final class CrowdMemberTests: XCTestCase {
    func testWhatOneDoes() throws {
        if let text = ProcessInfo.processInfo.environment[CrowdMember.variable] {
            let member = try XCTUnwrap(CrowdMember(text: text), text)
            XCTAssertNil(member.perform())
            return
        }
        let folder = NSTemporaryDirectory() + "/ashlar-crowd-\(UUID().uuidString)"
        try System.check(mkdir(folder, 0o755))
        defer { XCTAssertEqual(Cleaning.removeTree(folder), 0) }
        let places = ["model", "top"].map { folder + "/" + $0 }
        for place in places { try System.check(mkdir(place, 0o755)) }
        let crowd = Crowd(model: places[0], top: places[1], SeededGenerator())
        try crowd.makeFolders()
        XCTAssertEqual(crowd.perform(100), [])
    }
}
