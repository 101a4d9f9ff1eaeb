import Foundation

/// Copying a kernel image tree in, a similar one, the first again; reading it; copying it inside.
enum Trees {
    static func run(
        _ setting: Work.Setting, _ peer: any Peer
    ) throws(BenchmarkError) -> [String: Double] {
        guard let first = setting.corpus.images.first, let last = setting.corpus.images.last else {
            throw .missing("no kernel image trees")
        }
        if let reference = peer as? ReferencePeer {
            return ["cpu": try reference.processorSeconds(of: first)]
        }
        let peer = try mounted(peer)
        for tree in [first, last] { try Files.warm(tree) }
        var values: [String: Double] = [:]
        let before = peer.daemon.flatMap(Clock.processorSeconds)
        let new = try copy(first, to: "new", on: peer)
        values["copy-new"] = new.seconds
        if let before, let after = peer.daemon.flatMap(Clock.processorSeconds) {
            values["cpu"] = after - before + new.processorSeconds
        }
        if last != first {
            values["copy-similar"] = try copy(last, to: "similar", on: peer).seconds
        }
        values["copy-same"] = try copy(first, to: "same", on: peer).seconds
        try Files.warm(peer.mountpoint + "/new")
        values["read-warm"] = try read(peer.mountpoint + "/new")
        try peer.restart()
        values["read-cold"] = try read(peer.mountpoint + "/new")
        values["copy-inside"] = try copy(
            peer.mountpoint + "/new", to: "inside", on: peer
        ).seconds
        return values
    }

    /// Copies a tree in and makes it durable. The processor's time is the copying program's.
    static func copy(
        _ tree: String, to name: String, on peer: any FilesystemPeer
    ) throws(BenchmarkError) -> (seconds: Double, processorSeconds: Double) {
        let began = Clock.seconds
        let outcome = try Command("cp", "-a", tree, "\(peer.mountpoint)/\(name)").run()
        try peer.makeDurable()
        return (Clock.seconds - began, outcome.processorSeconds)
    }

    /// Seconds to read all of a tree through tar and a pipe.
    private static func read(_ tree: String) throws(BenchmarkError) -> Double {
        try Command.shell("tar -C \"$1\" -c . | cat > /dev/null", tree).run().seconds
    }

    /// A peer that must have a mount.
    static func mounted(_ peer: any Peer) throws(BenchmarkError) -> any FilesystemPeer {
        guard let peer = peer as? any FilesystemPeer else {
            throw .missing("\(peer.name) has no mount")
        }
        return peer
    }
}

/// Copying some 10,000 small files in.
enum Small {
    static func run(
        _ setting: Work.Setting, _ peer: any Peer
    ) throws(BenchmarkError) -> [String: Double] {
        guard let tree = setting.corpus.headers.first else { throw .missing("no header trees") }
        try Files.warm(tree)
        let peer = try Trees.mounted(peer)
        return ["copy-small": try Trees.copy(tree, to: "headers", on: peer).seconds]
    }
}

/// Copying an image of a disk in, and then its second state.
enum Disks {
    static func run(
        _ setting: Work.Setting, _ peer: any Peer
    ) throws(BenchmarkError) -> [String: Double] {
        guard let before = setting.corpus.diskBefore, let after = setting.corpus.diskAfter else {
            throw .missing("no disk images")
        }
        let peer = try Trees.mounted(peer)
        for path in [before, after] { try Command.shell("cat \"$1\" > /dev/null", path).run() }
        return [
            "image-first": try Trees.copy(before, to: "before.raw", on: peer).seconds,
            "image-second": try Trees.copy(after, to: "after.raw", on: peer).seconds,
        ]
    }
}
