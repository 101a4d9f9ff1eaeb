import CGnu
import Foundation

/// Files and folders.
enum Files {
    static func exists(_ path: String) -> Bool {
        access(path, F_OK) == 0
    }

    static func makeFolder(_ path: String) throws(BenchmarkError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
        } catch {
            throw .system(call: "mkdir", path: path, errno: errno)
        }
    }

    /// Names in a folder, sorted; none where it does not exist.
    static func names(in folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }

    /// fsync of a file or folder.
    static func synchronize(_ path: String) throws(BenchmarkError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(call: "open", path: path, errno: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw .system(call: "fsync", path: path, errno: errno)
        }
    }

    /// syncfs of the filesystem that holds a path.
    static func synchronizeFilesystem(_ path: String) throws(BenchmarkError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(call: "open", path: path, errno: errno) }
        defer { close(descriptor) }
        guard gnu_syncfs(descriptor) == 0 else {
            throw .system(call: "syncfs", path: path, errno: errno)
        }
    }

    /// Allocated bytes of all files and folders below a path, itself included; hard links count once.
    static func allocatedBytes(below path: String) throws(BenchmarkError) -> UInt64 {
        let output = try Command("du", "-s", "-B1", path).run().output
        guard let word = output.split(whereSeparator: \.isWhitespace).first,
            let bytes = UInt64(word)
        else { throw .missing("du said nothing of \(path)") }
        return bytes
    }

    /// Sizes of all files below a path, in bytes.
    static func apparentBytes(below path: String) throws(BenchmarkError) -> UInt64 {
        let output = try Command("du", "-s", "-B1", "--apparent-size", path).run().output
        guard let word = output.split(whereSeparator: \.isWhitespace).first,
            let bytes = UInt64(word)
        else { throw .missing("du said nothing of \(path)") }
        return bytes
    }

    /// Used bytes of the filesystem mounted at a path.
    static func usedBytes(ofFilesystem path: String) throws(BenchmarkError) -> UInt64 {
        var answer = statvfs()
        guard statvfs(path, &answer) == 0 else {
            throw .system(call: "statvfs", path: path, errno: errno)
        }
        return (UInt64(answer.f_blocks) - UInt64(answer.f_bfree)) * UInt64(answer.f_frsize)
    }

    /// Reads all files below a path, so that the kernel has them in memory.
    static func warm(_ path: String) throws(BenchmarkError) {
        try Command.shell("tar -C \"$1\" -c . | cat > /dev/null", path).run()
    }
}
