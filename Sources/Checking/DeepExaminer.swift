// Several super-chunks at a time: read, decompressed, their chunks named anew.
import DiskFormat
import Hashing
import Platform
import SuperChunks

/// Threads that look at super-chunks of an inventory while its owner waits for them. Belongs to that
/// owner, who ends it.
///
/// Invariant: the threads only read the inventory, and only during a call of `examine`; what they find
/// is noted by the owner, in the order of the records, so that a report does not depend on threads.
struct DeepExaminer {
    /// What is wrong with a frame; nothing where there is neither damage nor a mismatch.
    struct Frame: Sendable {
        var number: UInt16
        var damage: FrameDamage?
        var mismatches: [(entry: DecodedFrame.Entry, found: ChunkName)] = []

        var isBad: Bool { damage != nil || !mismatches.isEmpty }
    }

    /// Bounds memory: a frame may be of 32 MiB.
    private static let threadsMax = 8
    private static let recordsPerThread = 4

    private let inventory: Inventory
    private let workers: WorkerPool
    /// How many records are best examined together.
    let batchRecords: Int

    init(_ inventory: Inventory) throws(CheckingError) {
        self.inventory = inventory
        let count = min(Machine.processorCount, DeepExaminer.threadsMax)
        batchRecords = count * DeepExaminer.recordsPerThread
        do throws(Errno) {
            workers = try WorkerPool(
                name: "check", threadCount: count, queueCapacity: batchRecords)
        } catch {
            throw .threads(code: error.rawValue)
        }
    }

    func shutdown() { workers.shutdown() }

    /// The bad frames of each of these records, in their order.
    func examine(_ records: [Int]) throws(CheckingError) -> [[Frame]] {
        let results = ConditionMutex<[Int: Result<[Frame], CheckingError>]>([:])
        let lent = Lent(inventory: inventory)
        for index in records {
            workers.submit {
                let result = Result { () throws(CheckingError) in
                    try lent.inventory.examine(index)
                }
                results.withLock { $0[index] = result }
            }
        }
        workers.drain()
        let found = results.withLock { $0 }
        var frames: [[Frame]] = []
        for index in records {
            frames.append(try found[index]?.get() ?? [])
        }
        return frames
    }

    /// Safe by the invariant.
    private struct Lent: @unchecked Sendable {
        let inventory: Inventory
    }
}

extension Inventory {
    /// The bad frames of a super-chunk: by their checksums and the names of their chunks. Changes
    /// nothing; any number of threads, while nobody changes the inventory.
    func examine(_ index: Int) throws(CheckingError) -> [DeepExaminer.Frame] {
        let hasher: ChunkHasher
        do throws(HashingError) {
            hasher = try ChunkHasher(parameters.hash)
        } catch {
            throw .hashing(error)
        }
        var bad: [DeepExaminer.Frame] = []
        for number in 0..<records[index].frameCount {
            var frame = DeepExaminer.Frame(number: number)
            switch try loadFrame(index, number) {
            case .failure(let why): frame.damage = why
            case .success(let decoded):
                for entry in decoded.entries {
                    let name = decoded.withBytes(of: entry) {
                        hasher.name(of: $0, domain: entry.domain)
                    }
                    if name != entry.name { frame.mismatches.append((entry, name)) }
                }
            }
            if frame.isBad { bad.append(frame) }
        }
        return bad
    }

    /// Notes what was found in a super-chunk.
    func note(_ frames: [DeepExaminer.Frame], of index: Int) {
        for frame in frames {
            if let damage = frame.damage { noteDamage(index, frame.number, damage.description) }
            for mismatch in frame.mismatches {
                noteMismatch(index, frame.number, mismatch.entry, found: mismatch.found)
            }
        }
    }
}
