// Everything about an inode but its content, made what the source has.
import CLinux
import DiskFormat
import Glibc
import Platform

/// Sets owner, attributes, mode and times of an inode of the destination, in the order in which none
/// undoes another: changing the owner ends setuid and capabilities, an access list changes the mode,
/// and all of them the times. What is right already is not set, so that its ctime stays.
struct AttributeWriter {
    let isPrivileged: Bool
    private static let listBytesMax = 64 << 10
    private static let valueBytesMax = 64 << 10

    /// What is to be on the inode.
    struct Wanted {
        var image: InodeImage
        var attributes: AttributeSet
    }

    /// What was done.
    struct Outcome {
        var hasChanged = false
        /// Whether the owner is not the source's, since only root may set it.
        var hasOtherOwner = false
    }

    /// - Parameters:
    ///   - file: of any kind; a descriptor without the right to its bytes is enough.
    ///   - withTimes: otherwise its times stay.
    /// - Throws: the first that failed; the others were tried.
    func apply(
        _ wanted: Wanted, to file: OpenFile, withTimes: Bool = true
    ) throws(RestoreError) -> Outcome {
        var outcome = Outcome()
        var failure: RestoreError?
        func attempt(_ body: () throws(RestoreError) -> Bool) {
            do throws(RestoreError) {
                if try body() { outcome.hasChanged = true }
            } catch {
                failure = failure ?? error
            }
        }
        attempt { () throws(RestoreError) in
            try setOwner(wanted.image, file, &outcome.hasOtherOwner)
        }
        attempt { () throws(RestoreError) in try setAttributes(wanted, file) }
        attempt { () throws(RestoreError) in
            try setMode(wanted.image, file, isOwned: !outcome.hasOtherOwner)
        }
        let hasChanged = outcome.hasChanged
        if withTimes {
            attempt { () throws(RestoreError) in try setTimes(wanted.image, file, hasChanged) }
        }
        if let failure { throw failure }
        return outcome
    }

    /// Whether anything would be done; nothing is.
    func differs(_ wanted: Wanted, from file: OpenFile) throws(RestoreError) -> Bool {
        let status = try file.status()
        let image = wanted.image
        if isPrivileged, status.st_uid != image.owner || status.st_gid != image.group {
            return true
        }
        let hasMode = status.st_mode & 0o7777 == mode(image, isOwned(status, image))
        if !image.isSymbolicLink, !hasMode { return true }
        if try !changes(wanted, file).isEmpty { return true }
        return !Self.hasTime(status, image)
    }

    // MARK: owner and mode

    private func isOwned(_ status: stat, _ image: InodeImage) -> Bool {
        status.st_uid == image.owner && status.st_gid == image.group
    }

    private func setOwner(
        _ image: InodeImage, _ file: OpenFile, _ isOther: inout Bool
    ) throws(RestoreError) -> Bool {
        if isOwned(try file.status(), image) { return false }
        guard isPrivileged else {
            isOther = true
            return false
        }
        isOther = true
        try Calls.check(chown(file.path, image.owner, image.group), "chown")
        isOther = false
        return true
    }

    private func mode(_ image: InodeImage, _ isOwned: Bool) -> mode_t {
        let privileges: UInt32 = isOwned ? 0 : 0o6000
        return mode_t(image.mode & 0o7777 & ~privileges)
    }

    private func setMode(
        _ image: InodeImage, _ file: OpenFile, isOwned: Bool
    ) throws(RestoreError) -> Bool {
        // A symbolic link has none that means anything.
        if image.isSymbolicLink { return false }
        let wanted = mode(image, isOwned)
        if try file.status().st_mode & 0o7777 == wanted { return false }
        try Calls.check(chmod(file.path, wanted), "chmod")
        return true
    }

    // MARK: times

