import CFuseShim
import FileModel

/// Names, directories and links.
extension RequestHandler {
    func lookup(_ request: OpaquePointer, _ name: UnsafeRawBufferPointer, in parent: InodeNumber) {
        do throws(FileError) {
            if let attributes = try find(name, in: parent) {
                reply(request, entry: attributes)
            } else {
                _ = ashlar_fuse_reply_entry(request, nil)
            }
        } catch {
            fail(request, error)
        }
    }

    /// "." and ".." come from NFS handles only (FUSE_EXPORT_SUPPORT): `parent` is the inode meant.
    private func find(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes? {
        let dot = UInt8(ascii: ".")
        if name.count == 1, name[0] == dot { return try filesystem.lookupSelf(parent) }
        if name.count == 2, name[0] == dot, name[1] == dot {
            return try filesystem.lookupParent(of: parent)
        }
        return try filesystem.lookup(name, in: parent)
    }

    func makeNode(
        _ request: OpaquePointer, _ name: UnsafeRawBufferPointer, in parent: InodeNumber,
        mode: UInt32, deviceMajor: UInt32, deviceMinor: UInt32, caller: Caller
    ) {
        answerEntry(request) { () throws(FileError) in
            try filesystem.makeNode(
                name, in: parent, mode: mode, deviceMajor: deviceMajor, deviceMinor: deviceMinor,
                caller: caller)
        }
    }

    func makeDirectory(
        _ request: OpaquePointer, _ name: UnsafeRawBufferPointer, in parent: InodeNumber,
        mode: UInt32, caller: Caller
    ) {
        answerEntry(request) { () throws(FileError) in
            try filesystem.makeDirectory(name, in: parent, mode: mode, caller: caller)
        }
    }

    func makeSymbolicLink(
        _ request: OpaquePointer, _ name: UnsafeRawBufferPointer, in parent: InodeNumber,
        target: UnsafeRawBufferPointer, caller: Caller
    ) {
        answerEntry(request) { () throws(FileError) in
            try filesystem.makeSymbolicLink(name, in: parent, target: target, caller: caller)
        }
    }

    func link(
        _ request: OpaquePointer, _ inode: InodeNumber, to name: UnsafeRawBufferPointer,
        in parent: InodeNumber
    ) {
        answerEntry(request) { () throws(FileError) in
            try filesystem.link(inode, to: name, in: parent)
        }
    }

    func unlink(_ request: OpaquePointer, _ name: UnsafeRawBufferPointer, in parent: InodeNumber) {
        answerNames(request) { () throws(FileError) in
            try filesystem.unlink(name, in: parent)
        }
    }

    func removeDirectory(
        _ request: OpaquePointer, _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) {
        answerNames(request) { () throws(FileError) in
            try filesystem.removeDirectory(name, in: parent)
        }
    }

    func rename(
        _ request: OpaquePointer, _ name: UnsafeRawBufferPointer, in parent: InodeNumber,
        to newName: UnsafeRawBufferPointer, in newParent: InodeNumber, flags: RenameFlags,
        caller: Caller
    ) {
        answerNames(request) { () throws(FileError) in
            try filesystem.rename(
                name, in: parent, to: newName, in: newParent, flags: flags, caller: caller)
        }
    }

    func readLink(_ request: OpaquePointer, _ inode: InodeNumber) {
        do throws(FileError) {
            reply(request, bytes: try filesystem.readSymbolicLink(inode))
        } catch {
            fail(request, error)
        }
    }

    /// Fills a reply with as many entries as fit in `capacity` bytes.
    func readDirectory(
        _ request: OpaquePointer, _ inode: InodeNumber, after cookie: UInt64, capacity: Int,
        withAttributes: Bool
    ) {
        guard let buffer = ashlar_fuse_thread_buffer(capacity) else {
            return fail(request, .outOfMemory)
        }
        var used = 0
        do throws(FileError) {
            try filesystem.readDirectory(inode, after: cookie, withAttributes: withAttributes) {
                (name, inode, kind, nextCookie, attributes) in
                guard let base = name.baseAddress else { return true }
                let length =
                    withAttributes
                    ? Self.appendWithAttributes(
                        request, buffer, capacity, used, base, name.count, inode, kind, nextCookie,
                        attributes)
                    : ashlar_fuse_append_entry(
                        buffer, capacity, used, base, name.count, inode, kind.rawValue, nextCookie)
                guard length != 0 else { return false }
                used = length
                return true
            }
        } catch {
            // What was found goes out first; the rest is asked for again, and fails then.
            if used == 0 { return fail(request, error) }
        }
        let code = ashlar_fuse_reply_bytes(request, buffer, used)
        if code != 0, withAttributes { forgetEntries(in: buffer, length: used) }
    }

    private static func appendWithAttributes(
        _ request: OpaquePointer, _ buffer: UnsafeMutableRawPointer, _ capacity: Int, _ used: Int,
        _ name: UnsafeRawPointer, _ nameLength: Int, _ inode: InodeNumber, _ kind: FileKind,
        _ nextCookie: UInt64, _ attributes: FileAttributes?
    ) -> Int {
        guard let attributes, !isDots(name, nameLength) else {
            return ashlar_fuse_append_entry_plus(
                request, buffer, capacity, used, name, nameLength, inode, kind.rawValue,
                nextCookie, nil)
        }
        var entry = AshlarFuseAttributes(attributes)
        return ashlar_fuse_append_entry_plus(
            request, buffer, capacity, used, name, nameLength, inode, kind.rawValue, nextCookie,
            &entry)
    }

    /// The volume counts no lookup for `.` and `..`, so neither may the reply.
    private static func isDots(_ name: UnsafeRawPointer, _ length: Int) -> Bool {
        let bytes = UnsafeRawBufferPointer(start: name, count: length)
        return length <= 2 && bytes.allSatisfy { $0 == UInt8(ascii: ".") }
    }

    private func forgetEntries(in buffer: UnsafeRawPointer, length: Int) {
        var position = 0
        while position < length {
            let inode = ashlar_fuse_next_counted_inode(buffer, &position)
            if inode != 0 { filesystem.forget(inode, count: 1) }
        }
    }
}
