// A new store: its first pack, with a checkpoint of its empty volumes.
import Backends
import ChunkIndex
import DiskFormat
import Metadata
import Platform

extension ChunkStore {
    /// Makes a store with these volumes. When it returns the store is durable, and closed.
    ///
    /// Throws `exists` where the backend has any pack.
    public static func create(
        in backend: any Backend, index provider: any IndexProvider,
        parameters: StoreParameters, volumes: [NewVolume]
    ) throws(StoreError) {
        precondition(parameters.areSane, "a reader would refuse the parameters")
        guard try PackSet.list(backend).isEmpty else {
            throw .exists(location: backend.location)
        }
        var options = StoreOptions()
        options.workerCount = 1
        let index: any MetadataStore
        do throws(MetadataError) {
            index = try provider.create(memoryBytes: options.indexBytes)
        } catch {
            throw .index(error)
        }
        // Zero stands for no pack in many places.
        let state = StateRecord(writer: max(1, randomUInt64()))
        let codec = PooledFrameCodec(parameters, options)
        let buffers = BufferPool(
            capacityBytes: Int(parameters.superChunkBytes), keptBytesMax: 0)
        let shelf = PackShelf(backend: backend, parameters: parameters)
        let reader = ChunkReader(
            shelf: shelf, frameCacheBytes: 0, codec: codec, buffers: buffers, onEvent: nil)
        let store = try ChunkStore(
            Parts(
                parameters: parameters, index: index, shelf: shelf, reader: reader, codec: codec,
                buffers: buffers, state: state, volumes: [:], snapshots: [:],
                readOnlyReason: nil),
            backend: backend, options: options)
        do throws(StoreError) {
            _ = try store.commit(try store.firstDraft(volumes))
        } catch {
            // The commit's error is the one to report.
            try? store.close()
            throw error
        }
        try store.close()
    }

    private func firstDraft(_ volumes: [NewVolume]) throws(StoreError) -> CommitDraft {
        let now = wallClock()
        let time = DiskTime(seconds: now.seconds, nanoseconds: now.nanoseconds)
        var draft = CommitDraft(isCheckpoint: true, time: time)
        for volume in volumes {
            let (section, count) = try begin(volume, at: time)
            draft.volumes.append(section)
            draft.nodeCounts.append(count)
        }
        return draft
    }

    /// What a checkpoint says of a new volume, with the count of its root, which is put.
    public func begin(
        _ volume: NewVolume, at time: DiskTime
    ) throws(StoreError) -> (section: VolumeChanges, count: CountChange) {
        precondition(
            volume.root.inode == RootImage.rootInode && ObjectName.isAcceptable(volume.name),
            "a volume begins with its root directory")
        let nextInode = volume.trees?.nextInode ?? RootImage.rootInode + 1
        var statistics = RootImage.Statistics()
        statistics.directories = 1
        let root = RootImage(
            volumeID: volume.volumeID, volumeName: volume.name, time: time,
            nextInode: nextInode, directory: volume.root,
            linkedInodes: volume.trees?.linkedInodes,
            statistics: volume.trees?.statistics ?? statistics)
        let name = try root.encoded().withUnsafeBufferPointer { (buffer) throws(StoreError) in
            try put(UnsafeRawBufferPointer(buffer), domain: .tree)
        }
        var changes = VolumeChanges(
            volumeID: volume.volumeID, volumeName: volume.name, epoch: 1, sequence: 1,
            nextInode: nextInode)
        changes.root = name
        changes.beginning = volume.trees.map {
            VolumeChanges.Beginning(snapshot: $0.snapshot, statistics: $0.statistics)
        }
        changes.inodes = [.put(volume.root)]
        return (changes, CountChange(name: name, change: 1))
    }
}
