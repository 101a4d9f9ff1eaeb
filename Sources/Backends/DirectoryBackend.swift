/// A backend in a directory of a local filesystem.
///
/// Invariants beyond those of `Backend`:
/// 1. Everything is done relative to the open root: moving the store or changing the working
///    directory changes nothing, and no name leads out of it (symbolic links are not opened).
/// 2. A folder whose names this backend changed, or whose files it opened for the first time, stays
///    on the list of touched folders until its fsync has returned; so do the folders above it. What
///    an earlier process created and did not live to make durable is thereby covered too.
/// 3. After a failed fsync of a folder no later synchronisation of names succeeds.
/// 4. Files are for their owner only (0600), and so are folders (0700).
///
/// Folders that become empty stay; `list` does not show them.
import Platform

public final class DirectoryBackend: Backend {
    public let location: String
    public let isReadOnly: Bool
    let systemCalls: any SystemCalls
    /// The open store directory; closed with the backend.
    let root: Descriptor
    private let folders = ConditionMutex(FolderState())
    /// Held while folders are synchronised: whoever finds the list of touched folders empty must
    /// wait for the one who is still working on it.
    private let synchronizing = ConditionMutex<Void>(())
    /// Held while a temporary exists: one name has one temporary.
    private let replacing = ConditionMutex<Void>(())

    private struct FolderState {
        /// Folders that exist and have been on the list of touched ones at least once.
        var known: Set<String> = []
        /// Folders to be synchronised; the root is "".
        var touched: Set<String> = []
        var poisoned: String?
    }

    static let fileMode: UInt32 = 0o600
    static let folderMode: UInt32 = 0o700

    /// Opens the directory at `path`.
    ///
    /// - Parameters:
    ///   - path: relative to the working directory of this moment, or absolute.
    ///   - isReadOnly: nothing is changed, not even by opening.
    ///   - create: makes the directory (not those above it) where it is missing.
    public init(
        path: String, isReadOnly: Bool = false, create: Bool = false,
        systemCalls: any SystemCalls = LinuxSystemCalls()
    ) throws(BackendError) {
        location = path
        self.isReadOnly = isReadOnly
        self.systemCalls = systemCalls
        do {
            if create && !isReadOnly {
                try Self.makeRoot(path, systemCalls)
            }
            root = try systemCalls.open(at: .currentDirectory, path, [.directory], mode: 0)
        } catch {
            throw BackendError(error, name: path, call: "open")
        }
    }

    deinit {
        systemCalls.closeQuietly(root)
    }

    private static func makeRoot(_ path: String, _ systemCalls: any SystemCalls) throws(Errno) {
        do {
            try systemCalls.makeDirectory(at: .currentDirectory, path, mode: folderMode)
        } catch {
            if error == .fileExists { return }
            throw error
        }
        // The store's own name is not in a folder of the backend: make it durable here.
        let parent = try systemCalls.open(
            at: .currentDirectory, path + "/..", [.directory], mode: 0)
        defer { systemCalls.closeQuietly(parent) }
        try systemCalls.synchronize(parent)
    }

    public func createFile(_ name: String) throws(BackendError) -> any BackendFile {
        try checkChange(name)
        try makeFolder(of: name)
        let descriptor = try run(name, "open") { () throws(Errno) in
            try systemCalls.open(
                at: root, name, [.readWrite, .create, .exclusive, .noFollow], mode: Self.fileMode)
        }
        touch(BackendName.folder(of: name))
        return DirectoryFile(
            name: name, descriptor: descriptor, isWritable: true, systemCalls: systemCalls)
    }

    public func openFile(
        _ name: String, writable: Bool
    ) throws(BackendError) -> any BackendFile {
        try BackendName.check(name)
        if writable && isReadOnly { throw .readOnly(name: name) }
        let descriptor: Descriptor
        do {
            descriptor = try systemCalls.open(
                at: root, name, writable ? [.readWrite, .noFollow] : [.noFollow], mode: 0)
        } catch {
            if error == .isDirectory || error == .notDirectory { throw .noSuchFile(name: name) }
            throw BackendError(error, name: name, call: "open")
        }
        // From here on the descriptor is closed with the file.
        let file = DirectoryFile(
            name: name, descriptor: descriptor, isWritable: writable, systemCalls: systemCalls)
        let kind = try run(name, "fstat") { () throws(Errno) in
            try systemCalls.status(descriptor).kind
        }
        try checkRegular(kind, name)
        rememberFolder(BackendName.folder(of: name))
        return file
    }

    private func kind(of name: String) throws(BackendError) -> FileKind {
        do {
            return try systemCalls.status(at: root, name).kind
        } catch {
            if error == .notDirectory { throw .noSuchFile(name: name) }
            throw BackendError(error, name: name, call: "stat")
        }
    }

    private func checkRegular(_ kind: FileKind, _ name: String) throws(BackendError) {
        switch kind {
        case .regular: return
        case .directory: throw .noSuchFile(name: name)
        case .symbolicLink, .other:
            throw .system(name: name, code: Errno.invalidArgument.rawValue, call: "fstat")
        }
    }

