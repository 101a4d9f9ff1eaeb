import CLinux
import EndToEndSupport
import Foundation
import class Platform.ConditionMutex
import XCTest

/// Random changes of files against arrays of bytes, in the manner of fsx (A. Tevanian, NeXT, 1991): what
/// is read is always what was written last, by whatever call; after a crash it is what it was at one
/// moment since the last fsync(2).
///
/// How long, and how to repeat a run: see `ModelTestCase`.
final class FileModelTests: ModelTestCase {
    private static let operationCount = Machine.isLong ? 100_000 : 2_000
    /// Operations between two ends of the mount.
    private static let mountedOperations = 250

    func testRandomChanges() throws {
        try eachRound { (place, random) in
            try place.mount("commit=1")
            let run = try FileRun(place, random)
            defer { run.close() }
            for number in 0..<Self.operationCount {
                try run.step()
                var isSame = try run.verify(whole: number % 250 == 0)
                if isSame, number % Self.mountedOperations == Self.mountedOperations - 1 {
                    isSame = try run.interrupt("commit=1")
                }
                guard isSame, !hasFailed else {
                    XCTFail("operation \(number); the last: \(run.history.suffix(80))")
                    return
                }
            }
            run.close()
            try place.unmount()
            try place.mustBeClean()
            XCTAssertTrue(
                try ashlar(["cat", place.store, "/file"]).output == run.models[0].bytes)
            try place.mount()
            try assertHoles(place, run.models[0])
        }
    }

    /// Several threads in one file, each in a part of its own.
    func testThreadsInOneFile() throws {
        let threads = 4
        try eachRound { (place, random) in
            try place.mount("commit=1")
            let path = place.path("file")
            try System.with(path, O_RDWR | O_CREAT) { file throws(SystemError) in
                try System.check(ftruncate(file, off_t(threads * FileSlice.bytes)))
            }
            let seeds = (0..<threads).map { _ in random.next() }
            let slices = ConditionMutex<[FileSlice]>([])
            let complaints = ConditionMutex<[String]>([])
            DispatchQueue.concurrentPerform(iterations: threads) { number in
                var slice = FileSlice(path, number: number, seed: seeds[number])
                let complaint = slice.perform(Self.operationCount / 8)
                let done = slice
                slices.withLock { $0.append(done) }
                if let complaint { complaints.withLock { $0.append(complaint) } }
            }
            XCTAssertEqual(complaints.withLock { $0 }, [])
            try place.remount()
            let bytes = try System.readFile(path)
            XCTAssertEqual(slices.withLock { $0 }.compactMap { $0.difference(in: bytes) }, [])
        }
    }

    /// A hole holds nothing but zeros, and what was never written is one.
    private func assertHoles(_ place: Place, _ model: FileModel) throws {
        for hole in Self.holes(of: place.path("file")) {
            XCTAssertTrue(model.bytes[hole].allSatisfy { $0 == 0 }, "hole \(hole)")
        }
        try System.with(place.path("file"), O_RDWR) { file throws(SystemError) in
            try System.check(ftruncate(file, off_t(FileRun.sizeMax * 4)))
        }
        let last = Self.holes(of: place.path("file")).last
        XCTAssertLessThanOrEqual(
            last?.lowerBound ?? .max, (FileRun.sizeMax + 4095) / 4096 * 4096)
        XCTAssertEqual(last?.upperBound, FileRun.sizeMax * 4)
    }

    private static func holes(of path: String) -> [Range<Int>] {
        var result: [Range<Int>] = []
        try? System.with(path, O_RDONLY) { file throws(SystemError) in
            let size = Int(try System.status(path).st_size)
            var offset = 0
            while offset < size {
                let start = try System.seek(file, offset, 4)
                guard start < size else { break }
                let end = (try? System.seek(file, start, 3)) ?? size
                result.append(start..<end)
                offset = end
            }
        }
        return result
    }
}
