/// A backend in memory: the twin of the directory backend in tests, with power cuts.
///
/// Invariants beyond those of `Backend`:
/// 1. It knows what would survive a power cut: the contents that were synchronised, under the names
///    that were. It promises no more than `Backend` does: synchronising a file does not keep its
///    name, and `writeWhole` makes no other name durable.
/// 2. `crash` leaves the backend as it is and returns another one.
/// 3. Equal calls give equal results and equal errors as with the directory backend; only that a
///    folder ends with its last file, and that a removed file's space comes back when its removal is
///    durable.
///
/// One lock protects everything: it is made to be right, not to be fast.
import Platform

public final class MemoryBackend: Backend {
    public let location = "memory"
    public let isReadOnly: Bool
    let state: ConditionMutex<MemoryState>

    private static let filesMax: UInt64 = 1 << 20

    /// - Parameter capacityBytes: beyond it writes fail with `noSpace`; counted in pages of 4 KiB.
    public convenience init(capacityBytes: UInt64 = 1 << 40) {
        self.init(
            state: MemoryState(pagesMax: capacityBytes / UInt64(SparseBytes.pageBytes)),
            isReadOnly: false)
    }

    init(state: consuming sending MemoryState, isReadOnly: Bool) {
        self.state = ConditionMutex(state)
        self.isReadOnly = isReadOnly
    }

    // MARK: power cuts

    /// What is in the files now, as a backend of its own where all is durable.
    public func copy(isReadOnly: Bool = false) -> MemoryBackend {
        let now = state.withLock { $0.afterCut(keepingNames: { _ in true }, cut: Self.keepingAll) }
        return MemoryBackend(state: now, isReadOnly: isReadOnly)
    }

    private static func keepingAll(_ inode: MemoryInode) -> MemoryInode {
        MemoryInode(contents: inode.live)
    }

    /// How many changes (a write, a cut, a punch, a reservation, a new, removed or changed name) are
    /// not durable yet.
    public var unsyncedChangeCount: Int {
        state.withLock { $0.unsynced.count }
    }

    /// The backend after a power cut that loses all unsynced changes but the first `keeping` ones,
    /// in the order in which they were made.
    public func crash(keeping count: Int = 0) -> MemoryBackend {
        let after = state.withLock { state in
            let kept = Set(state.unsynced.prefix(count))
            return state.afterCut(
                keepingNames: { kept.contains($0) },
                cut: { inode in inode.cut { kept.contains($0) } })
        }
        return MemoryBackend(state: after, isReadOnly: false)
    }

    /// The backend after a power cut that keeps a random part of the unsynced changes.
    ///
    /// Names: some first part of their changes, since filesystems journal them in order. Data: any
    /// sectors of 512 bytes, each as it was at some moment since the last synchronisation, and the
    /// size apart from them. Equal seeds give equal results for equal histories.
    public func crash(using generator: inout some RandomNumberGenerator) -> MemoryBackend {
        let frozen = state.withLock { $0 }
        let names = frozen.pendingNames.map { $0.sequence }
        let kept = Int.random(in: 0...names.count, using: &generator)
        // A rename is two changes of one number: both or neither.
        let last = kept == 0 ? 0 : names[kept - 1]
        let after = frozen.afterCut(
            keepingNames: { $0 <= last }, cut: { $0.cut(using: &generator) })
        return MemoryBackend(state: after, isReadOnly: false)
    }

    // MARK: directories one by one

    /// Makes the names in one folder durable, as fsync of a directory does.
    func synchronizeNames(in folder: String) {
        state.withLock { $0.synchronizeNames(in: folder) }
    }

    /// As `crash()`, but that of each folder named in `counts` so many pending changes are kept, and
    /// that everything in `folders`, whose own names are lost, is gone.
    func crash(
        namesKept counts: [String: Int], withoutFolders folders: Set<String>
    ) -> MemoryBackend {
        let after = state.withLock { state in
            let kept = state.pendingNames(counts)
            return state.afterCut(
                withoutFolders: folders, keepingNames: { kept.contains($0) },
                cut: { $0.cut { _ in false } })
        }
        return MemoryBackend(state: after, isReadOnly: false)
    }