    public func removeFile(_ name: String) throws(BackendError) {
        try checkChange(name)
        do {
            try systemCalls.unlink(at: root, name)
        } catch {
            if error == .isDirectory || error == .notDirectory { throw .noSuchFile(name: name) }
            throw BackendError(error, name: name, call: "unlink")
        }
        touch(BackendName.folder(of: name))
    }

    public func renameFile(_ from: String, to: String) throws(BackendError) {
        try checkChange(from)
        try checkChange(to)
        // rename(2) would move a whole folder.
        try checkRegular(try kind(of: from), from)
        try makeFolder(of: to)
        try run(from, "rename") { () throws(Errno) in
            try systemCalls.rename(at: root, from, to: root, to)
        }
        touch(BackendName.folder(of: from))
        touch(BackendName.folder(of: to))
    }

    public func writeWhole(_ name: String, _ bytes: [UInt8]) throws(BackendError) {
        try checkChange(name)
        try makeFolder(of: name)
        let temporary = BackendName.temporary(for: name)
        try replacing.withLock { _ throws(BackendError) in
            do throws(BackendError) {
                try writeTemporary(temporary, bytes, for: name)
                try run(name, "rename") { () throws(Errno) in
                    try systemCalls.rename(at: root, temporary, to: root, name)
                }
            } catch {
                // It may not exist; and the next attempt would overwrite it.
                try? systemCalls.unlink(at: root, temporary)
                throw error
            }
        }
        touch(BackendName.folder(of: name))
        try synchronizeNames()
    }

    private func writeTemporary(
        _ temporary: String, _ bytes: [UInt8], for name: String
    ) throws(BackendError) {
        let descriptor = try run(name, "open") { () throws(Errno) in
            try systemCalls.open(
                at: root, temporary, [.readWrite, .create, .truncate, .noFollow],
                mode: Self.fileMode)
        }
        let file = DirectoryFile(
            name: name, descriptor: descriptor, isWritable: true, systemCalls: systemCalls)
        try bytes.withUnsafeBufferPointer { (buffer) throws(BackendError) in
            try file.write([UnsafeRawBufferPointer(buffer)], at: 0)
        }
        try file.synchronize()
    }

    public func readWhole(_ name: String, limitBytes: Int) throws(BackendError) -> [UInt8] {
        try readWholeByHandle(name, limitBytes: limitBytes)
    }

    public func space() throws(BackendError) -> BackendSpace {
        let status = try run(location, "statvfs") { () throws(Errno) in
            try systemCalls.filesystem(root)
        }
        return BackendSpace(
            totalBytes: status.totalBytes, availableBytes: status.availableBytes,
            totalFiles: status.totalFiles, availableFiles: status.availableFiles)
    }

    // MARK: folders

    public func synchronizeNames() throws(BackendError) {
        try synchronizing.withLock { _ throws(BackendError) in
            var pending = try folders.withLock { state throws(BackendError) in
                if let folder = state.poisoned { throw .poisoned(name: folder) }
                let touched = state.touched
                state.touched = []
                return touched.sorted(by: BackendName.precedes)[...]
            }
            // What is not reached stays on the list.
            defer { folders.withLock { $0.touched.formUnion(pending) } }
            while let folder = pending.first {
                try synchronizeFolder(folder)
                pending.removeFirst()
            }
        }
    }

    private func synchronizeFolder(_ folder: String) throws(BackendError) {
        let path = folder.isEmpty ? "." : folder
        let descriptor = try run(path, "open") { () throws(Errno) in
            try systemCalls.open(at: root, path, [.directory], mode: 0)
        }
        defer { systemCalls.closeQuietly(descriptor) }
        do {
            try systemCalls.synchronize(descriptor)
        } catch {
            folders.withLock { $0.poisoned = path }
            throw BackendError(error, name: path, call: "fsync")
        }
    }

    /// Puts `folder` on the list of those to be synchronised. After the change, not before: else a
    /// concurrent synchronisation could take it off without having seen the change.
    private func touch(_ folder: String) {
        rememberFolder(folder)
        folders.withLock { _ = $0.touched.insert(folder) }
    }

    /// Puts a folder that is used for the first time on the list, with those above it: the process
    /// that made it may have died before making it durable.
    private func rememberFolder(_ folder: String) {
        guard !isReadOnly else { return }
        folders.withLock { state in
            guard state.known.insert(folder).inserted else { return }
            state.touched.insert("")
            state.touched.formUnion(BackendName.path(to: folder))
        }
    }

    /// Makes the folders that lead to `name`, where they are missing.
    private func makeFolder(of name: String) throws(BackendError) {
        let folder = BackendName.folder(of: name)
        if folders.withLock({ $0.known.contains(folder) }) { return }
        for path in BackendName.path(to: folder) {
            do {
                try systemCalls.makeDirectory(at: root, path, mode: Self.folderMode)
            } catch {
                if error == .fileExists { continue }
                throw BackendError(error, name: name, call: "mkdir")
            }
        }
    }

    // MARK: helpers

    private func checkChange(_ name: String) throws(BackendError) {
        try BackendName.check(name)
        if isReadOnly { throw .readOnly(name: name) }
    }

    func run<Result>(
        _ name: String, _ call: StaticString, _ body: () throws(Errno) -> Result
    ) throws(BackendError) -> Result {
        do {
            return try body()
        } catch {
            throw BackendError(error, name: name, call: call)
        }
    }
}
