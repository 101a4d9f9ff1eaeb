import Foundation

/// Untarring the kernel's source; walking it; git status; removing it.
enum Source {
    static func run(
        _ setting: Work.Setting, _ peer: any Peer
    ) throws(BenchmarkError) -> [String: Double] {
        guard let tar = setting.corpus.sourceTar else { throw .missing("no linux-source") }
        let peer = try Trees.mounted(peer)
        try Command.shell("cat \"$1\" > /dev/null", tar).run()
        let tree = peer.mountpoint + "/source"
        var values: [String: Double] = [:]
        values["untar"] = try timed(peer) { () throws(BenchmarkError) in
            try Command.shell(
                "mkdir \"$1\"; tar -xf \"$2\" -C \"$1\" --strip-components=1", tree, tar
            ).run()
        }
        values["find"] = try Command.shell("find \"$1\" -ls > /dev/null", tree).run().seconds
        if let git = setting.corpus.sourceGit {
            values["git-status"] = try gitStatus(tree, git, scratch: setting.scratch)
        }
        values["remove"] = try timed(peer) { () throws(BenchmarkError) in
            try Command("rm", "-rf", tree).run()
        }
        return values
    }

    /// The second status: the first one reads every file, since it has not seen these inodes.
    private static func gitStatus(
        _ tree: String, _ git: String, scratch: String
    ) throws(BenchmarkError) -> Double {
        let index = scratch + "/git-index"
        unlink(index)
        try Command("cp", git + "/index", index).run()
        defer { unlink(index) }
        let status = Command("git", "status", "--short", "--untracked-files=all").at(tree).with(
            environment: ["GIT_DIR": git, "GIT_WORK_TREE": tree, "GIT_INDEX_FILE": index])
        let outcome = try status.run()
        guard outcome.output.isEmpty else {
            throw .missing("git finds differences: \(outcome.output.prefix(200))")
        }
        return try status.run().seconds
    }

    /// Seconds that something takes until it is durable.
    private static func timed(
        _ peer: any FilesystemPeer, _ body: () throws(BenchmarkError) -> Void
    ) throws(BenchmarkError) -> Double {
        let began = Clock.seconds
        try body()
        try peer.makeDurable()
        return Clock.seconds - began
    }
}
