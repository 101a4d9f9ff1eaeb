// Files and directories outside of the store, in which lost chunks are looked for. Names are bytes,
// as the system has them.
import Backends
import Glibc
import Platform

/// A file outside of the store, opened for reading. Any thread.
final class SourceFile: Sendable {
    /// For people.
    let path: String
    let bytes: UInt64
    /// Bytes that it takes on its medium: fewer than `bytes` where it has holes.
    let allocatedBytes: UInt64
    private let descriptor: Int32

    /// - Throws: the system's error number.
    init(_ path: [CChar]) throws(Errno) {
        self.path = SourceFile.text(path)
        // A FIFO would keep an opening waiting.
        let descriptor = path.withUnsafeBufferPointer {
            $0.baseAddress.map { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) } ?? -1
        }
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            let code = errno
            close(descriptor)
            throw Errno(rawValue: code == 0 ? EINVAL : code)
        }
        self.descriptor = descriptor
        bytes = UInt64(max(0, status.st_size))
        allocatedBytes = UInt64(max(0, status.st_blocks)) * 512
    }

    deinit {
        close(descriptor)
    }

    /// Fills `buffer` from byte `offset`; fewer bytes only at the end of the file.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = pread(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
            if count < 0 {
                if errno == EINTR { continue }
                throw Errno(rawValue: errno)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    static func text(_ path: [CChar]) -> String {
        String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Visits files below paths, depth first, without following symbolic links or leaving out anything
/// but one directory.
struct SourceWalk {
    /// Device and inode of the directory that is passed over: the store's own.
    private let excluded: (device: UInt64, inode: UInt64)?

    /// - Parameter excluded: a directory that is not entered.
    init(excluding excluded: String?) {
        var status = stat()
        if let excluded, stat(excluded, &status) == 0 {
            self.excluded = (UInt64(status.st_dev), UInt64(status.st_ino))
        } else {
            self.excluded = nil
        }
    }

    /// Calls `body` for each regular file, and `failed` with what cannot be read; `body` ends the
    /// walk by returning false.
    func forEachFile(
        below path: String, failed: (_ path: String, _ code: Int32) -> Void,
        _ body: (SourceFile) throws(RepairError) -> Bool
    ) throws(RepairError) {
        var pending = [
            path.withCString { Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1)) }
        ]
        var isFirst = true
        while let next = pending.popLast() {
            var status = stat()
            // What is named by the caller may be a link.
            let result = next.withUnsafeBufferPointer { name in
                name.baseAddress.map { isFirst ? stat($0, &status) : lstat($0, &status) } ?? -1
            }
            isFirst = false
            guard result == 0 else {
                failed(SourceFile.text(next), errno)
                continue
            }
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                if let excluded,
                    excluded == (UInt64(status.st_dev), UInt64(status.st_ino))
                {
                    continue
                }
                guard let names = SourceWalk.names(in: next) else {
                    failed(SourceFile.text(next), errno)
                    continue
                }
                // The last one is taken first.
                pending += names.sorted { $1.lexicographicallyPrecedes($0) }
            case S_IFREG:
                let file: SourceFile
                do throws(Errno) {
                    file = try SourceFile(next)
                } catch {
                    failed(SourceFile.text(next), error.rawValue)
                    continue
                }
                if try !body(file) { return }
            default: continue
            }
        }
    }

    /// Paths of a directory's entries; nil where it cannot be read.
    private static func names(in path: [CChar]) -> [[CChar]]? {
        let directory = path.withUnsafeBufferPointer { $0.baseAddress.flatMap { opendir($0) } }
        guard let directory else { return nil }
        defer { closedir(directory) }
        var result: [[CChar]] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { start in
                    Array(UnsafeBufferPointer(start: start, count: strlen(start) + 1))
                }
            }
            let text = name.dropLast()
            if text.elementsEqual([0x2e]) || text.elementsEqual([0x2e, 0x2e]) { continue }
            result.append(Array(path.dropLast()) + [CChar(0x2f)] + name)
        }
        return result
    }
}

/// One file as a backend's only one, so that a pack under any name can be read as a pack.
final class LoneFileBackend: Backend, BackendFile {
    let name: String
    private let file: SourceFile

    /// - Parameter name: what the backend calls it.
    init(_ file: SourceFile, as name: String) {
        self.file = file
        self.name = name
    }

    var location: String { file.path }
    var isReadOnly: Bool { true }

    func openFile(_ name: String, writable: Bool) throws(BackendError) -> any BackendFile {
        guard name == self.name else { throw .noSuchFile(name: name) }
        if writable { throw .readOnly(name: name) }
        return self
    }

    func list(prefix: String) throws(BackendError) -> [(name: String, size: UInt64)] {
        name.hasPrefix(prefix) ? [(name, file.bytes)] : []
    }

    func size() throws(BackendError) -> UInt64 { file.bytes }

    func read(
        at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(BackendError) -> Int {
        do throws(Errno) {
            return try file.read(at: offset, into: buffer)
        } catch {
            throw .system(name: file.path, code: error.rawValue, call: "pread")
        }
    }

    func readWhole(_ name: String, limitBytes: Int) throws(BackendError) -> [UInt8] {
        throw .noSuchFile(name: name)
    }

    func space() throws(BackendError) -> BackendSpace {
        BackendSpace(totalBytes: 0, availableBytes: 0, totalFiles: 0, availableFiles: 0)
    }

    // MARK: what a file that is only read refuses

    func createFile(_ name: String) throws(BackendError) -> any BackendFile { throw refusal }
    func removeFile(_ name: String) throws(BackendError) { throw refusal }
    func renameFile(_ from: String, to: String) throws(BackendError) { throw refusal }
    func writeWhole(_ name: String, _ bytes: [UInt8]) throws(BackendError) { throw refusal }
    func synchronizeNames() throws(BackendError) { throw refusal }
    func write(
        _ buffers: [UnsafeRawBufferPointer], at offset: UInt64
    ) throws(BackendError) { throw refusal }
    func synchronize() throws(BackendError) { throw refusal }
    func startWriteback(_ range: Range<UInt64>) {}
    func truncate(to size: UInt64) throws(BackendError) { throw refusal }
    func punchHole(_ range: Range<UInt64>) throws(BackendError) -> Bool { throw refusal }
    func preallocate(_ range: Range<UInt64>) throws(BackendError) -> Bool { throw refusal }
    func allocatedBytes() throws(BackendError) -> UInt64 { file.allocatedBytes }

    private var refusal: BackendError { .readOnly(name: name) }
}
