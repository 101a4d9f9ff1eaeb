import EndToEndSupport
import Foundation
import XCTest

/// Thousands of random operations on a mounted volume and on a tmpfs, in the manner of fsstress (SGI):
/// each gives the same result, and the trees are equal, also after remounts and crashes, and in the
/// end by an index made anew.
///
/// How long, and how to repeat a run: see `ModelTestCase`.
final class TreeModelTests: ModelTestCase {
    private static let operationCount = Machine.isLong ? 100_000 : 3_000

    func testRandomOperations() throws {
        let model = try makeModel()
        try eachRound { (place, random) in
            try place.mount("commit=1")
            try clear(model)
            var source = OperationSource(random)
            var supported = Set<String>()
            for number in 0..<Self.operationCount {
                let operation = source.next()
                let expected = operation.perform(in: model)
                let result = operation.perform(in: place.mountpoint)
                if result == expected {
                    if !result.hasPrefix("errno") { supported.insert(operation.name) }
                } else if !operation.mayDiffer(fromTmpfs: expected) {
                    XCTFail("operation \(number), \(operation): \(result), not \(expected)")
                    return
                }
                if number % (Self.operationCount / 4) == Self.operationCount / 8 {
                    try compare(place.mountpoint, model, "operation \(number)")
                    try place.remount("commit=1")
                    try compare(place.mountpoint, model, "remounted behind operation \(number)")
                }
            }
            XCTAssertGreaterThan(
                supported.count, 20, "kinds that ever succeed: \(supported.sorted())")
            try place.unmount()
            try place.mustBeClean()
            XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
            try place.mount()
            try compare(place.mountpoint, model, "by a new index")
        }
    }

    /// Several threads, each with a model of its own, and a folder in which all of them meet.
    func testRandomOperationsOfSeveralThreads() throws {
        try checkCrowd(parts: 4, Self.operationCount / 12) { $0.perform($1) }
    }

    func testRandomOperationsOfSeveralProcesses() throws {
        let scratch = folder
        try checkCrowd(parts: 2, Self.operationCount / 12) { crowd, count in
            try crowd.performInProcesses(count, scratch: scratch)
        }
    }

    private func checkCrowd(
        _ test: String = #function, parts: Int, _ count: Int,
        _ perform: (Crowd, Int) throws -> [String]
    ) throws {
        let model = try makeModel()
        try eachRound(test) { (place, random) in
            try place.mount("commit=1")
            try clear(model)
            let crowd = Crowd(model: model, top: place.mountpoint, random)
            try crowd.makeFolders()
            for part in 0..<parts {
                XCTAssertEqual(try perform(crowd, count), [])
                try compare(place.mountpoint, model, "part \(part)", excluding: Crowd.shared)
                guard !hasFailed else { return }
                if part % 2 == 0 {
                    try place.remount("commit=1")
                } else {
                    // First what is in the kernel alone, then what is in the daemon.
                    try mustRun(["sync", "-f", place.mountpoint])
                    try mustRun(["sync", place.mountpoint])
                    try place.crash()
                    try place.mount("commit=1")
                }
                try compare(
                    place.mountpoint, model, "remounted behind part \(part)",
                    excluding: Crowd.shared)
            }
        }
    }

    /// After a crash a volume is in the state of one commit (DESIGN §3.3): all names and attributes
    /// are those of one moment since the last fsync, and each file's bytes are of that moment, or of
    /// a later one, since files are captured behind the commit's cut.
    func testCrashesBetweenRandomOperations() throws {
        let model = try makeModel()
        try eachRound { (place, random) in
            try place.mount("commit=1")
            try clear(model)
            var source = OperationSource(random, maps: false, bytesMax: 9_000)
            var log = try CrashLog(model)
            var lost = 0
            for crash in 0..<(Self.operationCount / 200) {
                for _ in 0..<(1 + source.below(120)) {
                    let operation = source.next()
                    let expected = operation.perform(in: model)
                    let result = operation.perform(in: place.mountpoint)
                    guard result == expected || operation.mayDiffer(fromTmpfs: expected) else {
                        XCTFail("crash \(crash), \(operation): \(result), not \(expected)")
                        return
                    }
                    let isSynchronized = operation.synchronizes && result == "done"
                    try log.note(operation, synchronized: isSynchronized)
                }
                // Mostly in the middle of something that nobody asked for.
                usleep(useconds_t(source.below(400_000)))
                try place.crash()
                try place.mount("commit=1")
                let found = try TreeState(place.mountpoint)
                guard let steps = log.stepsLost(in: found) else {
                    XCTFail("crash \(crash): \(log.explain(found))")
                    return
                }
                lost += steps
                // Into an empty place: rsync 3.5 fails where a directory with a default ACL is to become
                // a file.
                try clear(model)
                try mustRun([
                    try Machine.require("rsync"), "-aHAXDI", "--specials", "--delete",
                    place.mountpoint + "/", model + "/",
                ])
                log = try CrashLog(model)
                XCTAssertEqual(log.last.names, found.names, "what rsync has copied")
                XCTAssertTrue(log.stepsLost(in: found) == 0, "what rsync has copied")
            }
            print("operations lost by crashes: \(lost)")
        }
    }

    // MARK: the model

    private func makeModel() throws -> String {
        let model = try makeDirectory("model")
        let mounted = try run(["mount", "-t", "tmpfs", "tmpfs", model])
        guard mounted.code == 0 else { throw XCTSkip("no tmpfs: \(mounted.errors)") }
        return model
    }

    /// An empty model has the root directory of an empty volume.
    private func clear(_ model: String) throws {
        for name in try System.names(model) {
            let path = model + "/" + String(decoding: name, as: UTF8.self)
            XCTAssertEqual(Cleaning.removeTree(path), 0)
        }
        try System.check(chmod(model, 0o755))
        for name in try System.attributes(model) { try System.removeAttribute(model, name) }
    }

    /// Compares all but times, which are those of the calls. (diff cannot compare special files.)
    private func compare(
        _ volume: String, _ model: String, _ note: String, excluding folder: String = "none"
    ) throws {
        let result = try mustRun([
            try Machine.require("rsync"), "-ncirlpgoDHX", "--delete", "--exclude=/\(folder)",
            model + "/", volume + "/",
        ])
        let lines = result.text.split(separator: "\n").filter { line in
            !line.contains("..t......") && !line.contains("..T......")
        }
        XCTAssertEqual(lines, [], note)
        XCTAssertEqual(
            try listing(volume, excluding: folder), try listing(model, excluding: folder), note)
    }

    /// Every name with what lstat(2) says of it.
    private func listing(_ top: String, excluding folder: String) throws -> [String] {
        let found = try mustRun([
            "find", top, "-path", "\(top)/\(folder)", "-prune", "-o", "-printf",
            "%P %M %U %G %l %n\n",
        ])
        return found.text.split(separator: "\n").map(String.init).sorted()
    }
}
