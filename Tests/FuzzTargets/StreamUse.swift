// What is done with a stream file that may lie.
import Checking
import DiskFormat
import Platform
import Queries
import Streams
import Trees
import Volume

struct StreamUse {
    /// Steps of one use: a hostile tree has as many entries as it says.
    static let stepsMax = 3000

    let file: StreamFile
    let scene: StreamScene
    let scratch: ScratchDirectory
    /// Nothing was changed: everything must succeed.
    let isOriginal: Bool

    /// Brings its snapshots into a store, which must be sound whatever comes of it.
    func imported() -> String? {
        let names =
            file.head.kind == .snapshot
            ? [StreamFile.snapshotName] : [StreamFile.baseName, StreamFile.targetName]
        for name in names {
            do {
                if let complaint = try imported(name) { return complaint }
            } catch {
                return "the store to import into fails: \(error)"
            }
        }
        return nil
    }

    private func imported(_ name: String) throws -> String? {
        let store = try StreamStore(copies: 2)
        var failure: (any Error)?
        do {
            let volume = try file.volume(name)
            // What a difference leaves out is on the other side: only keys can be had.
            let withData =
                file.head.kind == .snapshot && file.head.flags.contains(.content)
            var left = Self.stepsMax
            var work = try SnapshotImport(
                volume, into: store.live.store, withData: withData,
                nextInode: try store.live.nextInode(of: "main"))
            let root = try work.run(
                volumeID: StreamStore.volumeID, volumeName: "main",
                isCancelled: {
                    left -= 1
                    return left < 0
                })
            if withData { try store.add("made", root) }
        } catch {
            failure = error
        }
        if let failure, isOriginal { return "\(name) is not imported: \(failure)" }
        try store.live.close()
        let report = try StoreCheck.run(
            store.backend.copy(isReadOnly: true), options: CheckOptions(depth: .deep))
        let complaint = report.problems.first { $0.severity > .information }
        return complaint.map { "after importing \(name): \($0.kind) \($0.place) \($0.detail)" }
    }

    /// Makes a directory as the one side has it, and the other side of it.
    func applied(isReverse: Bool) -> String? {
        guard file.head.kind == .difference else { return nil }
        if isReverse, file.head.flags.contains(.oneWay) { return nil }
        defer { scratch.clear() }
        let root: OpenDirectory
        do {
            root = try scratch.make("applied")
            try change(root, from: scene.empty, to: isReverse ? scene.target : scene.base)
        } catch {
            return "the directory to begin with could not be made: \(error)"
        }
        do {
            let base = try file.volume(StreamFile.baseName)
            let target = try file.volume(StreamFile.targetName)
            try change(
                root, from: isReverse ? target : base, to: isReverse ? base : target)
        } catch {
            return isOriginal ? "not applied: \(error)" : nil
        }
        guard isOriginal else { return nil }
        // Whatever the difference says is as it says: nothing is left to be done.
        do {
            try change(
                root, from: scene.empty, to: isReverse ? scene.base : scene.target, isDone: true)
        } catch {
            return "applied, and not what it should be: \(error)"
        }
        return nil
    }

    private func change(
        _ root: OpenDirectory, from old: VolumeState, to new: VolumeState, isDone: Bool = false
    ) throws {
        // Not among what is compared: one number for both walks.
        nonisolated(unsafe) var left = Self.stepsMax
        let work = try DifferenceApplication(
            root, from: old, to: new,
            isCancelled: {
                left -= 1
                return left < 0
            })
        try work.check(try source(old, new))
        if isDone {
            // The directory itself has what it had from the start.
            guard work.doneBefore + 1 >= work.count else { throw ApplyError.cancelled }
            return
        }
        try work.apply(try source(old, new))
    }

    private func source(
        _ old: VolumeState, _ new: VolumeState
    ) throws -> DifferenceApplication.Source {
        var difference = try VolumeDifference(from: old, to: new)
        return { () throws(TreeError) in
            try difference.next().map {
                AppliedDifference(path: $0.path, old: $0.old, new: $0.new)
            }
        }
    }

    /// Asks a snapshot for the sides of a difference, and a difference for a snapshot.
    func misread() -> String? {
        for name in [StreamFile.snapshotName, StreamFile.baseName, StreamFile.targetName] {
            guard let volume = try? file.volume(name) else { continue }
            var walk = StoredWalk(volume)
            var left = Self.stepsMax
            while left > 0, let event = try? walk.next() {
                left -= 1
                if case .file(_, let image) = event { read(image, in: volume) }
            }
        }
        return nil
    }

    private func read(_ image: InodeImage, in volume: VolumeState) {
        let count = Int(min(image.size, 1 << 16))
        _ = try? volume.read(image, at: 0, count: count)
        if image.size > 1 << 16 { _ = try? volume.read(image, at: image.size - 4096, count: 4096) }
        _ = try? volume.attributes(of: image)
    }
}
