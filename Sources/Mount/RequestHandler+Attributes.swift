import CFuseShim
import FileModel

/// Attributes, plain and extended, and the volume's usage.
extension RequestHandler {
    func attributes(_ request: OpaquePointer, of inode: InodeNumber) {
        answerAttributes(request) { () throws(FileError) in
            try filesystem.attributes(of: inode)
        }
    }

    /// Where the kernel only makes sure of what it knows (it may ask for no change at all), nothing
    /// is set.
    func setAttributes(
        _ request: OpaquePointer, of inode: InodeNumber, _ change: AttributeChange, caller: Caller
    ) {
        answerAttributes(request) { () throws(FileError) in
            if change.isEmpty { return try filesystem.attributes(of: inode) }
            return try filesystem.setAttributes(of: inode, change, caller: caller)
        }
    }

    func usage(_ request: OpaquePointer) {
        do throws(FileError) {
            var usage = AshlarFuseUsage(try filesystem.usage())
            _ = ashlar_fuse_reply_usage(request, &usage)
        } catch {
            fail(request, error)
        }
    }

    func setExtendedAttribute(
        _ request: OpaquePointer, _ name: UnsafeRawBufferPointer, of inode: InodeNumber,
        to value: UnsafeRawBufferPointer, flags: UInt32, clearsSetGroup: Bool
    ) {
        let mode: AttributeWrite
        switch flags {  // XATTR_CREATE is 1, XATTR_REPLACE 2
        case 0: mode = .createOrReplace
        case 1: mode = .createOnly
        case 2: mode = .replaceOnly
        default: return fail(request, .invalid)
        }
        answer(request) { () throws(FileError) in
            try checkSupport(ofAttribute: name)
            try filesystem.setExtendedAttribute(
                name, of: inode, to: value, mode, clearsSetGroup: clearsSetGroup)
        }
    }

    func extendedAttribute(
        _ request: OpaquePointer, _ name: UnsafeRawBufferPointer, of inode: InodeNumber,
        capacity: Int
    ) {
        replyAttributeBytes(request, capacity: capacity) { () throws(FileError) in
            try checkSupport(ofAttribute: name)
            return try filesystem.extendedAttribute(name, of: inode)
        }
    }

    /// The kernel keeps values in the `trusted` namespace from users, and leaves it to filesystems
    /// to keep the names from them (xattr(7)).
    func extendedAttributeNames(
        _ request: OpaquePointer, of inode: InodeNumber, capacity: Int, caller: Caller
    ) {
        replyAttributeBytes(request, capacity: capacity) { () throws(FileError) in
            let names = try filesystem.extendedAttributeNames(of: inode)
            guard caller.user != 0 else { return names }
            return names.split(separator: 0).filter { !$0.starts(with: "trusted.".utf8) }
                .flatMap { $0 + [0] }
        }
    }

    func removeExtendedAttribute(
        _ request: OpaquePointer, _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) {
        answer(request) { () throws(FileError) in
            try checkSupport(ofAttribute: name)
            try filesystem.removeExtendedAttribute(name, of: inode)
        }
    }

    /// A caller with no room asks for the length; one with too little is told so (ERANGE).
    private func replyAttributeBytes(
        _ request: OpaquePointer, capacity: Int, _ body: () throws(FileError) -> [UInt8]
    ) {
        do throws(FileError) {
            let bytes = try body()
            if capacity == 0 {
                _ = ashlar_fuse_reply_attribute_length(request, UInt32(clamping: bytes.count))
            } else if bytes.count > capacity {
                fail(request, .rangeTooSmall)
            } else {
                reply(request, bytes: bytes)
            }
        } catch {
            fail(request, error)
        }
    }
}
