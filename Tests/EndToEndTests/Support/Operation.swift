import CLinux
import EndToEndSupport
import Foundation

/// One operation on a tree of a few names, the same on any filesystem, and what came of it.
struct Operation: CustomStringConvertible {
    /// What can be done. Numbers are offsets and lengths in bytes.
    enum Kind {
        case create(exclusive: Bool)
        case makeDirectory, removeDirectory, unlink, list, look, readAll
        case write(offset: Int, bytes: [UInt8], append: Bool)
        case mapped(offset: Int, bytes: [UInt8])
        case read(offset: Int, length: Int)
        case truncate(Int)
        case allocate(mode: Int32, offset: Int, length: Int)
        case rename(to: String, flags: UInt32)
        case link(to: String)
        case symlink(target: String)
        case copyRange(to: String, from: Int, at: Int, length: Int)
        case changeMode(mode_t)
        case setAttribute(String, [UInt8], flags: Int32)
        case attribute(String)
        case removeAttribute(String)
        case listAttributes
        case synchronize
        case makeSpecial(mode_t)
        case setTimes(Int)
    }

    var kind: Kind
    /// Below the top of the tree.
    var path: String

    var description: String {
        switch kind {
        case .write(let offset, let bytes, let append):
            "write \(path) \(append ? "appending" : "at \(offset)") \(bytes.count) bytes"
        case .mapped(let offset, let bytes): "mmap \(path) at \(offset) \(bytes.count) bytes"
        default: "\(kind) \(path)"
        }
    }

    /// The kind alone.
    var name: String { String("\(kind)".prefix { $0 != "(" }) }

    /// Whether all before it is durable when it succeeds.
    var synchronizes: Bool {
        if case .synchronize = kind { true } else { false }
    }

    /// Whether a tmpfs answers as it did in a way of its own.
    func mayDiffer(fromTmpfs expected: String) -> Bool {
        switch kind {
        // Modes of fallocate(2) that tmpfs has not.
        case .allocate(let mode, _, _): mode & ASHLAR_FALLOCATE_ZERO_RANGE != 0
        // User attributes came to tmpfs with Linux 6.6.
        case .setAttribute, .attribute, .removeAttribute, .listAttributes:
            expected == "errno \(SystemError(EOPNOTSUPP))"
        default: false
        }
    }

    /// Does it in the tree at `top`; everything that a program could see of it, or the errno.
    func perform(in top: String) -> String {
        do throws(SystemError) {
            return try result(top, top + "/" + path)
        } catch {
            return "errno \(error)"
        }
    }

    private func result(_ top: String, _ path: String) throws(SystemError) -> String {
        switch kind {
        case .create(let exclusive):
            let flags = O_RDWR | O_CREAT | (exclusive ? O_EXCL : 0)
            close(try System.open(path, flags))
        case .makeDirectory: try System.check(mkdir(path, 0o755))
        case .removeDirectory: try System.check(rmdir(path))
        case .unlink: try System.check(Glibc.unlink(path))
        case .list:
            return "\(try System.names(path).map { String(decoding: $0, as: UTF8.self) })"
        case .look: return try Operation.look(path)
        case .rename(let to, let flags):
            try System.rename(path, top + "/" + to, flags: flags)
        case .link(let to): try System.check(Glibc.link(path, top + "/" + to))
        case .symlink(let target): try System.check(Glibc.symlink(target, path))
        case .changeMode(let mode): try System.check(chmod(path, mode))
        case .makeSpecial(let mode): try System.check(mknod(path, mode, 0))
        case .setTimes(let seconds):
            let times = [timespec(tv_sec: seconds, tv_nsec: 5), timespec(tv_sec: 1, tv_nsec: 0)]
            try System.check(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW))
        case .setAttribute, .attribute, .removeAttribute, .listAttributes:
            return try attributes(path)
        default: return try content(top, path)
        }
        return "done"
    }

    private func attributes(_ path: String) throws(SystemError) -> String {
        switch kind {
        case .setAttribute(let name, let value, let flags):
            try System.setAttribute(path, name, value, flags: flags)
        case .attribute(let name): return "\(try System.attribute(path, name))"
        case .removeAttribute(let name): try System.removeAttribute(path, name)
        default: return "\(try System.attributes(path))"
        }
        return "done"
    }

    private func content(_ top: String, _ path: String) throws(SystemError) -> String {
        switch kind {
        case .write(let offset, let bytes, let append):
            try System.with(path, O_WRONLY | (append ? O_APPEND : 0)) {
                file throws(SystemError) in try System.write(file, bytes, at: offset)
            }
        case .mapped(let offset, let bytes): return try map(path, offset, bytes)
        case .read(let offset, let length):
            return try System.with(path, O_RDONLY) { file throws(SystemError) in
                digest(try System.read(file, length, at: offset))
            }
        case .readAll: return digest(try System.readFile(path))
        case .truncate(let length): try System.check(Glibc.truncate(path, off_t(length)))
        case .allocate(let mode, let offset, let length):
            try System.with(path, O_RDWR) { file throws(SystemError) in
                try System.allocate(file, mode, offset, length)
            }
        case .copyRange(let to, let from, let at, let length):
            let source = try System.open(path, O_RDONLY)
            defer { close(source) }
            return try System.with(top + "/" + to, O_WRONLY) { target throws(SystemError) in
                "\(try System.copyRange(source, from, target, at, length))"
            }
        case .synchronize:
            try System.with(path, O_RDONLY) { file throws(SystemError) in
                try System.check(fsync(file))
            }
        default: break
        }
        return "done"
    }

    /// Writes through a mapping, within the file's size.
    private func map(
        _ path: String, _ offset: Int, _ bytes: [UInt8]
    ) throws(SystemError) -> String {
        try System.with(path, O_RDWR) { file throws(SystemError) in
            var status = stat()
            try System.check(fstat(file, &status))
            let size = Int(status.st_size)
            guard size > 0, status.st_mode & S_IFMT == S_IFREG else { return "nothing to map" }
            let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
            guard let memory, memory != MAP_FAILED else { throw SystemError(errno) }
            defer { munmap(memory, size) }
            let mapped = UnsafeMutableRawBufferPointer(start: memory, count: size)
            let start = min(offset, size - 1)
            let count = min(bytes.count, size - start)
            mapped[start..<(start + count)].copyBytes(from: bytes[0..<count])
            return "mapped \(count)"
        }
    }

    /// Attributes that do not differ between filesystems.
    static func look(_ path: String) throws(SystemError) -> String {
        let status = try System.status(path)
        var words = "mode \(String(status.st_mode, radix: 8))"
        // Links and sizes of directories are the filesystem's own affair.
        if status.st_mode & S_IFMT != S_IFDIR {
            words += " links \(status.st_nlink) size \(status.st_size)"
        }
        if status.st_mode & S_IFMT == S_IFLNK { words += " to \(try System.readLink(path))" }
        return words
    }

    /// The length, and a hash that is the same within one run.
    private func digest(_ bytes: [UInt8]) -> String {
        var hasher = Hasher()
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        return "\(bytes.count) bytes, hash \(hasher.finalize())"
    }
}
