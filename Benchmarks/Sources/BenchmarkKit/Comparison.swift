/// Ashlar beside one other peer, by one metric.
public struct Comparison: Codable, Hashable, Sendable {
    public var metric: String
    public var peer: String
    /// The median over the rounds of Ashlar's cost divided by the peer's.
    public var ratio: Double
    /// The least and the greatest ratio of a round.
    public var ratioLeast: Double
    public var ratioGreatest: Double
    /// How many rounds had both.
    public var rounds: Int
}

extension Comparison {
    /// Compares Ashlar with each other peer, by each metric, in the order of the catalogue and then
    /// of `peers`. Only rounds that have both count.
    public static func all(
        _ samples: [Sample], metrics: [Metric], peers: [String]
    ) -> [Comparison] {
        metrics.flatMap { metric in
            peers.filter { $0 != BenchmarkKit.subject }.compactMap {
                Comparison(samples, metric: metric, peer: $0)
            }
        }
    }

    /// The comparison with one peer, or nil where no round has both.
    init?(_ samples: [Sample], metric: Metric, peer: String) {
        func values(of name: String) -> [Int: Double] {
            var values: [Int: Double] = [:]
            for sample in samples where sample.metric == metric.name && sample.peer == name {
                values[sample.round] = sample.value
            }
            return values
        }
        let own = values(of: BenchmarkKit.subject)
        let others = values(of: peer)
        let ratios = own.compactMap { round, value -> Double? in
            guard let other = others[round], other > 0, value > 0 else { return nil }
            return metric.unit.moreIsBetter ? other / value : value / other
        }
        guard let median = Statistics.median(ratios), let range = Statistics.range(ratios) else {
            return nil
        }
        self.init(
            metric: metric.name, peer: peer, ratio: median, ratioLeast: range.lowerBound,
            ratioGreatest: range.upperBound, rounds: ratios.count)
    }
}

/// How one goal stands.
public struct Standing: Codable, Hashable, Sendable {
    public var goal: Goal
    /// The peer that decides: the best of those measured, the one with the greatest ratio.
    public var peer: String
    public var ratio: Double
    public var verdict: Goal.Verdict

    /// How the goals stand that were measured, in the order of the goals.
    public static func all(_ goals: [Goal], _ comparisons: [Comparison]) -> [Standing] {
        goals.compactMap { goal in
            let measured = comparisons.filter {
                $0.metric == goal.metric && goal.peers.contains($0.peer)
            }
            guard let worst = measured.max(by: { $0.ratio < $1.ratio }) else { return nil }
            return Standing(
                goal: goal, peer: worst.peer, ratio: worst.ratio,
                verdict: goal.verdict(worst.ratio))
        }
    }
}
