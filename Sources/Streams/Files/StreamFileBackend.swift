import Backends
import DiskFormat
import Hashing
import Platform

/// The packs in a `.snap` or `.diff` file, as a store that can only be read.
///
/// Whatever the file says, nothing is read beyond a pack's own bytes. Any thread.
public final class StreamFileBackend: Backend {
    public let location: String
    public var isReadOnly: Bool { true }
    public let head: StreamHead
    let table: StreamTable
    /// Bytes of the file.
    public let byteCount: UInt64
    fileprivate let file: OpenFile

    /// An open descriptor, closed when the last reference goes.
    fileprivate final class OpenFile: Sendable {
        let descriptor: Descriptor

        init(_ path: String) throws(Errno) {
            descriptor = try LinuxSystemCalls().open(at: .currentDirectory, path, [], mode: 0)
        }

        deinit { _ = try? LinuxSystemCalls().close(descriptor) }

        /// Fewer bytes only at the end of the file.
        func read(
            at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
        ) throws(Errno) -> Int {
            var done = 0
            while done < buffer.count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
                let count = try LinuxSystemCalls().read(
                    descriptor, into: rest, at: offset + UInt64(done))
                if count == 0 { break }
                done += count
            }
            return done
        }

        func bytes(at offset: UInt64, count: Int) throws(StreamFileError) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: count)
            do throws(Errno) {
                let done = try bytes.filling { (buffer) throws(Errno) in
                    try read(at: offset, into: buffer)
                }
                bytes.removeSubrange(done...)
                return bytes
            } catch {
                throw .system("read", error)
            }
        }
    }

    /// Opens a file: its head, its end, and its table are read.
    public init(path: String) throws(StreamFileError) {
        location = path
        do throws(Errno) {
            file = try OpenFile(path)
            let facts = try OpenDirectory.facts(of: file.descriptor)
            guard facts.isRegular else { throw Errno.invalidArgument }
            byteCount = facts.sizeBytes
        } catch {
            throw .system("open", error)
        }
        let headBytes = try file.bytes(at: 0, count: StreamHead.byteCount)
        head = try StreamFileError.formatted { () throws(FormatError) in
            try headBytes.borrowing { (raw) throws(FormatError) in try StreamHead(raw) }
        }
        table = try Self.table(file, byteCount, headBytes)
    }

    private static func table(
        _ file: OpenFile, _ fileBytes: UInt64, _ head: [UInt8]
    ) throws(StreamFileError) -> StreamTable {
        let trailerBytes = UInt64(StreamTable.trailerBytes)
        guard fileBytes >= UInt64(StreamHead.byteCount) + trailerBytes else {
            throw .format(.truncated("stream file"))
        }
        let end = try file.bytes(
            at: fileBytes - trailerBytes, count: StreamTable.trailerBytes)
        let trailer = try StreamFileError.formatted { () throws(FormatError) in
            try end.borrowing { (raw) throws(FormatError) in
                try StreamTable.Trailer(raw, fileBytes: fileBytes)
            }
        }
        let bytes = try file.bytes(at: trailer.tableOffset, count: trailer.tableBytes)
        return try StreamFileError.formatted { () throws(FormatError) in
            try StreamTable(bytes, head: head, trailer: trailer)
        }
    }

    /// Compares every pack with its digest.
    public func verify(
        isCancelled: () -> Bool = { false }, onProgress: (_ doneBytes: UInt64) -> Void = { _ in }
    ) throws(StreamFileError) {
        let hasher: ChunkHasher
        do throws(HashingError) {
            hasher = try ChunkHasher(.sha256)
        } catch {
            throw .store(.hashing(error))
        }
        var done: UInt64 = 0
        for section in table.sections {
            hasher.begin(domain: .data)
            var position = section.offset
            let end = section.offset + section.byteCount
            while position < end {
                if isCancelled() { throw .cancelled }
                let count = Int(min(1 << 20, end - position))
                let bytes = try file.bytes(at: position, count: count)
                guard bytes.count == count else { throw .format(.truncated("stream file")) }
                bytes.withUnsafeBytes { hasher.update($0) }
                position += UInt64(count)
                done += UInt64(count)
                onProgress(done)
            }
            guard hasher.finish() == section.digest else { throw .digest(section.pack) }
            try checkPadding(behind: end)
        }
    }

    /// The zeros up to the next multiple of 8.
    private func checkPadding(behind end: UInt64) throws(StreamFileError) {
        let count = Int(DiskFormat.aligned(end) - end)
        guard try file.bytes(at: end, count: count).allSatisfy({ $0 == 0 }) else {
            throw .format(.badValue("stream file: padding"))
        }
    }

    // MARK: a backend

    private func section(_ name: String) throws(BackendError) -> StreamTable.Section {
        guard let id = PackID(fileName: name),
            let found = table.sections.first(where: { $0.pack == id })
        else { throw .noSuchFile(name: name) }
        return found
    }

    public func openFile(
        _ name: String, writable: Bool
    ) throws(BackendError) -> any BackendFile {
        if writable { throw .readOnly(name: name) }
        return SectionFile(name, file, try section(name))
    }

    public func list(
        prefix: String
    ) throws(BackendError) -> [(name: String, size: UInt64)] {
        table.sections.map { (name: $0.pack.fileName, size: $0.byteCount) }
            .filter { $0.name.hasPrefix(prefix) }.sorted { $0.name < $1.name }
    }

    public func readWhole(_ name: String, limitBytes: Int) throws(BackendError) -> [UInt8] {
        throw .noSuchFile(name: name)
    }

    public func space() throws(BackendError) -> BackendSpace {
        BackendSpace(
            totalBytes: byteCount, availableBytes: 0, totalFiles: UInt64(table.sections.count),
            availableFiles: 0)
    }

    public func createFile(_ name: String) throws(BackendError) -> any BackendFile {
        throw .readOnly(name: name)
    }
    public func removeFile(_ name: String) throws(BackendError) { throw .readOnly(name: name) }
    public func renameFile(_ from: String, to: String) throws(BackendError) {
        throw .readOnly(name: from)
    }
    public func writeWhole(_ name: String, _ bytes: [UInt8]) throws(BackendError) {
        throw .readOnly(name: name)
    }
    public func synchronizeNames() throws(BackendError) {}
}

