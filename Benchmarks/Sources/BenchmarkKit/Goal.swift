/// A ratio that is to be reached: Ashlar's cost over that of the best of some peers.
///
/// Ratios are of cost, whatever the unit: below 1 is ahead. Where more is better (operations or
/// bytes in a second) the ratio is the other's value over Ashlar's.
public struct Goal: Codable, Hashable, Sendable {
    /// The metric's name.
    public var metric: String
    /// The peers it is held against: the best of those that were measured.
    public var peers: [String]
    /// The greatest ratio that reaches the goal.
    public var reach: Double
    /// The greatest ratio that is as good as hoped for.
    public var stretch: Double

    public init(_ metric: String, against peers: [String], reach: Double, stretch: Double) {
        self.metric = metric
        self.peers = peers
        self.reach = reach
        self.stretch = stretch
    }

    /// How a ratio stands to the goal.
    public enum Verdict: String, Codable, Sendable {
        case stretch
        case reached
        case missed
    }

    /// The verdict on a ratio.
    public func verdict(_ ratio: Double) -> Verdict {
        if ratio <= stretch { return .stretch }
        return ratio <= reach ? .reached : .missed
    }
}
