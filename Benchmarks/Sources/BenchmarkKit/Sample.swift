/// One value of one metric on one peer in one round.
public struct Sample: Codable, Hashable, Sendable {
    /// The metric's name (`Metric.name`).
    public var metric: String
    /// The peer's name.
    public var peer: String
    /// Counted from 1.
    public var round: Int
    /// In the metric's unit. Above zero.
    public var value: Double

    public init(metric: String, peer: String, round: Int, value: Double) {
        self.metric = metric
        self.peer = peer
        self.round = round
        self.value = value
    }
}
