import CFuseShim
import FileModel

/// Content, and what makes it durable.
extension RequestHandler {
    /// The volume reads into this thread's buffer, which goes to the kernel as it is.
    func read(_ request: OpaquePointer, _ inode: InodeNumber, at offset: UInt64, length: Int) {
        guard let start = ashlar_fuse_thread_buffer(length) else {
            return fail(request, .outOfMemory)
        }
        do throws(FileError) {
            let buffer = UnsafeMutableRawBufferPointer(start: start, count: length)
            let count = try filesystem.read(inode, at: offset, into: buffer)
            precondition(count >= 0 && count <= length, "a read never exceeds its buffer")
            countRead(count)
            _ = ashlar_fuse_reply_bytes(request, start, count)
        } catch {
            fail(request, error)
        }
    }

    func write(
        _ request: OpaquePointer, _ inode: InodeNumber, at offset: UInt64,
        _ bytes: UnsafeRawBufferPointer, dropsPrivilegeBits: Bool
    ) {
        do throws(FileError) {
            try filesystem.write(
                inode, at: offset, bytes, dropsPrivilegeBits: dropsPrivilegeBits)
            countWritten(bytes.count)
            _ = ashlar_fuse_reply_written(request, UInt32(clamping: bytes.count))
        } catch {
            fail(request, error)
        }
    }

    func synchronize(_ request: OpaquePointer, _ inode: InodeNumber, dataOnly: Bool) {
        answer(request) { () throws(FileError) in
            try filesystem.synchronize(inode, dataOnly: dataOnly)
        }
    }

    func synchronizeAll(_ request: OpaquePointer) {
        answer(request) { () throws(FileError) in
            try filesystem.synchronizeAll()
        }
    }

    func allocate(
        _ request: OpaquePointer, _ inode: InodeNumber, mode: AllocateMode, at offset: UInt64,
        length: UInt64, caller: Caller
    ) {
        answer(request) { () throws(FileError) in
            try filesystem.allocate(
                inode, mode: mode, at: offset, length: length, caller: caller)
        }
    }

    func seek(_ request: OpaquePointer, _ inode: InodeNumber, from offset: UInt64, whence: Int32) {
        let target: SeekTarget
        switch whence {
        case Self.seekData: target = .data
        case Self.seekHole: target = .hole
        default: return fail(request, .invalid)
        }
        do throws(FileError) {
            let found = try filesystem.seek(inode, target, from: offset)
            _ = ashlar_fuse_reply_position(request, found)
        } catch {
            fail(request, error)
        }
    }

    /// SEEK_DATA and SEEK_HOLE, which Glibc's module does not show.
    private static let seekData: Int32 = 3
    private static let seekHole: Int32 = 4

    /// The largest copy whose length the reply can hold: 32 bits, in whole pages.
    private static let copyBytesMax: UInt64 = 0xffff_f000

    func copyRange(
        _ request: OpaquePointer, from source: InodeNumber, at offset: UInt64,
        to target: InodeNumber, at targetOffset: UInt64, length: UInt64, caller: Caller
    ) {
        do throws(FileError) {
            let copied = try filesystem.copyRange(
                from: source, at: offset, to: target, at: targetOffset,
                length: min(length, Self.copyBytesMax), caller: caller)
            _ = ashlar_fuse_reply_written(request, UInt32(clamping: copied))
        } catch {
            fail(request, error)
        }
    }
}
