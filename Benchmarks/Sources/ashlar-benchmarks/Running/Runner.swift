import BenchmarkKit
import Foundation

/// Runs works on peers, round after round. One thread.
final class Runner {
    private let peers: [any Peer]
    private let setting: Work.Setting
    private let say: (String) -> Void
    private(set) var samples: [Sample] = []
    private(set) var notes: [String] = []

    init(peers: [any Peer], setting: Work.Setting, say: @escaping (String) -> Void) {
        self.peers = peers
        self.setting = setting
        self.say = say
    }

    /// Measures a work on all its peers, `rounds` times: A B C, then C B A, so that who comes after
    /// whom changes. A peer that fails is noted and left out of the later rounds.
    func measure(
        _ work: Work, metrics: Set<String>, rounds: Int
    ) throws(BenchmarkError) {
        var left = peers.filter { work.peers.contains($0.name) }
        for round in 1...rounds {
            for peer in round % 2 == 1 ? left : left.reversed() {
                let seed = setting.seed &+ UInt64(round) &* 1000
                do {
                    let values = try measureOnce(work, peer, seed: seed)
                    keep(values, metrics: metrics, peer: peer.name, round: round, of: work)
                } catch .interrupted {
                    throw .interrupted
                } catch {
                    notes.append("\(work.name) on \(peer.name), round \(round): \(error)")
                    say("    \(peer.name) failed: \(error)")
                    left.removeAll { $0 === peer }
                }
            }
        }
    }

    private func measureOnce(
        _ work: Work, _ peer: any Peer, seed: UInt64
    ) throws(BenchmarkError) -> [String: Double] {
        defer { peer.stop() }
        try Interruption.check()
        try peer.start()
        let own = Work.Setting(
            corpus: setting.corpus, scale: setting.scale, seed: seed, scratch: setting.scratch)
        return try work.run(own, peer)
    }

    private func keep(
        _ values: [String: Double], metrics: Set<String>, peer: String, round: Int, of work: Work
    ) {
        let wanted = work.metrics.filter { metrics.contains($0) }
        samples += wanted.compactMap { name in
            values[name].map { Sample(metric: name, peer: peer, round: round, value: $0) }
        }
        let words = wanted.compactMap { name in
            values[name].map { name + String(format: $0 < 1000 ? " %.2f" : " %.0f", $0) }
        }
        say("    \(work.name) \(round) \(peer): \(words.joined(separator: ", "))")
    }
}
