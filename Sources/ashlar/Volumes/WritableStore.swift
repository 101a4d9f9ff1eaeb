// A store that a command changes without mounting it.
import Backends
import Console
import FileModel
import Glibc
import Logging
import Pipeline
import Platform
import Volume

/// A store in use by this process alone, from its lock to its end.
struct WritableStore {
    /// Commands hold little in memory.
    private static let memoryBytes = 256 << 20
    /// Of scans and imports, which go through everything once.
    static let streamingMemoryBytes = 16 << 20
    /// malloc's arenas: each keeps what it once was given.
    private static let arenasMax: Int32 = 2
    /// Longer buffers go back to the kernel when they are freed.
    private static let mappedBytesMin = 256 << 10

    let live: LiveStore
    private let lock: StoreLock
    private let path: String

    /// For a command that streams: nothing is committed but what is asked for, and memory is small
    /// whatever goes through.
    static func streaming(_ path: String) throws -> WritableStore {
        // A hint where the allocator refuses.
        _ = ProcessMemory.limitArenas(arenasMax)
        _ = ProcessMemory.mapAllocations(from: mappedBytesMin)
        return try WritableStore(path, timing: .untouched, memoryBytes: streamingMemoryBytes)
    }

    /// - Parameter timing: when commits and checkpoints are due.
    /// - Throws: `CommandFailure`; `busy`, naming the holder, where somebody has the store.
    init(
        _ path: String, timing: LiveStore.Timing = LiveStore.Timing(),
        memoryBytes: Int = Self.memoryBytes
    ) throws {
        self.path = path
        guard let folder = realpath(path, nil) else {
            throw CommandFailure(Errno(rawValue: errno), DisplayText.escaped(path.utf8))
        }
        free(folder)
        let backend = try DirectoryBackend(path: path, isReadOnly: false, create: false)
        do throws(StoreLockError) {
            lock = try StoreLock(storePath: path, mode: .exclusive)
        } catch {
            throw CommandFailure(error, store: path)
        }
        StoreLayout.keepPrivate()
        var options = StoreOptions()
        options.memoryBytes = memoryBytes
        do throws(StoreError) {
            let store = try ChunkStore.open(
                backend, index: RocksIndexProvider(path: StoreLayout.index(of: path)),
                options: options)
            do throws(StoreError) {
                live = try LiveStore(store, options: VolumeOptions(), timing: timing)
            } catch {
                // The first failure is the one to tell.
                try? store.close()
                throw error
            }
        } catch {
            lock.release()
            throw CommandFailure(error, store: path)
        }
    }

    /// Makes everything durable and lets go of the store.
    func close() throws(CommandFailure) {
        defer { lock.release() }
        do throws(FileError) {
            try live.close()
        } catch {
            throw CommandFailure(.system, "\(path): the last commit failed: \(error)")
        }
    }
}
