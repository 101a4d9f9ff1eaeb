import Foundation

/// All headers and images copied in as a backup would be; what they take; how fast all of it is
/// checked.
enum Backup {
    static func run(
        _ setting: Work.Setting, _ peer: any Peer
    ) throws(BenchmarkError) -> [String: Double] {
        let trees = setting.corpus.headers + setting.corpus.images
        guard !trees.isEmpty else { throw .missing("no trees") }
        var rawBytes: UInt64 = 0
        for tree in trees {
            try Files.warm(tree)
            rawBytes += try Files.apparentBytes(below: tree)
        }
        let began = Clock.seconds
        for (index, tree) in trees.enumerated() {
            if let tool = peer as? any BackupPeer {
                try tool.backUp(tree, as: "tree\(index)")
            } else {
                let peer = try Trees.mounted(peer)
                try Command("cp", "-a", tree, "\(peer.mountpoint)/tree\(index)").run()
                try peer.makeDurable()
            }
        }
        var values = ["backup": Clock.seconds - began]
        values["stored"] = Double(try peer.storedBytes())
        if let seconds = try peer.checkSeconds() { values["check"] = Double(rawBytes) / seconds }
        return values
    }
}
