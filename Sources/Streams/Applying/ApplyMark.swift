import DiskFormat
import Platform

/// A file in a directory to which a difference is being applied: its name, and which difference. What
/// an interrupted run leaves tells the next one what it may find. One thread.
struct ApplyMark {
    static let name = Array(".ashlar-apply-running".utf8)

    private let root: OpenDirectory
    private let content: [UInt8]

    /// - Parameter id: of the difference: no two have the same.
    init(_ root: OpenDirectory, of id: UniqueID) {
        self.root = root
        content = Array("\(id)\n".utf8)
    }

    private func run<Result>(
        _ call: String, _ body: () throws(Errno) -> Result
    ) throws(ApplyError) -> Result {
        do throws(Errno) {
            return try body()
        } catch {
            throw .system(path: Self.name, call: call, error)
        }
    }

    /// Whether a run of this difference was interrupted.
    ///
    /// - Throws: `isOther` where one of another difference was.
    func isThere() throws(ApplyError) -> Bool {
        let file: Descriptor
        do throws(Errno) {
            file = try root.file(Self.name)
        } catch .noSuchFileOrDirectory {
            return false
        } catch {
            throw .system(path: Self.name, call: "open", error)
        }
        defer { _ = try? LinuxSystemCalls().close(file) }
        var bytes = [UInt8](repeating: 0, count: content.count + 1)
        let count = try run("read") { () throws(Errno) in
            try bytes.filling { (buffer) throws(Errno) in
                try LinuxSystemCalls().read(file, into: buffer, at: 0)
            }
        }
        // One that was never written is of a run that has changed nothing.
        if count == 0 { return false }
        guard Array(bytes[..<count]) == content else {
            throw .isOther(
                path: Self.name, what: "another difference was applied in part: finish that first")
        }
        return true
    }

    /// Is durable before anything is changed.
    func set() throws(ApplyError) {
        if try isThere() { return }
        try remove()
        let file = try run("make") { () throws(Errno) in try root.createFile(Self.name) }
        let calls = LinuxSystemCalls()
        defer { _ = try? calls.close(file) }
        try run("write") { () throws(Errno) in
            try calls.writeAll(file, content, at: 0)
            try calls.synchronize(file)
            try calls.synchronize(root.descriptor)
        }
    }

    func remove() throws(ApplyError) {
        do throws(Errno) {
            try root.remove(Self.name, isDirectory: false)
        } catch .noSuchFileOrDirectory {
        } catch {
            throw .system(path: Self.name, call: "remove", error)
        }
    }
}
