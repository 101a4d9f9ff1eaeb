import ChunkIndex
import DiskFormat
import Foundation
import Metadata

/// An index of very many chunks, through the code and the settings of the real one, without packs:
/// what a look-up, a batch, an opening and the memory cost while it grows. `make bench-index`.
///
///     stage-benchmarks --grow FOLDER ENTRIES [MEBIBYTES]
///
/// FOLDER is made, and removed at the end. Names are as random as hashes are; a batch has as many
/// chunks as a commit of some super-chunks. Look-ups of known names choose among all that are there,
/// evenly: no locality, the worst that can be asked.
struct IndexGrowth {
    let folder: String
    let entries: Int
    let memoryBytes: Int

    private static let batchEntries = 1000
    private static let firstStop = 100_000
    private static let lookups = 20_000
    private static let mebibyte = 1 << 20

    init?(_ arguments: [String]) {
        guard arguments.count == 2 || arguments.count == 3, let count = Int(arguments[1]),
            count >= IndexGrowth.firstStop,
            let mebibytes = Int(arguments.count == 3 ? arguments[2] : "256"), mebibytes > 0
        else { return nil }
        folder = arguments[0]
        entries = count
        memoryBytes = mebibytes * IndexGrowth.mebibyte
    }

    func run() throws {
        guard mkdir(folder, 0o700) == 0 else {
            throw StageBenchmarks.Failure.wrong("\(folder) is there already, or cannot be made")
        }
        defer { try? FileManager.default.removeItem(atPath: folder) }
        Self.tell(
            """
            \(memoryBytes / Self.mebibyte) MiB for the index. Times of a batch of \
            \(Self.batchEntries) are of those since the line before; look-ups are µs each.

            |     chunks |   put/s | CPU µs/put | batch ms: median | 99 % | most | known | unknown \
            | reopen ms | index MB | B/chunk | most RSS MB |
            |---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
            """)
        var count = 0
        var index = try open(create: true)
        for stop in stops {
            let filled = try fill(index, from: count, to: stop)
            count = stop
            let known = try lookUp(index, in: 0..<count, isThere: true)
            let unknown = try lookUp(index, in: Int.max / 2..<Int.max / 2 + count, isThere: false)
            try index.close(flushing: true)
            let began = Self.now
            index = try open(create: false)
            guard try index.get(IndexKey.chunk(Self.name(count / 2))) != nil else {
                throw StageBenchmarks.Failure.wrong("a chunk is gone")
            }
            let reopened = Self.now - began
            let bytes = index.storedBytes()
            Self.tell(
                String(
                    format:
                        "| %10d | %7.0f | %.2f | %.2f | %.2f | %.0f | %.1f | %.1f | %.0f | %.0f "
                        + "| %.0f | %.0f |", count, filled.rate, filled.processorMicroseconds,
                    filled.median * 1e3, filled.high * 1e3, filled.most * 1e3, known * 1e6,
                    unknown * 1e6, reopened * 1e3, Double(bytes) / 1e6,
                    Double(bytes) / Double(count), Self.mostMemoryMegabytes))
        }
        try index.close(flushing: false)
    }

    /// 100,000, 300,000, a million and so on, and the end.
    private var stops: [Int] {
        var result: [Int] = []
        var stop = Self.firstStop
        while stop < entries {
            result.append(stop)
            if stop * 3 < entries { result.append(stop * 3) }
            stop *= 10
        }
        return result + [entries]
    }

    private func open(create: Bool) throws -> RocksMetadataStore {
        try RocksMetadataStore(
            path: folder + "/index", memoryBytes: memoryBytes, readOnly: false, create: create)
    }

    private struct Filled {
        var rate = 0.0
        var processorMicroseconds = 0.0
        var median = 0.0
        var high = 0.0
        var most = 0.0
    }

    private func fill(
        _ index: RocksMetadataStore, from first: Int, to end: Int
    ) throws -> Filled {
        var times: [Double] = []
        let (began, processor) = (Self.now, Self.processorSeconds)
        for start in stride(from: first, to: end, by: Self.batchEntries) {
            let batchBegan = Self.now
            var batch = MetadataBatch(reservingBytes: Self.batchEntries * 80)
            for number in start..<min(start + Self.batchEntries, end) {
                let place = ChunkPlace(
                    pack: UInt32(number / 8192), recordOffset: UInt64(number % 8192) / 32 << 18,
                    recordBytes: 1 << 18, frame: 0, frameOffset: UInt32(number % 32) << 15)
                let record = ChunkRecord(count: 1, rawBytes: 32768, domain: .data, places: [place])
                batch.put(IndexKey.chunk(Self.name(number)), record.encoded())
            }
            try index.write(batch)
            times.append(Self.now - batchBegan)
        }
        let count = Double(end - first)
        let seconds = Self.now - began
        times.sort()
        return Filled(
            rate: count / seconds,
            processorMicroseconds: (Self.processorSeconds - processor) / count * 1e6,
            median: times[times.count / 2], high: times[times.count * 99 / 100],
            most: times[times.count - 1])
    }

    /// Seconds for a look-up of random names of `range`.
    private func lookUp(
        _ index: RocksMetadataStore, in range: Range<Int>, isThere: Bool
    ) throws -> Double {
        let began = Self.now
        for turn in 0..<Self.lookups {
            let number = Int(Self.mix(UInt64(turn)) % UInt64(range.count)) + range.lowerBound
            guard try (index.get(IndexKey.chunk(Self.name(number))) != nil) == isThere else {
                throw StageBenchmarks.Failure.wrong("look-up of chunk \(number)")
            }
        }
        return (Self.now - began) / Double(Self.lookups)
    }

    // MARK: names, clocks

    /// A line at once, also into a file.
    private static func tell(_ line: String) {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }

    private static func name(_ number: Int) -> ChunkName {
        let word = mix(UInt64(number))
        return ChunkName(w0: word, w1: mix(word), w2: word &* 5, w3: UInt64(number))
    }

    /// The output function of SplitMix64 (Steele, Lea, Flood, 2014).
    private static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value &+ 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static var now: Double { seconds(CLOCK_MONOTONIC) }

    /// Of all threads: compactions count.
    private static var processorSeconds: Double { seconds(CLOCK_PROCESS_CPUTIME_ID) }

    private static var mostMemoryMegabytes: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_maxrss) * 1024 / 1e6
    }
}
