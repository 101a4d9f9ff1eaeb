// A directory of the machine for what inputs make there.
import Glibc
import Platform

/// Made with a name of its own, in memory where there is such a place. One thread.
struct ScratchDirectory {
    let path: String
    let directory: OpenDirectory

    init() throws {
        let inMemory = try? ScratchDirectory(in: "/dev/shm")
        if let inMemory {
            if inMemory.hasAttributes {
                self = inMemory
                return
            }
            inMemory.remove()
        }
        try self.init(in: "/tmp")
    }

    private init(in parent: String) throws {
        path = parent + "/ashlar-fuzz-" + String(randomUInt64(), radix: 16)
        guard mkdir(path, 0o700) == 0 else { throw Errno(rawValue: errno) }
        directory = try OpenDirectory(path: path)
    }

    /// Whether files may have extended attributes, which older kernels do not keep in memory.
    private var hasAttributes: Bool {
        let name = Array("probe".utf8)
        guard let file = try? directory.createFile(name) else { return false }
        defer {
            _ = try? LinuxSystemCalls().close(file)
            _ = try? directory.remove(name, isDirectory: false)
        }
        return (try? directory.setAttribute(name, Array("user.probe".utf8), [1])) != nil
    }

    /// A file that goes with its descriptor.
    func unnamedFile() throws -> Descriptor {
        let name = Array("file".utf8)
        let file = try directory.createFile(name)
        try directory.remove(name, isDirectory: false)
        return file
    }

    /// An empty directory, which is there until `clear`.
    func make(_ name: String) throws -> OpenDirectory {
        try directory.makeDirectory(Array(name.utf8))
        return try directory.directory(Array(name.utf8))
    }

    /// Removes everything in it.
    func clear() { ScratchDirectory.clear(directory) }

    func remove() {
        clear()
        rmdir(path)
    }

    private static func clear(_ directory: OpenDirectory) {
        guard let names = try? directory.names() else { return }
        for index in 0..<names.count {
            let name = names[index]
            if (try? directory.remove(name, isDirectory: false)) != nil { continue }
            if let inner = try? directory.directory(name) { clear(inner) }
            _ = try? directory.remove(name, isDirectory: true)
        }
    }
}
