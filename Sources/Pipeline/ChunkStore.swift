import Backends
import ChunkIndex
import Compression
import DiskFormat
import Hashing
import Metadata
import NamespaceIndex
import Packs
import Platform
import SuperChunks
import Trees

/// What the appending lock protects.
struct AppendingState: ~Copyable {
    var main: PackAppender
    var copies: PackAppender
    /// The generation of what is appended now: ends with the commit that vouches for it.
    var generation: UInt64 = 1
    /// Records of metadata that have no second copy yet.
    var uncopied: [RecordPlace] = []
    /// Second copies that no commit has vouched for yet.
    var copied: [NewChunk] = []
    /// Packs of which a synchronisation failed: what lies behind their durable end may be in the
    /// page cache only, however good it looks.
    var unsafe: [PackWriter] = []
}

/// What the committing lock protects: held for the whole of a commit.
struct CommittingState {
    var state: StateRecord
    var volumes: [UInt32: VolumeRecord]
    var snapshots: [UniqueID: SnapshotImage]
    var settling = SnapshotSettling()
    /// Whether names were loaded that the index may not have durably: the next commit may be about them.
    var hasLoaded = false
    /// Packs sealed since the last commit.
    var sealed: [PackID] = []
    /// Condemned packs whose files are gone: to be forgotten with the next commit.
    var deleted: [UInt32] = []
    var isClosed = false
}

/// What everybody may ask for at any time.
struct Published {
    var state: StateRecord
    var volumes: [UInt32: VolumeRecord]
    var snapshots: [UniqueID: SnapshotImage]
}

/// A store of chunks and commits, open in this process.
///
/// Locks, in the order in which they are taken: committing, appending, laying. Only the first two are
/// held over I/O. Any thread may call anything; `close` waits for nobody's calls but its own: the
/// caller has ended the others.
public final class ChunkStore: NodeStore, Sendable {
    public let parameters: StoreParameters
    public let backend: any Backend
    public let options: StoreOptions
    /// For reading the families V, I, D, E and O; only commits write to it.
    public let index: any MetadataStore

    let shelf: PackShelf
    let hashers: HasherPool
    let codec: PooledFrameCodec
    let buffers: BufferPool
    let reader: ChunkReader
    let recipeLeaves: RecipeLeaves
    let nearbyReads = NearbyReads()
    let workers: WorkerPool
    let readAhead: WorkerPool
    let laying: ConditionMutex<LayingState>
    let appending: ConditionMutex<AppendingState>
    let committing: ConditionMutex<CommittingState>
    /// What the last commit left, for those who must not wait for the one under way.
    let published: ConditionMutex<Published>
    let gate: SpaceGate

    /// What a store is made of once its index and packs agree.
    struct Parts {
        var parameters: StoreParameters
        var index: any MetadataStore
        var shelf: PackShelf
        var reader: ChunkReader
        var codec: PooledFrameCodec
        var buffers: BufferPool
        var state: StateRecord
        var volumes: [UInt32: VolumeRecord]
        var snapshots: [UniqueID: SnapshotImage]
        /// Why nothing may be written; nil: all may.
        var readOnlyReason: String?
        var uncopied: [RecordPlace] = []
        var sealed: [PackID] = []
        var deleted: [UInt32] = []
    }

    init(_ parts: Parts, backend: any Backend, options: StoreOptions) throws(StoreError) {
        parameters = parts.parameters
        self.backend = backend
        self.options = options
        index = parts.index
        shelf = parts.shelf
        reader = parts.reader
        codec = parts.codec
        buffers = parts.buffers
        recipeLeaves = RecipeLeaves(limitBytes: options.leafCacheBytes)
        hashers = HasherPool(parts.parameters.hash)
        let count = max(1, options.workerCount)
        do throws(Errno) {
            workers = try WorkerPool(
                name: "ashlar-lay", threadCount: count, queueCapacity: count + 1,
                niceness: Self.workerNiceness)
            readAhead = try WorkerPool(
                name: "ashlar-ahead", threadCount: count,
                queueCapacity: ChunkStore.readAheadJobsMax)
        } catch {
            throw .threads(code: error.rawValue)
        }
        var state = LayingState()
        state.failure = parts.readOnlyReason.map { .readOnly(reason: $0) }
        laying = ConditionMutex(state)
        let sequence = PackSequence(
            writer: parts.state.writer, next: parts.state.nextPackSequence)
        appending = ConditionMutex(
            AppendingState(
                main: PackAppender(
                    backend: backend, parameters: parts.parameters, role: .main,
                    sequence: sequence),
                copies: PackAppender(
                    backend: backend, parameters: parts.parameters, role: .copies,
                    sequence: sequence), uncopied: parts.uncopied))
        committing = ConditionMutex(
            CommittingState(
                state: parts.state, volumes: parts.volumes, snapshots: parts.snapshots,
                sealed: parts.sealed, deleted: parts.deleted))
        published = ConditionMutex(
            Published(
                state: parts.state, volumes: parts.volumes, snapshots: parts.snapshots))
        gate = SpaceGate(backend: backend)
    }

