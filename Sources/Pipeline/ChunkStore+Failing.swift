// What is left to do when something failed for good.
import Backends
import ChunkIndex
import DiskFormat
import Metadata
import Packs

extension ChunkStore {
    /// Remembers a pack of which a synchronisation failed.
    func noteUnsafe(_ writer: PackWriter) {
        appending.withLock { $0.unsafe.append(writer) }
    }

    /// Cuts packs back to what a synchronisation has covered. The kernel may have dropped the pages that
    /// it could not write, and reads them from its cache until then: the next opening would take them
    /// for durable. Where that fails too, nothing better can be done.
    func withdrawUnsafe() {
        for writer in appending.withLock({ $0.unsafe }) {
            let end = max(writer.durablePosition, UInt64(PackHeader.byteCount))
            do throws(BackendError) {
                let file = try backend.openFile(writer.id.fileName, writable: true)
                guard try file.size() > end else { continue }
                try file.truncate(to: end)
                try file.synchronize()
            } catch {
                continue
            }
        }
    }

    /// Leaves word that the index is to be made anew: a value in it could not be understood.
    func markIndexUseless() {
        guard !options.isReadOnly else { return }
        committing.withLock { committing in
            committing.state.isBuilding = true
            var batch = MetadataBatch()
            batch.put(StateRecord.key, committing.state.encoded())
            // An index that cannot even be written to will not open either.
            try? index.write(batch)
        }
    }

    /// The index's record of a chunk. An index that is damaged ends writing: its counts cannot be
    /// relied upon any more, and the next opening makes it anew.
    func chunkRecord(_ name: ChunkName) throws(StoreError) -> ChunkRecord? {
        do throws(StoreError) {
            return try index.chunk(name)
        } catch {
            if error.isDamageOfIndex { fail(error) }
            throw error
        }
    }
}

extension StoreError {
    /// Whether the index has to be made anew.
    var isDamageOfIndex: Bool {
        switch self {
        case .indexDamaged, .index(.damaged): true
        default: false
        }
    }

    /// Whether the index is not to be written to any more.
    var isFailureOfIndex: Bool {
        if case .index = self { true } else { isDamageOfIndex }
    }
}
