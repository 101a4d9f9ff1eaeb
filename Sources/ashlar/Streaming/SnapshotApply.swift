// `ashlar apply STORE@SNAPSHOT`: a snapshot and a difference become another snapshot.
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

/// A difference that is applied to a snapshot of the store that makes another one; as it goes over the
/// socket.
struct SnapshotApply: Codable, Sendable {
    /// The difference's, absolute.
    var file: String
    /// The snapshot that has its first side.
    var base: String
    var isReverse: Bool

    /// Where nothing is changed: compares everything, by the packs of a store that anybody may have.
    ///
    /// - Returns: how many differences there are.
    func compare(in address: StoreAddress, volume: String) throws -> UInt64 {
        var address = address
        address.snapshot = base
        let stored = try StoreView(address).volume(named: volume).volume
        let (old, new) = try ApplyCommand.sides(of: file, isReverse: isReverse)
        do {
            let comparison = try SnapshotComparison(
                of: StoredTree(stored), in: stored.parameters, from: old, to: new,
                isCancelled: { Interruption.signal != nil })
            return try comparison.run(try ApplyCommand.source(old, new))
        } catch let error as ApplyError {
            throw CommandFailure(error, file: file, hasBegun: false)
        } catch let error as StreamError {
            throw CommandFailure(error, store: address.path)
        }
    }

    /// Writes the tree of the new snapshot. Nothing of the store is changed where the base is another.
    ///
    /// - Parameter onProgress: gets how many differences were dealt with.
    func perform(
        in live: LiveStore, at path: String, volume: String,
        moreInodes: @escaping (UInt64) -> Range<UInt64>, isCancelled: @escaping () -> Bool,
        onProgress: (ScanCounts) -> Void
    ) throws -> (RootImage, ScanCounts) {
        let tree = try tree(in: live, at: path, volume: volume)
        let (old, new) = try ApplyCommand.sides(of: file, isReverse: isReverse)
        var counts = ScanCounts()
        do {
            var work = try SnapshotApplication(
                of: tree, from: old, to: new, in: live.store,
                nextInode: try StreamJob.nextInode(of: volume, live), moreInodes: moreInodes,
                isCancelled: isCancelled,
                keep: { () throws(StreamError) in try StreamJob.keep(live) })
            let root = try work.run(
                { () throws(ApplyError) in try ApplyCommand.source(old, new) }, volumeName: volume,
                onProgress: { done, total in
                    counts.entries = min(done, total)
                    onProgress(counts)
                })
            counts.entries = work.count
            return (root, counts)
        } catch let error as ApplyError {
            if case .stream(let reason) = error { throw reason }
            throw CommandFailure(error, file: file, hasBegun: false)
        }
    }

    /// The base's, by the store's own way: packs may move meanwhile.
    private func tree(in live: LiveStore, at path: String, volume: String) throws -> StoredTree {
        let image: SnapshotImage
        do throws(SnapshotError) {
            image = try live.snapshot(named: base, of: volume)
        } catch {
            throw CommandFailure(error, live)
        }
        do throws(StoreError) {
            let bytes = try live.store.bytes(of: image.root, domain: .tree)
            guard let root = try? bytes.withUnsafeBytes({ try RootImage($0) }) else {
                throw .damagedChunk(image.root)
            }
            return StoredTree(root, named: image.root, in: live.store)
        } catch {
            throw CommandFailure(error, store: path)
        }
    }
}
