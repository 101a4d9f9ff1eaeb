import EndToEndSupport
import Foundation

/// A directory with one file of each kind:
///
///     file (7 bytes, 0644)   second (another name of it)   other (5 bytes)   program (0755)
///     dir/inside   dir/sub/   empty/   locked/inside (0700)   public/ (0777)
///     link -> file   link-to-dir -> dir   dangling -> missing   loop -> loop   fifo   socket
struct Box: Sendable {
    let ground: Ground
    let path: String

    static let names = [
        "file", "second", "other", "program", "dir", "dir/inside", "dir/sub", "empty", "locked",
        "locked/inside", "public", "link", "link-to-dir", "dangling", "loop", "fifo", "socket",
    ]

    /// - Parameter foldersOnly: makes nothing but dir/inside, dir/sub, empty and public, for tables
    ///   with a thousand rows.
    init(ground: Ground, path: String, foldersOnly: Bool = false) throws {
        self.ground = ground
        self.path = path
        for name in ["", "/dir", "/dir/sub", "/empty"] {
            try System.check(mkdir(path + name, 0o755))
        }
        try System.check(mkdir(path + "/public", 0o777))
        try System.check(chmod(path + "/public", 0o777))
        try System.writeFile(path + "/dir/inside", [1])
        if foldersOnly { return }
        try System.check(mkdir(path + "/locked", 0o700))
        try System.writeFile(path + "/file", Array("content".utf8))
        try System.check(Glibc.link(path + "/file", path + "/second"))
        try System.writeFile(path + "/other", Array("other".utf8))
        try System.writeFile(path + "/program", [])
        try System.check(chmod(path + "/program", 0o755))
        try System.writeFile(path + "/locked/inside", [2])
        let links = ["link": "file", "link-to-dir": "dir", "dangling": "missing", "loop": "loop"]
        for (name, target) in links {
            try System.check(symlink(target, path + "/" + name))
        }
        try System.check(mkfifo(path + "/fifo", 0o644))
        try System.check(mknod(path + "/socket", S_IFSOCK | 0o644, 0))
    }

    static func / (box: Box, name: String) -> String { box.path + "/" + name }

    /// All that lstat(2) tells of the box, but for access times.
    func snapshot() throws -> [String] {
        ["."].appending(Box.names).map { name in
            guard let status = try? System.status(self / name) else { return "\(name) is gone" }
            return "\(name) \(status.st_ino) \(String(status.st_mode, radix: 8)) "
                + "\(status.st_uid):\(status.st_gid) links \(status.st_nlink) "
                + "size \(status.st_size) "
                + "\(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec) "
                + "\(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)"
        }
    }

    /// Gives a name to a user.
    func give(_ name: String, to identity: Identity, mode: mode_t? = nil) throws(SystemError) {
        try System.check(lchown(self / name, identity.user, identity.group))
        if let mode { try System.check(chmod(self / name, mode)) }
    }

    func status(_ name: String) throws(SystemError) -> stat { try System.status(self / name) }

    func exists(_ name: String) -> Bool { (try? System.status(self / name)) != nil }

    /// The permission bits with setuid, setgid and sticky.
    func mode(_ name: String) throws(SystemError) -> mode_t {
        try System.status(self / name).st_mode & 0o7777
    }
}

extension Array {
    func appending(_ more: [Element]) -> [Element] { self + more }
}
