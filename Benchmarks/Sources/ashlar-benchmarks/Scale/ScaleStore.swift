import CGnu
import Foundation

/// A store of its own with very many chunks and files, made through a mount, and what is measured of
/// it. One thread.
final class ScaleStore {
    let chunks: Int
    let files: Int
    private let folder: String
    private let programs: String
    private let memory: String
    private var daemon: pid_t?
    private var values: [ScaleValue] = []
    private var tell: (ScaleValue) -> Void = { _ in }

    private var store: String { folder + "/store" }
    private var mountpoint: String { folder + "/mnt" }
    private var directory: String { mountpoint + "/files" }
    private var ashlar: String { programs + "/ashlar" }

    static let blockBytes = 4096
    /// Blocks that are written, or read, to time them: 64 MiB.
    static let blocksPerProbe = 16_384
    private static let blocksPerFile = 1 << 18
    private static let blocksPerWrite = 256
    private static let lookups = 5000
    private static let reads = 2000
    private static let commits = 60
    /// What lies in packs since the index was last durable when the daemon is killed: 1 GiB.
    private static let crashBlocks = 1 << 18
    private static let reopenings = 5

    init(folder: String, programs: String, memory: String, chunks: Int, files: Int) {
        self.folder = folder
        self.programs = programs
        self.memory = memory
        self.chunks = chunks
        self.files = files
    }

    func measure(_ tell: @escaping (ScaleValue) -> Void) throws(BenchmarkError) -> [ScaleValue] {
        self.tell = tell
        try Files.makeFolder(mountpoint)
        try Command(ashlar, "mkfs", "--quiet", "--chunker", "fixed:4K", store).run()
        try mount()
        try fill()
        try measureOpening()
        try measureReading()
        try measureChanging()
        try note("memory: VmHWM", Double(peakMegabytes()), "MB")
        try measureCrash()
        try unmount()
        try note("packs", Double(Files.allocatedBytes(below: store + "/packs")) / 1e6, "MB")
        try note("index", Double(Files.allocatedBytes(below: store + "/index")) / 1e6, "MB")
        return values
    }

    func stop() {
        if let daemon { kill(daemon, SIGKILL) }
        _ = try? Command("umount", "-l", mountpoint).cleaning.run()
        _ = try? Command("rm", "-rf", "--one-file-system", folder).cleaning.run()
    }

    private func note(_ name: String, _ value: Double, _ unit: String) throws(BenchmarkError) {
        let value = ScaleValue(name: name, value: value, unit: unit)
        values.append(value)
        tell(value)
        try Interruption.check()
    }

    // MARK: the mount

    @discardableResult
    private func mount() throws(BenchmarkError) -> Double {
        let outcome = try Command(
            ashlar, "mount", "-o", "memory=\(memory)", store, mountpoint
        ).run()
        daemon = Files.names(in: "/proc").compactMap { Int32($0) }.first { process in
            let data = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") ?? Data()
            let words = data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return words.first == ashlar && words.contains(store)
        }
        guard daemon != nil else { throw .missing("the daemon of \(mountpoint)") }
        return outcome.seconds
    }

    @discardableResult
    private func unmount() throws(BenchmarkError) -> Double {
        let seconds = try Command(ashlar, "umount", "--quiet", mountpoint).run().seconds
        daemon = nil
        return seconds
    }

    private func crash() throws(BenchmarkError) {
        guard let daemon, kill(daemon, SIGKILL) == 0 else { throw .missing("a daemon to kill") }
        while kill(daemon, 0) == 0 { usleep(1000) }
        self.daemon = nil
        try Command("umount", "-l", mountpoint).run()
    }

