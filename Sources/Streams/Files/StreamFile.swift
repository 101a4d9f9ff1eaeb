import Backends
import Checking
import DiskFormat
import Packs
import Trees

/// A `.snap` or `.diff` file, open for reading. One thread.
public final class StreamFile {
    /// Names of the snapshots in such files.
    public static let snapshotName = "snapshot"
    public static let baseName = "base"
    public static let targetName = "target"

    /// Of decoded frames that are kept: each directory's nodes lie together.
    private static let cacheBytes = 8 << 20

    public let backend: StreamFileBackend
    public let state: State
    public var head: StreamHead { backend.head }

    /// Opens a file of a kind; nil: of either.
    public init(path: String, kind: StreamHead.Kind?) throws(StreamFileError) {
        backend = try StreamFileBackend(path: path)
        if let kind, backend.head.kind != kind { throw .isOther(backend.head.kind) }
        do throws(CheckingError) {
            // Tables of data take memory by the number of files: read when content is asked for.
            state = try State.open(backend, scope: .newest, cacheBytes: Self.cacheBytes)
        } catch {
            throw .store(error)
        }
    }

    /// The snapshot of that name.
    public func image(_ name: String) throws(StreamFileError) -> SnapshotImage {
        guard let image = state.snapshots.first(where: { $0.name == name }) else {
            throw .lacks(name)
        }
        return image
    }

    /// What the snapshot of that name has.
    public func volume(_ name: String) throws(StreamFileError) -> VolumeState {
        let image = try image(name)
        do throws(TreeError) {
            return try VolumeState(image, in: state)
        } catch {
            throw .tree(error)
        }
    }
}
