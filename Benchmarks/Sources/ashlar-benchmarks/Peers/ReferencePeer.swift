import Foundation

/// Not a filesystem: one C process that reads the same files, cuts them by content, hashes each
/// piece and compresses them in frames of 1 MiB with zstd 1. What any such store must at least do.
final class ReferencePeer: Peer {
    let name = BenchmarkName.reference
    let packages = ["gcc", "libzstd-dev", "libssl-dev"]
    private let source: String
    private let tools: String

    /// - Parameters:
    ///   - sources: the package's folder `Reference`.
    ///   - tools: a folder for the compiled program.
    init(sources: String, tools: String) {
        source = sources + "/reference.c"
        self.tools = tools
    }

    private var program: String { tools + "/reference" }

    var missing: String? {
        if !Files.exists(source) { return "no \(source)" }
        return Self.missing("cc", package: "gcc")
    }

    var version: String { "cut + SHA-256 + zstd 1, C, one thread" }

    func start() throws(BenchmarkError) {
        try Files.makeFolder(tools)
        try Command("cc", "-O2", "-o", program, source, "-lzstd", "-lcrypto").run()
    }

    /// User and system time of the process over all files of a tree.
    func processorSeconds(of tree: String) throws(BenchmarkError) -> Double {
        try Files.warm(tree)
        return try Command(program, tree).run().processorSeconds
    }

    func storedBytes() throws(BenchmarkError) -> UInt64 {
        throw .missing("the reference stores nothing")
    }

    func stop() {}
}