/// One pack of a stream file. Any thread.
private final class SectionFile: BackendFile {
    let name: String
    private let file: StreamFileBackend.OpenFile
    private let section: StreamTable.Section

    init(_ name: String, _ file: StreamFileBackend.OpenFile, _ section: StreamTable.Section) {
        self.name = name
        self.file = file
        self.section = section
    }

    func size() throws(BackendError) -> UInt64 { section.byteCount }
    func allocatedBytes() throws(BackendError) -> UInt64 { section.byteCount }

    func read(
        at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(BackendError) -> Int {
        guard offset < section.byteCount else { return 0 }
        let count = Int(min(UInt64(buffer.count), section.byteCount - offset))
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        do throws(Errno) {
            return try file.read(at: section.offset + offset, into: part)
        } catch {
            throw .system(name: name, code: error.rawValue, call: "pread")
        }
    }

    func write(
        _ buffers: [UnsafeRawBufferPointer], at offset: UInt64
    ) throws(BackendError) { throw .readOnly(name: name) }
    func synchronize() throws(BackendError) {}
    func startWriteback(_ range: Range<UInt64>) {}
    func truncate(to size: UInt64) throws(BackendError) { throw .readOnly(name: name) }
    func punchHole(_ range: Range<UInt64>) throws(BackendError) -> Bool {
        throw .readOnly(name: name)
    }
    func preallocate(_ range: Range<UInt64>) throws(BackendError) -> Bool {
        throw .readOnly(name: name)
    }
}
