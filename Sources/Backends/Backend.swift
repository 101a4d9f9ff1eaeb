/// # Backends: where the bytes of a store lie
///
/// A backend is a flat set of named files (`packs/0123…-0001.pack`, `ashlar.store`). The store above
/// knows nothing of directories, system calls or object stores; it appends to files, reads ranges,
/// makes them durable, and removes them.
///
/// Invariants every backend keeps (one conformance suite checks them all):
/// 1. After `synchronize()` returns, all bytes written to that file before the call survive a power
///    cut. After `createFile` + `synchronizeNames()` the file's name does.
/// 2. A failed `synchronize()` is final for that handle: every later call fails too. The caller
///    writes the unsynced bytes anew elsewhere (DESIGN §5.2).
/// 3. `read` returns fewer bytes than asked only at the end of the file.
/// 4. Nothing blocks a Swift-concurrency thread: these are blocking calls for plain threads. Every
///    method may be called from any thread; writes to one file are made by one thread at a time.
import Platform

/// What a backend reports. Carries the system's error number where there is one.
public enum BackendError: Error, Equatable, Sendable {
    /// No file of that name.
    case noSuchFile(name: String)
    /// The file exists already (exclusive creation).
    case exists(name: String)
    /// No space is left; nothing was promised.
    case noSpace(name: String)
    /// An earlier `synchronize` of this handle failed; what was unsynced may be lost.
    case poisoned(name: String)
    /// The name is not allowed (absolute, empty, `..`, or with a NUL).
    case badName(name: String)
    /// The medium can only be read.
    case readOnly(name: String)
    /// The system refused, with its error number and the call.
    case system(name: String, code: Int32, call: StaticString)

    public static func == (a: BackendError, b: BackendError) -> Bool {
        "\(a)" == "\(b)"
    }
}

/// Sizes of the medium below, in bytes and inodes, for statfs and the reserve.
public struct BackendSpace: Equatable, Sendable {
    public var totalBytes: UInt64
    /// Free to us (not what root alone may use).
    public var availableBytes: UInt64
    public var totalFiles: UInt64
    public var availableFiles: UInt64

    public init(
        totalBytes: UInt64, availableBytes: UInt64, totalFiles: UInt64, availableFiles: UInt64
    ) {
        self.totalBytes = totalBytes
        self.availableBytes = availableBytes
        self.totalFiles = totalFiles
        self.availableFiles = availableFiles
    }
}

/// One open file of a backend. Closed when the last reference goes.
public protocol BackendFile: AnyObject, Sendable {
    var name: String { get }

    /// The file's length in bytes now.
    func size() throws(BackendError) -> UInt64

    /// Fills `buffer` from byte `offset`; returns how many bytes were read, less than
    /// `buffer.count` only at the end of the file. Retries EINTR and short reads.
    func read(
        at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(BackendError) -> Int

    /// Writes all of `buffers`, one behind the other, at byte `offset`. Retries EINTR and short
    /// writes. On `noSpace` the range may be partly written.
    func write(
        _ buffers: [UnsafeRawBufferPointer], at offset: UInt64
    ) throws(BackendError)

    /// Makes everything written to this file so far durable (fdatasync, size included).
    func synchronize() throws(BackendError)

    /// Asks the medium to start writing `range` back without waiting (sync_file_range); a hint.
    func startWriteback(_ range: Range<UInt64>)

    /// Cuts the file to `size` bytes.
    func truncate(to size: UInt64) throws(BackendError)

    /// Gives the space of `range` back; the bytes read as zeros afterwards, the size stays.
    /// Returns false where the medium cannot (nothing changed).
    func punchHole(_ range: Range<UInt64>) throws(BackendError) -> Bool

    /// Reserves space for `range` without changing the size. False where the medium cannot.
    func preallocate(_ range: Range<UInt64>) throws(BackendError) -> Bool

    /// Bytes that the file takes on the medium (allocated blocks), holes excluded.
    func allocatedBytes() throws(BackendError) -> UInt64
}

/// A place that keeps named files. Names are relative, with `/` between parts; folders come and go
/// by themselves.
public protocol Backend: AnyObject, Sendable {
    /// For people: where this is (a path or URL).
    var location: String { get }
    var isReadOnly: Bool { get }

    /// Creates an empty file; fails with `exists` if there is one.
    func createFile(_ name: String) throws(BackendError) -> any BackendFile

    /// Opens an existing file, for reading, or for both.
    func openFile(_ name: String, writable: Bool) throws(BackendError) -> any BackendFile

    /// All files whose name begins with `prefix`, with their sizes in bytes, sorted by name.
    func list(prefix: String) throws(BackendError) -> [(name: String, size: UInt64)]

    /// Removes a file; `noSuchFile` if it is not there. Open handles stay readable.
    func removeFile(_ name: String) throws(BackendError)

    /// Renames a file over another, atomically.
    func renameFile(_ from: String, to: String) throws(BackendError)

    /// Replaces a small file as a whole, durably (temporary, sync, rename, sync of the names).
    func writeWhole(_ name: String, _ bytes: [UInt8]) throws(BackendError)

    /// Reads a small file as a whole; fails with `.system(EFBIG)` above `limitBytes`.
    func readWhole(_ name: String, limitBytes: Int) throws(BackendError) -> [UInt8]

    /// Makes creations, renames and removals so far durable.
    func synchronizeNames() throws(BackendError)

    func space() throws(BackendError) -> BackendSpace
}
