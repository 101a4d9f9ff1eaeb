// Loading the names of volumes that began as snapshots, while the store is in use.
import DiskFormat
import Metadata
import NamespaceIndex
import Platform

extension ChunkStore {
    /// What a volume began as; nil where all of it is in the index. Any thread.
    public func origin(of volume: UInt32) throws(StoreError) -> OriginRecord? {
        try index.origin(of: volume)
    }

    /// Loads some of a directory's names, where they are not in the index: a bounded step, during which
    /// commits wait. Any thread; also where nothing may be written, since the index is derived.
    ///
    /// - Returns: whether the directory is loaded now.
    /// - Throws: `missingChunk` and `damagedChunk` where its tree cannot be read.
    public func loadNames(
        of directory: UInt64, in volume: UInt32
    ) throws(StoreError) -> Bool {
        guard try index.unloaded(volume, directory) != nil else { return true }
        // What is linked is met by number only.
        if try index.unloaded(volume, UnloadedRecord.linkedInodes) != nil {
            _ = try load(UnloadedRecord.linkedInodes, of: volume)
            return false
        }
        return try load(directory, of: volume)?.isComplete ?? true
    }

    /// Loads some of what of a volume is not loaded.
    ///
    /// - Parameters:
    ///   - last: behind which directory to look; is moved.
    ///   - passesOver: leaves out what cannot be read; the index is *incomplete* then.
    /// - Returns: false where nothing is left to be loaded behind `last`.
    public func loadSome(
        of volume: UInt32, behind last: inout UInt64?, passesOver: Bool = false
    ) throws(StoreError) -> Bool {
        guard let next = try index.firstUnloaded(volume, from: last.map { $0 + 1 } ?? 0) else {
            return false
        }
        last = next
        while let step = try load(next, of: volume, passesOver: passesOver) {
            if step.isComplete { break }
        }
        return true
    }

    /// Loads all of a volume. Directories that cannot be read are passed over, and left as they are.
    ///
    /// - Returns: the first error that was met on the way.
    public func loadEverything(
        of volume: UInt32, passesOver: Bool = false, isCancelled: () -> Bool = { false }
    ) throws(StoreError) -> StoreError? {
        var failure: StoreError?
        while try index.origin(of: volume) != nil {
            var last: UInt64?
            var hasLoaded = false
            while !isCancelled() {
                do throws(StoreError) {
                    guard try loadSome(of: volume, behind: &last, passesOver: passesOver) else {
                        break
                    }
                    hasLoaded = true
                } catch {
                    guard error.isDamageOfChunk else { throw error }
                    failure = failure ?? error
                    // Every name refers to the table of linked inodes.
                    if last == UnloadedRecord.linkedInodes { return failure }
                }
            }
            // What was loaded has brought more, anywhere in the order.
            guard hasLoaded, !isCancelled() else { break }
        }
        return failure
    }

    /// The volumes whose first roots keep what nothing else may have: the snapshots that they began as are
    /// gone.
    public func volumesToLoad() throws(StoreError) -> [UInt32] {
        let (volumes, snapshots) = published.withLock { ($0.volumes, $0.snapshots) }
        var numbers: [UInt32] = []
        for number in volumes.keys.sorted() {
            guard let origin = try index.origin(of: number), snapshots[origin.snapshot] == nil
            else { continue }
            numbers.append(number)
        }
        return numbers
    }

    private func load(
        _ list: UInt64, of volume: UInt32, passesOver: Bool = false
    ) throws(StoreError) -> LoadingStep? {
        try committing.withLock { (committing) throws(StoreError) -> LoadingStep? in
            // A failure of the packs is none of the index, which holds the last commit.
            if let failure, failure.isFailureOfIndex { throw failure }
            var applier = CommitApplier(
                index: index, shelf: shelf, secret: parameters.secret, state: committing.state,
                volumes: committing.volumes, snapshots: committing.snapshots
            ) { [reader] (name, places) throws(StoreError) in
                try reader.children(of: name, at: places)
            }
            var batch = MetadataBatch(reservingBytes: 1 << 16)
            guard
                let step = try applier.load(
                    list, of: volume, with: reader, passesOver: passesOver, to: &batch)
            else { return nil }
            do throws(StoreError) {
                try index.apply(batch)
            } catch {
                // An index that does not take a batch takes none any more.
                fail(error)
                throw error
            }
            committing.hasLoaded = true
            committing.state = applier.state
            published.withLock { $0.state = applier.state }
            CrashPoint.namesLoaded.pass()
            return step
        }
    }
}
