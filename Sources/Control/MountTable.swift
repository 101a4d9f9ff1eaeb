// What is mounted where: /proc/self/mountinfo (proc_pid_mountinfo(5)).
//
// Nothing here touches a mountpoint itself: a dead one answers every question with ENOTCONN, one
// whose daemon hangs not at all.
import Glibc
import Platform

/// One mounted volume of ours.
public struct MountedVolume: Equatable, Sendable {
    /// An absolute path, with its escapes undone.
    public var mountpoint: String
    /// The store's path: the first column of /proc/mounts.
    public var source: String
    /// Of the mount, as in mountinfo: `ro`, `noatime`, ….
    public var options: [String]
    /// The kernel's number of this mount.
    public var mountID: UInt64
}

/// The mounts of this process's namespace that are ours.
public struct MountTable: Equatable, Sendable {
    /// The type under which volumes are mounted.
    public static let filesystemType = "fuse.ashlar"
    /// More than any table that a kernel allows by default (100,000 mounts).
    static let tableBytesMax = 64 << 20

    /// In the order of mounting: a later one hides an earlier one at the same place.
    public var volumes: [MountedVolume]

    /// As it is now.
    public static func current() throws(ControlError) -> MountTable {
        do throws(Errno) {
            return MountTable(
                text: try readSmallFile("/proc/self/mountinfo", limitBytes: tableBytesMax))
        } catch {
            throw .system(call: "mountinfo", code: error.rawValue)
        }
    }

    /// From the file's text.
    public init(text: [UInt8]) {
        volumes = text.split(separator: 0x0a).compactMap { Self.volume($0) }
    }

    /// The volume that is seen at `path`, which may be relative, and whose last part may be dead.
    public func mount(at path: String) -> MountedVolume? {
        let wanted = [Self.resolvedButLast(path), Self.realPath(path)].compactMap { $0 }
        return volumes.last { wanted.contains($0.mountpoint) }
    }

    /// The volumes of the store at `path`.
    public func volumes(ofStore path: String) -> [MountedVolume] {
        volumes.filter { $0.source == path }
    }

    /// 36 35 98:0 /root /mountpoint rw,noatime master:1 … - type source superoptions
    private static func volume(_ line: ArraySlice<UInt8>) -> MountedVolume? {
        let columns = line.split(separator: 0x20)
        guard let dash = columns.firstIndex(where: { $0.elementsEqual([0x2d]) }), dash >= 6,
            columns.count > dash + 2, let number = UInt64(words(columns[0])),
            words(columns[dash + 1]) == filesystemType
        else { return nil }
        return MountedVolume(
            mountpoint: words(columns[4]), source: words(columns[dash + 2]),
            options: words(columns[5]).split(separator: ",").map(String.init), mountID: number)
    }

    /// Octal escapes (`\040` for a space) undone.
    static func words(_ bytes: ArraySlice<UInt8>) -> String {
        var result: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            guard byte == 0x5c, digits.count == 3, digits.allSatisfy({ (0x30...0x37).contains($0) })
            else {
                result.append(byte)
                continue
            }
            let value = digits.reduce(0) { $0 * 8 + Int($1 - 0x30) }
            result.append(UInt8(truncatingIfNeeded: value))
            rest = rest.dropFirst(3)
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// realpath(3); nil where it fails.
    public static func realPath(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }

    /// realpath(3) of all but the last part, so that the mountpoint itself is not asked.
    static func resolvedButLast(_ path: String) -> String? {
        let parts = path.split(separator: "/")
        guard let last = parts.last, last != ".", last != ".." else { return nil }
        let folder = parts.dropLast().joined(separator: "/")
        let start = path.hasPrefix("/") ? "/\(folder)" : (folder.isEmpty ? "." : folder)
        guard let real = realPath(start) else { return nil }
        return real == "/" ? "/\(last)" : "\(real)/\(last)"
    }
}
