import CFuseShim
import FileModel
import Synchronization

/// Answers requests by asking the volume. One per session; any number of threads.
///
/// Methods are named after the requests; each ends with exactly one reply.
final class RequestHandler: Sendable {
    let filesystem: any FilesystemOperations
    /// Of a mount with `dirsync` or `sync`: the kernel leaves that to the filesystem.
    private let synchronizesNames: Bool
    /// Of a mount with `acl`.
    private let hasAccessLists: Bool
    private let bytesRead = Atomic<UInt64>(0)
    private let bytesWritten = Atomic<UInt64>(0)

    init(
        filesystem: any FilesystemOperations, synchronizesNames: Bool, hasAccessLists: Bool
    ) {
        self.filesystem = filesystem
        self.synchronizesNames = synchronizesNames
        self.hasAccessLists = hasAccessLists
    }

    var transferred: (read: UInt64, written: UInt64) {
        (bytesRead.load(ordering: .relaxed), bytesWritten.load(ordering: .relaxed))
    }

    func countRead(_ bytes: Int) {
        bytesRead.wrappingAdd(UInt64(bytes), ordering: .relaxed)
    }

    func countWritten(_ bytes: Int) {
        bytesWritten.wrappingAdd(UInt64(bytes), ordering: .relaxed)
    }

    // MARK: replies

    func fail(_ request: OpaquePointer, _ error: FileError) {
        _ = ashlar_fuse_reply_error(request, error.errnoValue)
    }

    func succeed(_ request: OpaquePointer) {
        _ = ashlar_fuse_reply_error(request, 0)
    }

    /// Hands out an entry that the volume has counted; takes the count back when nobody got it.
    func reply(_ request: OpaquePointer, entry attributes: FileAttributes) {
        var entry = AshlarFuseAttributes(attributes)
        if ashlar_fuse_reply_entry(request, &entry) != 0 {
            filesystem.forget(attributes.inode, count: 1)
        }
    }

    func reply(_ request: OpaquePointer, attributes: FileAttributes) {
        var attributes = AshlarFuseAttributes(attributes)
        _ = ashlar_fuse_reply_attributes(request, &attributes)
    }

    func reply(_ request: OpaquePointer, bytes: [UInt8]) {
        bytes.withUnsafeBytes { _ = ashlar_fuse_reply_bytes(request, $0.baseAddress, $0.count) }
    }

    // MARK: shapes of requests

    /// A change of names that answers with an entry.
    func answerEntry(
        _ request: OpaquePointer, _ body: () throws(FileError) -> FileAttributes
    ) {
        let attributes: FileAttributes
        do throws(FileError) {
            attributes = try body()
        } catch {
            return fail(request, error)
        }
        do throws(FileError) {
            try settleNames()
        } catch {
            filesystem.forget(attributes.inode, count: 1)
            return fail(request, error)
        }
        reply(request, entry: attributes)
    }

    /// A change of names that answers with success alone.
    func answerNames(_ request: OpaquePointer, _ body: () throws(FileError) -> Void) {
        answer(request) { () throws(FileError) in
            try body()
            try settleNames()
        }
    }

    func answer(_ request: OpaquePointer, _ body: () throws(FileError) -> Void) {
        do throws(FileError) {
            try body()
            succeed(request)
        } catch {
            fail(request, error)
        }
    }

    func answerAttributes(
        _ request: OpaquePointer, _ body: () throws(FileError) -> FileAttributes
    ) {
        do throws(FileError) {
            reply(request, attributes: try body())
        } catch {
            fail(request, error)
        }
    }

    /// Lists that the kernel does not enforce must not be stored: they would promise something.
    func checkSupport(ofAttribute name: UnsafeRawBufferPointer) throws(FileError) {
        if !hasAccessLists, name.starts(with: "system.posix_acl_".utf8) { throw .notSupported }
    }

    private func settleNames() throws(FileError) {
        if synchronizesNames { try filesystem.synchronizeAll() }
    }
}
