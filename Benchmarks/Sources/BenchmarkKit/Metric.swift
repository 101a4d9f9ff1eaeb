/// One thing that is measured.
public struct Metric: Codable, Hashable, Sendable {
    public enum Unit: String, Codable, Sendable {
        case seconds
        case bytes
        /// Operations in a second; more is better.
        case operationsPerSecond
        /// Raw bytes in a second; more is better.
        case bytesPerSecond

        /// Whether a greater value is a better one.
        public var moreIsBetter: Bool {
            switch self {
            case .seconds, .bytes: false
            case .operationsPerSecond, .bytesPerSecond: true
            }
        }
    }

    /// A short name, as on the command line: letters, digits and dashes.
    public var name: String
    /// What is done, in words.
    public var title: String
    public var unit: Unit

    public init(_ name: String, _ title: String, _ unit: Unit = .seconds) {
        self.name = name
        self.title = title
        self.unit = unit
    }
}
