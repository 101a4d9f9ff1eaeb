// POSIX access control lists, as far as a filesystem has to know them: inherited when a file is
// made, and kept in step with the mode. (POSIX.1e draft 17, sections 23.1.2 and 23.1.5; acl(5).)
import DiskFormat
import FileModel

/// An access control list in the form of the attributes `system.posix_acl_access` and
/// `system.posix_acl_default`.
///
///     version u32 = 2 · (tag u16 · permissions u16 · id u32) each
struct AccessList: Equatable {
    struct Entry: Equatable {
        var tag: UInt16
        var permissions: UInt16
        var id: UInt32
    }

    enum Tag {
        static let owner: UInt16 = 0x01
        static let user: UInt16 = 0x02
        static let owningGroup: UInt16 = 0x04
        static let group: UInt16 = 0x08
        static let mask: UInt16 = 0x10
        static let other: UInt16 = 0x20
    }

    static let accessName = Array("system.posix_acl_access".utf8)
    static let defaultName = Array("system.posix_acl_default".utf8)
    static func isName(_ name: [UInt8]) -> Bool { name == accessName || name == defaultName }

    private static let version: UInt32 = 2
    private static let noID = UInt32.max

    var entries: [Entry]

    /// nil where the bytes are no list that the kernel would take.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 4, (bytes.count - 4) % 8 == 0 else { return nil }
        var entries: [Entry] = []
        let version = bytes.withUnsafeBytes { raw -> UInt32 in
            for start in stride(from: 4, to: raw.count, by: 8) {
                entries.append(
                    Entry(
                        tag: UInt16(
                            littleEndian: raw.loadUnaligned(
                                fromByteOffset: start, as: UInt16.self)),
                        permissions: UInt16(
                            littleEndian: raw.loadUnaligned(
                                fromByteOffset: start + 2, as: UInt16.self)),
                        id: UInt32(
                            littleEndian: raw.loadUnaligned(
                                fromByteOffset: start + 4, as: UInt32.self))))
            }
            return UInt32(littleEndian: raw.loadUnaligned(as: UInt32.self))
        }
        guard version == AccessList.version else { return nil }
        self.entries = entries
        for tag in [Tag.owner, Tag.owningGroup, Tag.other] {
            guard entries.filter({ $0.tag == tag }).count == 1 else { return nil }
        }
        guard entries.allSatisfy({ $0.permissions <= 7 }) else { return nil }
    }

    var encoded: [UInt8] {
        var writer = ByteWriter(reservingBytes: 4 + 8 * entries.count)
        writer.u32(AccessList.version)
        for entry in entries {
            writer.u16(entry.tag)
            writer.u16(entry.permissions)
            writer.u32(entry.id)
        }
        return writer.bytes
    }

    private func first(_ tag: UInt16) -> Int? {
        entries.firstIndex { $0.tag == tag }
    }

    /// Whether the list says no more than nine permission bits.
    var isMinimal: Bool { entries.count == 3 }

    /// The nine bits that stat(2) shows with this list: the group's are the mask's, where there is
    /// one.
    var permissions: UInt32 {
        let group = first(Tag.mask) ?? first(Tag.owningGroup)
        let parts = [first(Tag.owner), group, first(Tag.other)]
        return parts.reduce(0) { bits, index in
            bits << 3 | UInt32(index.map { entries[$0].permissions } ?? 0)
        }
    }

    /// After chmod(2).
    mutating func setPermissions(_ bits: UInt32) {
        let group = first(Tag.mask) ?? first(Tag.owningGroup)
        for (index, shift) in [(first(Tag.owner), 6), (group, 3), (first(Tag.other), 0)] {
            if let index { entries[index].permissions = UInt16(bits >> UInt32(shift) & 7) }
        }
    }

    /// As the list of a new file whose maker asked for `bits`: takes away what was not asked for.
    mutating func restrict(to bits: UInt32) {
        setPermissions(permissions & bits)
    }
}

/// What a directory gives to what is made in it.
struct Inheritance {
    /// The directory's attributes that this was read from.
    var storage: AttributeStorage
    var defaultList: AccessList?

    struct Made {
        var permissions: UInt32
        var attributes: AttributeSet
    }

    /// Permissions and attributes of a new file. With a default list the umask does not count.
    ///
    /// Throws `noSpace` where the lists are longer than a file's attributes may be.
    func made(mode: UInt32, umask: UInt32) throws(FileError) -> Made {
        let kind = mode >> 12
        let asked = mode & 0o7777
        guard var list = defaultList, kind != 10 else {
            return Made(
                permissions: kind == 10 ? asked : asked & ~(umask & 0o777),
                attributes: AttributeSet())
        }
        let isDirectory = kind == 4
        var set = AttributeSet()
        if isDirectory { try set.put(AccessList.defaultName, list.encoded) }
        list.restrict(to: asked & 0o777)
        if !list.isMinimal { try set.put(AccessList.accessName, list.encoded) }
        let permissions = asked & ~0o777 | list.permissions
        return Made(permissions: permissions, attributes: set)
    }
}
