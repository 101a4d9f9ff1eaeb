/// Something that is measured: a filesystem, or a backup tool. One thread.
protocol Peer: AnyObject {
    /// Its name in tables.
    var name: String { get }
    /// What is missing to run it, in a sentence; nil if nothing is.
    var missing: String? { get }
    /// Its version, in a few words.
    var version: String { get }
    /// The Debian packages that have it.
    var packages: [String] { get }
    /// Begins anew on an empty disk.
    func start() throws(BenchmarkError)
    /// Leaves nothing: no mount, no process. Whatever `start` came to.
    func stop()
    /// Allocated bytes of what was stored since `start`; afterwards only `stop` may follow.
    func storedBytes() throws(BenchmarkError) -> UInt64
    /// Verifies every stored byte; returns the seconds it took. Afterwards only `stop` may follow.
    /// nil where it has no such command.
    func checkSeconds() throws(BenchmarkError) -> Double?
}

/// A peer with a mount.
protocol FilesystemPeer: Peer {
    /// Where it is mounted.
    var mountpoint: String { get }
    /// The process that serves it, where that is not the kernel.
    var daemon: Int32? { get }
    /// Makes all that was written durable.
    func makeDurable() throws(BenchmarkError)
    /// Unmounts and mounts anew, with no cache left.
    func restart() throws(BenchmarkError)
}

/// A peer that stores trees by a command, without a mount.
protocol BackupPeer: Peer {
    /// Stores a tree under a name; durable when it returns.
    func backUp(_ tree: String, as name: String) throws(BenchmarkError)
}

extension Peer {
    func checkSeconds() throws(BenchmarkError) -> Double? { nil }

    /// The last word of what a program says of its version.
    static func version(_ arguments: String...) -> String {
        let output = (try? Command(arguments).run())?.output ?? ""
        let line = output.split(separator: "\n").first.map(String.init) ?? ""
        let words = line.split(separator: " ").map(String.init)
        return words.first { $0.contains { $0.isNumber } } ?? line
    }

    /// The first of these programs that is not there, in a sentence.
    static func missing(_ programs: String..., package: String) -> String? {
        programs.first { Command.find($0) == nil }.map { "no program \($0) (package \(package))" }
    }
}
