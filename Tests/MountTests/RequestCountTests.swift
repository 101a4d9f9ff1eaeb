import FileModel
import Foundation
import Mount
import XCTest

/// Round trips are the price of FUSE: what the usual work costs, with a bound on it.
class RequestCountTests: MountTestCase {
    private func describe(_ counts: [KernelRequest: Int]) -> String {
        counts.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }
            .joined(separator: ", ")
    }

    func testCopyOfAHundredSmallFiles() throws {
        let source = NSTemporaryDirectory() + "ashlar-source-\(UUID().uuidString)"
        try System.check(mkdir(source, 0o755))
        defer { try? FileManager.default.removeItem(atPath: source) }
        for index in 0..<100 {
            try System.writeFile(source + "/f\(index)", [UInt8](repeating: 1, count: 3000))
        }
        let copy = try volume.requests {
            XCTAssertEqual(try System.run("/bin/cp", ["-a", source, volume.file("copy")]).0, 0)
        }
        print("cp -a of 100 files: \(copy.roundTrips) round trips: \(describe(copy.counts))")
        // LOOKUP, MKNOD, GETXATTR (security.capability, once a file), WRITE, SETATTR, SETXATTR (the
        // access list), and GETATTR of the directory that MKNOD has changed.
        XCTAssertLessThanOrEqual(copy.roundTrips, 730)
        for request in [KernelRequest.open, .create, .flush, .opendir] {
            XCTAssertLessThanOrEqual(copy.counts[request, default: 0], 1, "\(request)")
        }
        XCTAssertNil(copy.counts[.release])
        let read = try volume.requests {
            XCTAssertEqual(
                try System.run("/usr/bin/diff", ["-r", source, volume.file("copy")]).0, 0)
        }
        print("diff -r of them: \(read.roundTrips) round trips: \(describe(read.counts))")
        XCTAssertLessThanOrEqual(read.roundTrips, 120)
        let list = try volume.requests {
            XCTAssertEqual(try System.run("/bin/ls", ["-lR", volume.file("copy")]).0, 0)
        }
        print("ls -lR of them: \(list.roundTrips) round trips: \(describe(list.counts))")
        let remove = try volume.requests {
            XCTAssertEqual(try System.run("/bin/rm", ["-r", volume.file("copy")]).0, 0)
        }
        print("rm -r of them: \(remove.roundTrips) round trips: \(describe(remove.counts))")
        // The reading above made access times unknown to the kernel, and rm wants whole attributes.
        XCTAssertLessThanOrEqual(remove.roundTrips, 220)
    }

    func testOpeningAsksNothing() throws {
        let path = volume.file("a")
        try System.writeFile(path, [1])
        try System.with(path, O_RDONLY) { _ in }
        let open = try volume.fewestRequests {
            for _ in 0..<100 { try System.with(path, O_RDWR) { _ in } }
        }
        XCTAssertEqual(open.roundTrips, 0, describe(open.counts))
    }
}