    static func hasTime(_ status: stat, _ image: InodeImage) -> Bool {
        Int64(status.st_mtim.tv_sec) == image.modificationTime.seconds
            && status.st_mtim.tv_nsec == Int(image.modificationTime.nanoseconds)
    }

    private func setTimes(
        _ image: InodeImage, _ file: OpenFile, _ isWanted: Bool
    ) throws(RestoreError) -> Bool {
        let status = try file.status()
        if !isWanted, Self.hasTime(status, image) { return false }
        try setTimes(image, file)
        return true
    }

    func setTimes(_ image: InodeImage, _ file: OpenFile) throws(RestoreError) {
        func moment(_ time: DiskTime) -> timespec {
            timespec(tv_sec: Int(time.seconds), tv_nsec: Int(time.nanoseconds))
        }
        let times = [moment(image.accessTime), moment(image.modificationTime)]
        try Calls.check(utimensat(AT_FDCWD, file.path, times, 0), "utimensat")
    }

    // MARK: extended attributes

    private enum Change {
        case set([UInt8], [UInt8])
        case remove([UInt8])
    }

    /// What only root may set is not tried by others.
    private func isSettable(_ name: [UInt8]) -> Bool {
        isPrivileged || name.starts(with: Array("user.".utf8)) || Self.isAccessList(name)
    }

    /// What a file gets by being made in this directory, or by somebody's wish; not what the system
    /// keeps in attributes of its own.
    private func isRemovable(_ name: [UInt8]) -> Bool {
        name.starts(with: Array("user.".utf8)) || Self.isAccessList(name)
    }

    private static func isAccessList(_ name: [UInt8]) -> Bool {
        name.starts(with: Array("system.posix_acl_".utf8))
    }

    private func changes(
        _ wanted: Wanted, _ file: OpenFile
    ) throws(RestoreError) -> [Change] {
        let present = try Self.names(file)
        var changes: [Change] = []
        for name in present
        where isRemovable(name) && wanted.attributes[name] == nil {
            changes.append(.remove(name))
        }
        for attribute in wanted.attributes.attributes where isSettable(attribute.name) {
            if present.contains(attribute.name),
                try Self.value(attribute.name, file) == attribute.value
            {
                continue
            }
            changes.append(.set(attribute.name, attribute.value))
        }
        return changes
    }

    private func setAttributes(
        _ wanted: Wanted, _ file: OpenFile
    ) throws(RestoreError) -> Bool {
        let changes = try changes(wanted, file)
        for change in changes {
            switch change {
            case .set(let name, let value):
                let result = Calls.withName(name) {
                    ashlar_set_attribute(file.path, $0, value, value.count)
                }
                try Calls.check(result, "setxattr")
            case .remove(let name):
                try Calls.check(
                    Calls.withName(name) { ashlar_remove_attribute(file.path, $0) }, "removexattr")
            }
        }
        return !changes.isEmpty
    }

    private static func names(_ file: OpenFile) throws(RestoreError) -> [[UInt8]] {
        var bytes = [CChar](repeating: 0, count: listBytesMax)
        let count = ashlar_list_attributes(file.path, &bytes, bytes.count)
        if count < 0 {
            // No attributes on such a filesystem, or on such a file.
            if errno == EOPNOTSUPP || errno == EPERM { return [] }
            throw .system(Errno(rawValue: errno), call: "listxattr")
        }
        return bytes.prefix(count).split(separator: 0).map { $0.map(UInt8.init(bitPattern:)) }
    }

    private static func value(_ name: [UInt8], _ file: OpenFile) throws(RestoreError) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: valueBytesMax)
        let count = Calls.withName(name) {
            ashlar_get_attribute(file.path, $0, &bytes, bytes.count)
        }
        return count < 0 ? nil : Array(bytes.prefix(count))
    }
}

extension InodeImage {
    var isDirectory: Bool { mode >> 12 == 4 }
    var isRegular: Bool { mode >> 12 == 8 }
    var isSymbolicLink: Bool { mode >> 12 == 10 }
}
