import DiskFormat
import Hashing
import Pipeline
import Platform
import Trees

/// The workers of a scan: they read files, cut them, and put the chunks. Any thread.
final class FileReaders: Sendable {
    /// What is made of a file, or why nothing is.
    typealias Result = Swift.Result<InodeImage, Failure>

    enum Failure: Error {
        case cancelled
        case problem(ScanProblem)
        case store(StoreError)
        case tree(TreeError)
    }

    /// A file that is being read.
    final class Slot: Sendable {
        private let result = ConditionMutex<Result?>(nil)

        var isReady: Bool { result.withLock { $0 != nil } }

        /// What has become of it; nil where that takes longer than so long.
        func wait(nanoseconds: UInt64) -> Result? {
            result.wait(
                deadlineNanoseconds: monotonicNanoseconds() + nanoseconds, until: { $0 != nil },
                then: { state, _ in state })
        }

        func set(_ value: Result) {
            result.withLock { $0 = value }
            result.broadcast()
        }
    }

    /// A file to be read.
    struct Job: Sendable {
        var directory: OpenDirectory
        var name: [UInt8]
        /// For those who are told of it.
        var path: [UInt8]
    }

    /// How often a file that changes meanwhile is read anew.
    private static let attemptsMax = 3
    private static let queueMax = 64

    private let pool: WorkerPool
    private let cutters: ConditionMutex<[FileCutter]>
    private let counts = ConditionMutex<(read: UInt64, changed: UInt64)>((0, 0))

    init(
        _ store: ChunkStore, keepsContent: Bool, count: Int,
        isCancelled: @escaping @Sendable () -> Bool
    ) throws(StreamError) {
        var made: [FileCutter] = []
        do throws(Errno) {
            pool = try WorkerPool(
                name: "ashlar-read", threadCount: count, queueCapacity: FileReaders.queueMax)
        } catch {
            throw .threads(error)
        }
        let counts = counts
        do throws(HashingError) {
            for _ in 0..<count {
                let sink = try ChunkSink(
                    store, hash: store.parameters.hash, keepsData: { _ in keepsContent })
                made.append(
                    FileCutter(
                        store.parameters.chunker, sink, isCancelled: isCancelled,
                        onRead: { bytes in counts.withLock { $0.read += UInt64(bytes) } }))
            }
        } catch {
            pool.shutdown()
            throw .store(.hashing(error))
        }
        cutters = ConditionMutex(made)
    }

    var readBytes: UInt64 { counts.withLock { $0.read } }
    var changedFiles: UInt64 { counts.withLock { $0.changed } }

    /// Runs what is queued and ends the threads.
    func shutdown() {
        pool.shutdown()
    }

    /// Has a file read; waits while too many are to be.
    func read(_ job: Job) -> Slot {
        let slot = Slot()
        let isQueued = pool.submit { [self] in
            guard let cutter = cutters.withLock({ $0.popLast() }) else {
                return slot.set(.failure(.cancelled))
            }
            slot.set(read(job, with: cutter))
            cutters.withLock { $0.append(cutter) }
        }
        if !isQueued { slot.set(.failure(.cancelled)) }
        return slot
    }

    private func read(_ job: Job, with cutter: FileCutter) -> Result {
        do throws(Failure) {
            var attempt = 1
            while true {
                let (image, isSame) = try readOnce(
                    job, with: cutter, isLast: attempt == Self.attemptsMax)
                if isSame { return .success(image) }
                attempt += 1
            }
        } catch {
            return .failure(error)
        }
    }

    /// - Returns: whether the file was the same before and behind the reading; else it is to be read
    ///   again, but for the last time.
    private func readOnce(
        _ job: Job, with cutter: FileCutter, isLast: Bool
    ) throws(Failure) -> (InodeImage, isSame: Bool) {
        func failed(_ what: String, _ error: Errno) -> Failure {
            .problem(ScanProblem(path: job.path, kind: .failed(what, error)))
        }
        let file: Descriptor
        let before: FileFacts
        do throws(Errno) {
            file = try job.directory.file(job.name)
        } catch {
            throw failed("open", error)
        }
        defer { _ = try? LinuxSystemCalls().close(file) }
        do throws(Errno) {
            before = try OpenDirectory.facts(of: file)
        } catch {
            throw failed("look at", error)
        }
        // Somebody put something else in its place since it was met.
        guard before.isRegular else {
            throw .problem(ScanProblem(path: job.path, kind: .changed))
        }
        var image = InodeImage(facts: before)
        do throws(FileCutter.Failure) {
            let cut = try cutter.cut(
                file, size: before.sizeBytes,
                mayHaveHoles: before.allocatedBytes < before.sizeBytes)
            image.content = cut.key
            image.allocatedBytes = cut.allocatedBytes
        } catch {
            switch error {
            case .cancelled: throw .cancelled
            case .shrunk:
                guard isLast else { return (image, false) }
                throw .problem(ScanProblem(path: job.path, kind: .changed))
            case .reading(let reason): throw failed("read", reason)
            case .tree(let reason):
                if let reason = cutter.sink.failure { throw .store(reason) }
                throw .tree(reason)
            }
        }
        image.attributes = try AttributeReader(job.directory, cutter.sink).read(job.name, job.path)
        let after: FileFacts
        do throws(Errno) {
            after = try OpenDirectory.facts(of: file)
        } catch {
            throw failed("look at", error)
        }
        let isSame =
            before.sizeBytes == after.sizeBytes && before.modified == after.modified
            && before.changed == after.changed
        if !isSame, isLast { counts.withLock { $0.changed += 1 } }
        return (image, isSame || isLast)
    }
}