    /// As `crash(using:)`, but that the folders keep their names independently.
    func crash(
        withoutFolders folders: Set<String>, using generator: inout some RandomNumberGenerator
    ) -> MemoryBackend {
        let frozen = state.withLock { $0 }
        var counts: [String: Int] = [:]
        for (folder, count) in frozen.pendingCounts.sorted(by: { $0.key < $1.key }) {
            counts[folder] = Int.random(in: 0...count, using: &generator)
        }
        let kept = frozen.pendingNames(counts)
        let after = frozen.afterCut(
            withoutFolders: folders, keepingNames: { kept.contains($0) },
            cut: { $0.cut(using: &generator) })
        return MemoryBackend(state: after, isReadOnly: false)
    }

    // MARK: Backend

    public func createFile(_ name: String) throws(BackendError) -> any BackendFile {
        try checkChange(name)
        let inode = try state.withLock { state throws(BackendError) in
            if state.isBelowFile(name) { throw Self.notDirectory(name, "open") }
            if state.names[name] != nil || state.isFolder(name) { throw .exists(name: name) }
            if state.names.count >= Self.filesMax { throw .noSpace(name: name) }
            let inode = state.create(name)
            state.withInode(inode) { $0.handles += 1 }
            return inode
        }
        return MemoryFile(name: name, backend: self, inode: inode, isWritable: true)
    }

    public func openFile(
        _ name: String, writable: Bool
    ) throws(BackendError) -> any BackendFile {
        try BackendName.check(name)
        if writable && isReadOnly { throw .readOnly(name: name) }
        let inode = try state.withLock { state throws(BackendError) in
            guard let inode = state.names[name] else { throw .noSuchFile(name: name) }
            state.withInode(inode) { $0.handles += 1 }
            return inode
        }
        return MemoryFile(name: name, backend: self, inode: inode, isWritable: writable)
    }

    public func list(prefix: String) throws(BackendError) -> [(name: String, size: UInt64)] {
        _ = try BackendName.folder(ofPrefix: prefix)
        return state.withLock { state in
            state.names.filter { $0.key.hasPrefix(prefix) }
                .map { (name: $0.key, size: state.inodes[$0.value]?.live.size ?? 0) }
                .sorted { BackendName.precedes($0.name, $1.name) }
        }
    }

    public func removeFile(_ name: String) throws(BackendError) {
        try checkChange(name)
        try state.withLock { state throws(BackendError) in
            guard state.names[name] != nil else { throw .noSuchFile(name: name) }
            state.remove(name)
        }
    }

    public func renameFile(_ from: String, to: String) throws(BackendError) {
        try checkChange(from)
        try checkChange(to)
        try state.withLock { state throws(BackendError) in
            guard let inode = state.names[from] else { throw .noSuchFile(name: from) }
            if from == to { return }
            if state.isBelowFile(to) { throw Self.notDirectory(from, "rename") }
            if state.isFolder(to) {
                throw .system(name: from, code: Errno.isDirectory.rawValue, call: "rename")
            }
            state.rename(from, inode, to: to)
        }
    }

    public func writeWhole(_ name: String, _ bytes: [UInt8]) throws(BackendError) {
        try checkChange(name)
        try state.withLock { state throws(BackendError) in
            if state.isBelowFile(name) { throw Self.notDirectory(name, "open") }
            if state.isFolder(name) {
                throw .system(name: name, code: Errno.isDirectory.rawValue, call: "rename")
            }
            var contents = SparseBytes()
            bytes.withUnsafeBytes { contents.write($0, at: 0) }
            guard state.pagesUsed + UInt64(contents.pageCount) <= state.pagesMax else {
                throw .noSpace(name: name)
            }
            state.replace(name, contents: contents)
        }
    }

    public func readWhole(_ name: String, limitBytes: Int) throws(BackendError) -> [UInt8] {
        try readWholeByHandle(name, limitBytes: limitBytes)
    }

    public func synchronizeNames() throws(BackendError) {
        state.withLock { $0.synchronizeNames() }
    }

    public func space() throws(BackendError) -> BackendSpace {
        state.withLock { state in
            let pageBytes = UInt64(SparseBytes.pageBytes)
            let files = UInt64(state.names.count)
            return BackendSpace(
                totalBytes: state.pagesMax * pageBytes,
                availableBytes: (state.pagesMax - min(state.pagesMax, state.pagesUsed))
                    * pageBytes,
                totalFiles: Self.filesMax,
                availableFiles: Self.filesMax - min(Self.filesMax, files))
        }
    }

    private func checkChange(_ name: String) throws(BackendError) {
        try BackendName.check(name)
        if isReadOnly { throw .readOnly(name: name) }
    }

    private static func notDirectory(_ name: String, _ call: StaticString) -> BackendError {
        .system(name: name, code: Errno.notDirectory.rawValue, call: call)
    }
}
