// `ashlar apply STORE@SNAPSHOT`: a snapshot and a difference become another snapshot.
import Backends
import Checking
import Console
import DiskFormat
import FileModel
import Pipeline
import Platform
import Queries
import Streams
import Trees
import Volume

/// Applies a difference to a snapshot of a store that nobody else uses.
struct SnapshotApply {
    /// A store's, with the snapshot.
    let address: StoreAddress
    let volume: String
    /// Of the new snapshot; nil compares only.
    let name: String?
    /// Of the difference.
    let file: String
    let old: VolumeState
    let new: VolumeState

    /// What was done, for a report.
    struct Done {
        var image: SnapshotImage?
        var count: UInt64
    }

    func run() throws -> Done {
        let writable = try Self.open(address.path)
        do {
            let done = try apply(in: writable.live)
            try writable.close()
            return done
        } catch {
            // The first failure is the one to tell.
            try? writable.close()
            if let error = error as? StreamError {
                throw CommandFailure(error, store: address.path)
            }
            guard let error = error as? ApplyError else { throw error }
            throw CommandFailure(error, file: file, hasBegun: false)
        }
    }

    private func apply(in live: LiveStore) throws -> Done {
        let base = try base(in: live)
        var draft = SnapshotDraft(name: name ?? "")
        let text = "\(base.name) with \(DisplayText.escaped(file.utf8))"
        if SnapshotImage.isAcceptable(description: text) { draft.description = text }
        if name != nil {
            do throws(SnapshotError) {
                try live.checkCanMake(draft, of: volume)
            } catch {
                throw CommandFailure(error, live)
            }
        }
        live.store.keepDead()
        var work = try SnapshotApplication(
            of: StoredTree(try opened(base)), from: old, to: new, in: live.store,
            nextInode: try StreamJob.nextInode(of: volume, live),
            isCancelled: { Interruption.signal != nil },
            keep: { () throws(StreamError) in try StreamJob.keep(live) })
        let source = try ApplyCommand.source(old, new)
        guard name != nil else {
            try work.check(source)
            return Done(count: work.count)
        }
        let root = try work.run(source, volumeName: volume)
        do throws(SnapshotError) {
            let image = try live.addSnapshot(draft, of: volume, root: root)
            return Done(image: image, count: work.count)
        } catch {
            throw CommandFailure(error, live)
        }
    }

    private static func open(_ path: String) throws -> WritableStore {
        do {
            return try WritableStore.streaming(path)
        } catch let failure as CommandFailure where failure.kind == .busy {
            throw CommandFailure(
                .busy, failure.message,
                advice: "A difference is applied to a snapshot of a store that is not in use: "
                    + "unmount it first.")
        }
    }

    private func base(in live: LiveStore) throws(CommandFailure) -> SnapshotImage {
        do throws(SnapshotError) {
            return try live.snapshot(named: address.snapshot ?? "", of: volume)
        } catch {
            throw CommandFailure(error, live)
        }
    }

    private func opened(_ image: SnapshotImage) throws -> VolumeState {
        let backend = try DirectoryBackend(path: address.path, isReadOnly: true)
        let state: State
        do throws(CheckingError) {
            state = try State.open(backend, scope: .newest, cacheBytes: 8 << 20)
        } catch {
            throw CommandFailure(error, store: address.path)
        }
        do throws(TreeError) {
            return try VolumeState(image, in: state)
        } catch {
            throw CommandFailure(tree: error, what: "the snapshot \(image.name)")
        }
    }
}
