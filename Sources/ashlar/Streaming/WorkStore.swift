// The store in which a `.snap` or `.diff` file is made, until it is one.
import Backends
import Console
import DiskFormat
import FileModel
import Glibc
import Pipeline
import Platform
import Streams
import Volume

/// A store beside the file that is to be: `OUTPUT.partial`. What an interrupted command leaves there is
/// found by the next one.
struct WorkStore {
    static let volumeName = "main"

    let output: String
    let path: String
    let store: WritableStore
    var live: LiveStore { store.live }

    /// - Parameters:
    ///   - output: the file that is to be.
    ///   - parameters: how content is cut and named; its identity does not count.
    init(for output: String, like parameters: StoreParameters? = nil) throws {
        self.output = output
        path = output + ".partial"
        var wanted = StoreParameters(
            storeID: UniqueID(random: (randomUInt64(), randomUInt64())),
            secret: StoreSecret(high: randomUInt64(), low: randomUInt64()), metadataCopies: 1)
        if let parameters {
            wanted.hash = parameters.hash
            wanted.chunker = parameters.chunker
            wanted.superChunkBytes = max(wanted.superChunkBytes, parameters.chunker.maximumBytes)
        }
        try Self.checkOutput(output)
        if access(path, F_OK) == 0 {
            store = try WritableStore.streaming(path)
            let found = store.live.store.parameters
            guard found.chunker == wanted.chunker, found.hash == wanted.hash,
                found.metadataCopies == 1
            else {
                try? store.close()
                throw CommandFailure(
                    .busy, "\(DisplayText.escaped(path.utf8)) is of another command",
                    advice: "Remove it, or finish that command first.")
            }
            return
        }
        // An unfinished making leaves no store that opens: it is removed at once.
        do {
            try MakeCommand.make(path, wanted, Self.volumeName)
            store = try WritableStore.streaming(path)
        } catch {
            Self.remove(path)
            throw error
        }
    }

    private static func checkOutput(_ output: String) throws(CommandFailure) {
        guard let name = output.split(separator: "/").last, !output.hasSuffix("/"), name != ".."
        else {
            throw CommandFailure(
                .usage, "\(DisplayText.escaped(output.utf8)) is no name of a file")
        }
        guard let facts = try? OpenDirectory(path: folder(of: output)).facts(Array(name.utf8))
        else {
            return
        }
        guard facts.isRegular else {
            throw CommandFailure(
                .usage, "\(DisplayText.escaped(output.utf8)) is there, and is no file")
        }
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Makes the file, and removes the store. Returns its bytes.
    func finish(_ head: StreamHead) throws -> UInt64 {
        try store.close()
        let backend = try DirectoryBackend(path: path, isReadOnly: true)
        let bytes: UInt64
        do throws(StreamFileError) {
            let directory: OpenDirectory
            do throws(Errno) {
                directory = try OpenDirectory(path: Self.folder(of: output))
            } catch {
                throw .system("open", error)
            }
            let name = output.split(separator: "/").last.map { Array($0.utf8) } ?? []
            bytes = try StreamFileWriter(in: directory, name: name).write(
                head, packsOf: backend, isCancelled: { Interruption.signal != nil })
        } catch {
            throw CommandFailure(error, file: output)
        }
        Self.remove(path)
        return bytes
    }

    /// Ends early. What was put is kept where that is of use for the next time.
    func abandon(isKept: Bool) {
        if isKept { try? live.keepChunks() }
        try? store.close()
        if !isKept { Self.remove(path) }
    }

    /// Removes a store that was made here: files of ours in two folders, and nothing else.
    private static func remove(_ path: String) {
        guard let root = try? OpenDirectory(path: path) else { return }
        for folder in ["packs", "index"] {
            let name = Array(folder.utf8)
            guard let directory = try? root.directory(name), let names = try? directory.names()
            else {
                continue
            }
            for index in 0..<names.count {
                _ = try? directory.remove(names[index], isDirectory: false)
            }
            _ = try? root.remove(name, isDirectory: true)
        }
        if let names = try? root.names() {
            for index in 0..<names.count { _ = try? root.remove(names[index], isDirectory: false) }
        }
        rmdir(path)
    }

    /// The time of now.
    static func now() -> DiskTime {
        let (seconds, nanoseconds) = wallClock()
        return DiskTime(seconds: seconds, nanoseconds: nanoseconds)
    }
}

extension CommandFailure {
    /// Why a `.snap` or `.diff` file was not read or written.
    init(_ error: StreamFileError, file: String) {
        let shown = DisplayText.escaped(file.utf8)
        switch error {
        case .system(let what, let reason): self.init(reason, "cannot \(what) \(shown)")
        case .format(.notMagic):
            self.init(.notAStore, "\(shown) is neither a snapshot nor a difference")
        case .format(let reason) where reason.isNewer:
            self.init(.notAStore, "\(shown) was made by a newer version of Ashlar")
        case .format(let reason): self.init(.damaged, "\(shown): \(Self.words(reason))")
        case .digest(let pack):
            self.init(.damaged, "\(shown): pack \(pack) is not what it was when it was written")
        case .store(let reason): self.init(reason, store: file)
        case .lacks(let name): self.init(.damaged, "\(shown) has no snapshot called \(name)")
        case .tree(let reason): self.init(tree: reason, what: shown)
        case .isOther(let kind):
            self.init(
                .usage,
                kind == .snapshot
                    ? "\(shown) is a snapshot, not a difference"
                    : "\(shown) is a difference, not a snapshot")
        case .cancelled: self.init(.interrupted, "ended by a signal")
        }
    }
}