    /// The most that the daemon has had resident since it began, in MB.
    private func peakMegabytes() throws(BenchmarkError) -> Int {
        guard let daemon,
            let text = try? String(contentsOfFile: "/proc/\(daemon)/status", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
            let kibibytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first,
            let count = Int(kibibytes)
        else { throw .missing("the memory of the daemon") }
        return count * 1024 / 1_000_000
    }

    // MARK: works

    private func fill() throws(BenchmarkError) {
        var began = Clock.seconds
        try Files.makeFolder(mountpoint + "/content")
        for (index, first) in stride(from: 0, to: chunks, by: Self.blocksPerFile).enumerated() {
            let numbers = first..<min(first + Self.blocksPerFile, chunks)
            try write(mountpoint + "/content/\(index)", numbers)
        }
        try Files.synchronize(mountpoint)
        try note("fill: a new chunk", (Clock.seconds - began) / Double(chunks) * 1e6, "µs")
        began = Clock.seconds
        try Files.makeFolder(directory)
        for number in 0..<files { try create("\(directory)/\(Self.name(number))") }
        try Files.synchronize(mountpoint)
        try note("fill: a new file", (Clock.seconds - began) / Double(files) * 1e6, "µs")
    }

    private func measureOpening() throws(BenchmarkError) {
        try note("unmount after filling", unmount(), "s")
        var times: [Double] = []
        for _ in 0..<Self.reopenings {
            times.append(try mount())
            try unmount()
        }
        try mount()
        try note("mount after a clean unmount", times.sorted()[times.count / 2] * 1e3, "ms")
    }

    /// With nothing in memory but what opening needs.
    private func measureReading() throws(BenchmarkError) {
        var random = Random(seed: 1)
        try note(
            "look up a name",
            try each(Self.lookups) { (_) throws(BenchmarkError) in
                let name = Self.name(Int(random.next() % UInt64(files)))
                guard access("\(directory)/\(name)", F_OK) == 0 else { throw .missing(name) }
            } * 1e6, "µs")
        try note(
            "look up a name that is not there",
            try each(Self.lookups) { (number) throws(BenchmarkError) in
                let name = "none-\(number)"
                guard access("\(directory)/\(name)", F_OK) != 0 else { throw .missing(name) }
            } * 1e6, "µs")
        try note("list a name", try list() * 1e6, "µs")
        var buffer = [UInt8](repeating: 0, count: Self.blockBytes)
        try note(
            "read 4 KiB anywhere",
            try each(Self.reads) { (_) throws(BenchmarkError) in
                let number = Int(random.next() % UInt64(chunks))
                try read(number, into: &buffer)
            } * 1e6, "µs")
    }

    private func measureChanging() throws(BenchmarkError) {
        try note(
            "create a file",
            try each(Self.lookups) { (number) throws(BenchmarkError) in
                try create("\(directory)/new-\(number)")
            } * 1e6, "µs")
        try Files.synchronize(mountpoint)
        var times: [Double] = []
        for number in 0..<Self.commits {
            let path = "\(directory)/commit-\(number)"
            let began = Clock.seconds
            try write(path, chunks + number..<chunks + number + 1)
            try Files.synchronize(path)
            times.append(Clock.seconds - began)
        }
        try note(
            "create, write and fsync a file, median", times.sorted()[times.count / 2] * 1e3, "ms")
        var random = Random(seed: 2)
        let known = (0..<Self.blocksPerProbe).map { _ in Int(random.next() % UInt64(chunks)) }
        var began = Clock.seconds
        try write(mountpoint + "/known", known)
        try Files.synchronize(mountpoint)
        let perProbe = 1e6 / Double(Self.blocksPerProbe)
        try note("store a known chunk again", (Clock.seconds - began) * perProbe, "µs")
        began = Clock.seconds
        let fresh = 2 * chunks..<2 * chunks + Self.blocksPerProbe
        try write(mountpoint + "/fresh", fresh)
        try Files.synchronize(mountpoint)
        try note("store a new chunk", (Clock.seconds - began) * perProbe, "µs")
    }

    /// Kills the daemon with a GiB of incompressible chunks behind the index, and opens again.
    private func measureCrash() throws(BenchmarkError) {
        try unmount()
        try mount()
        let before = try Files.allocatedBytes(below: store + "/packs")
        let first = 4 * chunks
        try write(mountpoint + "/crash", first..<first + Self.crashBlocks, isRandom: true)
        try Files.synchronize(mountpoint)
        try crash()
        let grown = try Files.allocatedBytes(below: store + "/packs") - before
        let gibibytes = Double(grown) / Double(1 << 30)
        let seconds = try mount()
        try note("mount after a crash", seconds, "s")
        try note("the same, for each GiB of packs since", seconds / gibibytes, "s")
        try note("memory: VmHWM after a crash", Double(peakMegabytes()), "MB")
    }

    // MARK: operations

    /// The seconds that one takes.
    private func each(
        _ count: Int, _ body: (Int) throws(BenchmarkError) -> Void
    ) throws(BenchmarkError) -> Double {
        let began = Clock.seconds
        for number in 0..<count { try body(number) }
        return (Clock.seconds - began) / Double(count)
    }

    /// Seconds for each name that the directory lists.
    private func list() throws(BenchmarkError) -> Double {
        let began = Clock.seconds
        guard let stream = opendir(directory) else {
            throw .system(call: "opendir", path: directory, errno: errno)
        }
        defer { closedir(stream) }
        var count = 0
        while readdir(stream) != nil { count += 1 }
        guard count == files + 2 else { throw .missing("\(files + 2 - count) names") }
        return (Clock.seconds - began) / Double(count)
    }

    private func create(_ path: String) throws(BenchmarkError) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .system(call: "creat", path: path, errno: errno) }
        close(file)
    }

    private func read(_ number: Int, into buffer: inout [UInt8]) throws(BenchmarkError) {
        let path = "\(mountpoint)/content/\(number / Self.blocksPerFile)"
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .system(call: "open", path: path, errno: errno) }
        defer { close(file) }
        // Without this a read would be one of 128 KiB.
        posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM)
        let offset = off_t(number % Self.blocksPerFile * Self.blockBytes)
        guard pread(file, &buffer, buffer.count, offset) == buffer.count,
            buffer.withUnsafeBytes({ $0.loadUnaligned(as: Int.self) }) == number
        else { throw .missing("block \(number)") }
    }

    /// Writes blocks that are told apart by their numbers; else zeros, or random bytes.
    private func write(
        _ path: String, _ numbers: some Collection<Int>, isRandom: Bool = false
    ) throws(BenchmarkError) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .system(call: "creat", path: path, errno: errno) }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: Self.blocksPerWrite * Self.blockBytes)
        var random = Random(seed: UInt64(numbers.first ?? 0))
        var used = 0
        func flush() throws(BenchmarkError) {
            guard Foundation.write(file, buffer, used) == used else {
                throw .system(call: "write", path: path, errno: errno)
            }
            used = 0
            try Interruption.check()
        }
        for number in numbers {
            buffer.withUnsafeMutableBytes { bytes in
                if isRandom {
                    for word in stride(from: used, to: used + Self.blockBytes, by: 8) {
                        bytes.storeBytes(of: random.next(), toByteOffset: word, as: UInt64.self)
                    }
                }
                bytes.storeBytes(of: number, toByteOffset: used, as: Int.self)
            }
            used += Self.blockBytes
            if used == buffer.count { try flush() }
        }
        if used > 0 { try flush() }
    }

    /// Names as a program gives them, in no order that a sorted directory would like.
    private static func name(_ number: Int) -> String {
        var random = Random(seed: UInt64(number))
        return String(random.next(), radix: 36) + ".dat"
    }
}