    /// Of the threads that make chunks of what was written. Whoever writes, and who answers him, goes
    /// first: the workers have the other processors, and catch up where he waits for room. (Two
    /// processors, requests by rings: 15 % less time for a tree of 400 MB than without; 10 and 19 win
    /// no more, and leave them less on a machine that is busy otherwise.)
    public static let workerNiceness: Int32 = 5

    /// Reading ahead is a hint: what does not fit into the queue is dropped.
    static let readAheadJobsMax = 64

    // MARK: state

    /// Why nothing is written any more; nil while all is well.
    public var failure: StoreError? { laying.withLock { $0.failure } }

    /// Whether the store can only be read: opened so, refused for writing, or after a failure.
    public var isReadOnly: Bool { failure != nil }

    /// The volumes, as of the last commit, by rising number.
    public func volumes() throws(StoreError) -> [(number: UInt32, record: VolumeRecord)] {
        published.withLock { state in
            state.volumes.map { (number: $0.key, record: $0.value) }
        }.sorted { $0.number < $1.number }
    }

    /// Whether the index was made from trees of which a part could not be read.
    public var isIncomplete: Bool { published.withLock { $0.state.isIncomplete } }

    /// The last commit.
    public var lastCommit: LogMark {
        published.withLock { LogMark(epoch: $0.state.epoch, sequence: $0.state.sequence) }
    }

    /// Bytes appended to packs since the newest checkpoint's commit.
    public var bytesSinceCheckpoint: UInt64 {
        published.withLock { $0.state.bytesSinceCheckpoint }
    }

    /// Commits since the newest checkpoint.
    public var commitsSinceCheckpoint: UInt64 {
        published.withLock { $0.state.sequence - $0.state.newestSequence }
    }

    func tell(_ event: StoreEvent) {
        options.onEvent?(event)
    }

    func checkWritable() throws(StoreError) {
        if let failure { throw failure }
    }

    /// Ends writing for good: what is in the packs beyond the last commit is not known to be durable.
    func fail(_ error: StoreError) {
        let isFirst = laying.withLock { state in
            defer { state.failure = state.failure ?? error }
            return state.failure == nil
        }
        laying.broadcast()
        if isFirst { tell(.becameReadOnly("\(error)")) }
    }

    // MARK: the end

    /// Seals the open packs, flushes the index and ends the threads. Does not commit: what was put
    /// since the last commit is given up. Idempotent; nothing else may be called after it.
    ///
    /// Throws what sealing or flushing reports; the store is closed nevertheless, and what was
    /// committed is safe.
    public func close() throws(StoreError) {
        let isFirst = committing.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        let failureBefore = failure
        readAhead.shutdown()
        workers.shutdown()
        var failure: StoreError?
        if let failureBefore {
            withdrawUnsafe()
            if failureBefore.isDamageOfIndex { markIndexUseless() }
        } else {
            do throws(StoreError) {
                try closePacks()
            } catch {
                failure = error
            }
        }
        laying.withLock { state in
            state.failure = state.failure ?? .readOnly(reason: "closed")
        }
        do throws(MetadataError) {
            try index.close(flushing: !options.isReadOnly)
        } catch {
            failure = failure ?? .index(error)
        }
        if let failure { throw failure }
    }

    private func closePacks() throws(StoreError) {
        let writers = appending.withLock { state in
            state.main.retireOpen()
            state.copies.retireOpen()
            return state.main.takeRetired() + state.copies.takeRetired()
        }
        var sealed: [PackID] = []
        for writer in writers where try seal(writer) { sealed.append(writer.id) }
        CrashPoint.packsClosed.pass()
        try committing.withLock { (committing) throws(StoreError) in
            // Nothing was ever committed: there is no index to be marked.
            guard committing.state.sequence > 0 else { return }
            var batch = MetadataBatch()
            for pack in committing.sealed + sealed {
                guard let number = shelf.knownNumber(of: pack),
                    var record = try index.pack(number)
                else { continue }
                record.isSealed = true
                batch.put(IndexKey.pack(number), record.encoded())
            }
            for number in committing.deleted {
                if let pack = try index.pack(number) { committing.state.totals.remove(pack) }
                batch.delete(IndexKey.pack(number))
            }
            committing.state.isClean = true
            committing.state.nextPackSequence = appending.withLock {
                max(committing.state.nextPackSequence, $0.main.upcomingSequence)
            }
            batch.put(StateRecord.key, committing.state.encoded())
            try index.apply(batch)
            CrashPoint.endNoted.pass()
        }
    }

    /// Makes a pack durable and seals it. Returns false where the table does not fit on a full
    /// medium: the records are safe, and the next opening seals the pack.
    func seal(_ writer: PackWriter) throws(StoreError) -> Bool {
        do throws(PackError) {
            try writer.synchronize()
        } catch {
            noteUnsafe(writer)
            throw .pack(error)
        }
        do throws(PackError) {
            try writer.seal()
            return true
        } catch {
            guard case .backend(.noSpace, _) = error else { throw .pack(error) }
            return false
        }
    }
}
