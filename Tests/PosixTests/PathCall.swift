import EndToEndSupport
import Foundation

/// A call that takes a path, as it is tried on paths of all kinds.
struct PathCall: Sendable {
    let name: String
    /// Whether a symbolic link in the last place is followed.
    let followsLink: Bool
    /// Makes the call on a whole path; the box is there for a second one.
    let call: @Sendable (Box, String) -> Int

    init<Result: SignedInteger & Sendable>(
        _ name: String, followsLink: Bool = true,
        _ call: @escaping @Sendable (Box, String) -> Result
    ) {
        self.name = name
        self.followsLink = followsLink
        self.call = { Int(call($0, $1)) }
    }

    /// Calls on what exists.
    static let ofExisting: [PathCall] = [
        PathCall("open") { closing(open($1, O_RDONLY | O_NONBLOCK)) },
        PathCall("open for writing") { closing(open($1, O_WRONLY | O_NONBLOCK)) },
        PathCall("open to truncate") { closing(open($1, O_WRONLY | O_NONBLOCK | O_TRUNC)) },
        PathCall("opendir") { (_, path) -> Int in
            guard let directory = opendir(path) else { return -1 }
            return Int(closedir(directory))
        },
        PathCall("stat") { (_, path) -> Int32 in
            var status = Glibc.stat()
            return stat(path, &status)
        },
        PathCall("lstat", followsLink: false) { (_, path) -> Int32 in
            var status = Glibc.stat()
            return lstat(path, &status)
        },
        PathCall("statvfs") { (_, path) -> Int32 in
            var status = Glibc.statvfs()
            return statvfs(path, &status)
        },
        PathCall("access") { access($1, R_OK) },
        PathCall("chmod") { chmod($1, 0o644) },
        PathCall("chown") { chown($1, 0, 0) },
        PathCall("lchown", followsLink: false) { lchown($1, 0, 0) },
        PathCall("truncate") { truncate($1, 0) },
        PathCall("utimensat") { utimensat(AT_FDCWD, $1, nil, 0) },
        PathCall("utimensat of links", followsLink: false) {
            utimensat(AT_FDCWD, $1, nil, AT_SYMLINK_NOFOLLOW)
        },
        PathCall("getxattr of links", followsLink: false) { (_, path) -> Int in
            returning { () throws(SystemError) in _ = try System.attributes(path) }
        },
        PathCall("setxattr of links", followsLink: false) { (_, path) -> Int in
            returning { () throws(SystemError) in
                try System.setAttribute(path, "trusted.x", [1])
            }
        },
        PathCall("unlink", followsLink: false) { unlink($1) },
        PathCall("rmdir", followsLink: false) { rmdir($1) },
        PathCall("readlink", followsLink: false) { (_, path) -> Int in
            returning { () throws(SystemError) in _ = try System.readLink(path) }
        },
        PathCall("link from", followsLink: false) { link($1, $0 / "new") },
        PathCall("rename from", followsLink: false) { rename($1, $0 / "new") },
    ]

    /// Calls that make a name.
    static let making: [PathCall] = [
        PathCall("create", followsLink: false) {
            closing(open($1, O_RDWR | O_CREAT | O_EXCL, 0o644))
        },
        PathCall("mkdir", followsLink: false) { mkdir($1, 0o755) },
        PathCall("mkfifo", followsLink: false) { mkfifo($1, 0o644) },
        PathCall("mknod", followsLink: false) { mknod($1, S_IFCHR | 0o644, 0x103) },
        PathCall("symlink", followsLink: false) { symlink("target", $1) },
        PathCall("link to", followsLink: false) { link($0 / "other", $1) },
        PathCall("rename to", followsLink: false) { rename($0 / "other", $1) },
    ]

    /// Closes what a call has opened; its result.
    static func closing(_ file: Int32) -> Int32 {
        file < 0 ? -1 : close(file)
    }
}

/// A body that throws, as a call that returns -1 and sets errno.
func returning(_ body: () throws(SystemError) -> Void) -> Int {
    do throws(SystemError) {
        try body()
        return 0
    } catch {
        errno = error.code
        return -1
    }
}
