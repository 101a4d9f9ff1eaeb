import EndToEndSupport
import Foundation
import XCTest

/// The power of the filesystem is cut into which files are restored. A file that has the source's size
/// and time counts as right when the command is run again, so it must not have them before its bytes
/// are on the medium: filesystems write names and times first, and bytes half a minute later.
final class RestoreCutTests: EndToEndTestCase {
    private static let fileCount = 240

    func testARestoreGoesOnAfterAPowerCut() throws {
        let disk = try LoopFilesystem(.ext4, test: self)
        var isMounted = true
        defer { if isMounted { try? disk.unmount() } }
        let place = try makePlace("b")
        try place.mount()
        var random = SeededGenerator()
        try makeDirectory("reference")
        for index in 0..<Self.fileCount {
            let directory = path("reference/d\(index % 5)")
            _ = mkdir(directory, 0o755)
            try System.writeFile("\(directory)/\(index)", random.bytes(1 + random.below(200_000)))
        }
        try mustRun(["cp", "-a", path("reference"), place.path("r")])
        try place.unmount()
        let back = disk.mountpoint + "/back"
        let command = [try Program.built("ashlar"), "restore", place.store, ":r/", back]
        var wereThere: [Int] = []
        for round in 0..<3 {
            let program = try Program(command, scratch: folder)
            let least = Self.fileCount / 4 * (round + 1)
            XCTAssertTrue(wait(60) { !program.isRunning || Self.count(back) >= least })
            program.signal(SIGKILL)
            _ = try program.finish(seconds: 60)
            wereThere.append(Self.count(back))
            // Makes the log durable, and with it names, sizes and times, but not bytes.
            let other = disk.mountpoint + "/other"
            try System.with(other, O_RDWR | O_CREAT) { file throws(SystemError) in
                try System.write(file, [UInt8(round)], at: 0)
                try System.check(fsync(file))
            }
            try disk.cutPower()
            try disk.unmount()
            isMounted = false
            try disk.mount()
            isMounted = true
        }
        print("files before each cut: \(wereThere)")
        XCTAssertGreaterThan(wereThere.max() ?? 0, 0)
        try mustRun(command)
        try assertEqualTrees(path("reference"), back)
        // What has ended is durable.
        try disk.cutPower()
        try disk.unmount()
        isMounted = false
        try disk.mount()
        isMounted = true
        try assertEqualTrees(path("reference"), back)
    }

    private static func count(_ top: String) -> Int {
        (FileManager.default.enumerator(atPath: top)?.allObjects.count).map { max(0, $0 - 5) } ?? 0
    }
}
