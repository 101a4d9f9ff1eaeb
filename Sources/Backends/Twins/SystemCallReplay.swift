/// Replays recorded system calls into a memory backend, step by step, and says what a power cut at
/// any moment would have left.
///
/// It promises as little as POSIX does. A file's bytes are durable by its own fdatasync alone, a name
/// by the fsync of the directory it is in alone, a directory by that of the one above it. Until then
/// each may survive or not: names of one directory in the order in which they changed, those of
/// different directories independently, any sectors of 512 bytes of what was written, and the size
/// apart from them.
///
/// Not for several threads.
public final class SystemCallReplay {
    public let calls: [RecordedCall]
    /// How many calls have been replayed.
    public private(set) var position = 0
    /// The notes passed so far.
    public private(set) var marks: [String] = []
    private let backend = MemoryBackend()
    private var files: [Int: any BackendFile] = [:]
    /// Directories whose own names are not durable.
    private var freshDirectories: Set<String> = []

    /// - Parameter calls: those of a backend whose root was empty at first.
    public init(_ calls: [RecordedCall]) {
        self.calls = calls
    }

    /// Replays up to the call `end`, not included; `calls.count` for all of them. Does not go back.
    ///
    /// - Throws: what the memory backend reports: the recording does not fit its beginning.
    public func advance(to end: Int) throws(BackendError) {
        precondition(end <= calls.count, "beyond the recording")
        while position < end {
            try apply(calls[position])
            position += 1
        }
    }

    private func apply(_ call: RecordedCall) throws(BackendError) {
        switch call {
        case .open(let handle, let path, let creates, let truncates):
            files[handle] = try open(Self.name(path), creates: creates, truncates: truncates)
        case .pwritev(let handle, let offset, let bytes):
            let file = try file(handle)
            try bytes.withUnsafeBufferPointer { (buffer) throws(BackendError) in
                try file.write([UnsafeRawBufferPointer(buffer)], at: offset)
            }
        case .fdatasync(let handle): try file(handle).synchronize()
        case .ftruncate(let handle, let size): try file(handle).truncate(to: size)
        case .reserve(let handle, let range): _ = try file(handle).preallocate(range)
        case .punchHole(let handle, let range): _ = try file(handle).punchHole(range)
        case .mkdir(let path): freshDirectories.insert(path)
        case .fsync(let path):
            backend.synchronizeNames(in: path)
            freshDirectories = freshDirectories.filter { BackendName.folder(of: $0) != path }
        case .rename(let from, let to):
            try backend.renameFile(Self.name(from), to: Self.name(to))
        case .unlink(let path): try backend.removeFile(Self.name(path))
        case .mark(let text): marks.append(text)
        }
    }

    /// Begins the names of temporaries here: those of the directory backend are no names of files.
    private static let temporaryPrefix = "replayed-temporary."

    private static func name(_ path: String) -> String {
        let folder = BackendName.folder(of: path)
        let last = folder.isEmpty ? path[...] : path.dropFirst(folder.count + 1)
        guard last.hasPrefix(BackendName.temporaryPrefix) else { return path }
        return BackendName.join(
            folder, temporaryPrefix + last.dropFirst(BackendName.temporaryPrefix.count))
    }

    private func open(
        _ path: String, creates: Bool, truncates: Bool
    ) throws(BackendError) -> any BackendFile {
        if creates {
            do throws(BackendError) {
                return try backend.createFile(path)
            } catch {
                guard case .exists = error else { throw error }
            }
        }
        let file = try backend.openFile(path, writable: true)
        if truncates { try file.truncate(to: 0) }
        return file
    }

    private func file(_ handle: Int) throws(BackendError) -> any BackendFile {
        guard let file = files[handle] else { throw .noSuchFile(name: "handle \(handle)") }
        return file
    }

    // MARK: power cuts

    /// What is left where nothing survives that was not made durable.
    ///
    /// - Throws: nothing that a memory backend is known to report.
    public func crash() throws(BackendError) -> MemoryBackend {
        try Self.hidingTemporaries(
            backend.crash(namesKept: [:], withoutFolders: freshDirectories))
    }

    /// What is left where a random part of what was not made durable survives. Equal seeds give equal
    /// results.
    public func crash(
        using generator: inout some RandomNumberGenerator
    ) throws(BackendError) -> MemoryBackend {
        var lost: Set<String> = []
        for directory in freshDirectories.sorted() where Bool.random(using: &generator) {
            lost.insert(directory)
        }
        return try Self.hidingTemporaries(backend.crash(withoutFolders: lost, using: &generator))
    }

    /// A directory backend does not list what its temporaries left.
    private static func hidingTemporaries(
        _ survivor: MemoryBackend
    ) throws(BackendError) -> MemoryBackend {
        for (name, _) in try survivor.list(prefix: "") {
            let last = name.split(separator: "/").last ?? ""
            if last.hasPrefix(temporaryPrefix) { try survivor.removeFile(name) }
        }
        try survivor.synchronizeNames()
        return survivor
    }
}
