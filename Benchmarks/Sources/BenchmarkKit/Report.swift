import Foundation

/// All that one run measured, and where: what the JSON file holds.
public struct Report: Codable, Equatable, Sendable {
    public var version = BenchmarkKit.reportVersion
    public var machine: Machine
    /// Rounds asked for, and what share of the corpus (1: all of it).
    public var rounds: Int
    public var scale: Double
    /// Peers in the order they are shown, with their versions.
    public var peers: [PeerVersion]
    public var metrics: [Metric]
    public var samples: [Sample]
    public var comparisons: [Comparison]
    public var standings: [Standing]
    /// What was missing or failed, in sentences.
    public var notes: [String]

    public struct PeerVersion: Codable, Hashable, Sendable {
        public var name: String
        public var version: String

        public init(name: String, version: String) {
            self.name = name
            self.version = version
        }
    }

    /// Where and when it was measured.
    public struct Machine: Codable, Hashable, Sendable {
        public var kernel: String
        public var processor: String
        public var processors: Int
        public var memoryBytes: UInt64
        /// ISO 8601, UTC.
        public var began: String
        public var ended: String
        /// The load average of a minute when it began, and when it ended.
        public var loadBefore: Double
        public var loadAfter: Double
        /// The commit of the sources, where known.
        public var commit: String

        public init(
            kernel: String, processor: String, processors: Int, memoryBytes: UInt64,
            began: String, ended: String, loadBefore: Double, loadAfter: Double, commit: String
        ) {
            self.kernel = kernel
            self.processor = processor
            self.processors = processors
            self.memoryBytes = memoryBytes
            self.began = began
            self.ended = ended
            self.loadBefore = loadBefore
            self.loadAfter = loadAfter
            self.commit = commit
        }
    }

    /// Makes a report of samples: compares, and judges by the goals of the catalogue. Metrics
    /// without samples are left out.
    public init(
        machine: Machine, rounds: Int, scale: Double, peers: [PeerVersion], samples: [Sample],
        notes: [String]
    ) {
        self.machine = machine
        self.rounds = rounds
        self.scale = scale
        let measured = Set(samples.map(\.peer))
        self.peers = peers.filter { measured.contains($0.name) }
        metrics = Catalogue.metrics.filter { metric in
            samples.contains { $0.metric == metric.name }
        }
        self.samples = samples
        comparisons = Comparison.all(samples, metrics: metrics, peers: self.peers.map(\.name))
        standings = Standing.all(Catalogue.goals, comparisons)
        self.notes = notes
    }

    /// The median of a metric on a peer, or nil where it was not measured.
    public func median(_ metric: String, _ peer: String) -> Double? {
        Statistics.median(
            samples.filter { $0.metric == metric && $0.peer == peer }.map(\.value))
    }

    /// The report as JSON, keys sorted, so that two reports can be compared line by line.
    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self) + Data("\n".utf8)
    }

    /// Reads a report; one of another version is refused.
    public static func read(_ data: Data) throws -> Report {
        struct Version: Decodable { var version: Int }
        let found = try JSONDecoder().decode(Version.self, from: data).version
        guard found == BenchmarkKit.reportVersion else {
            throw ReportError.otherVersion(found: found)
        }
        return try JSONDecoder().decode(Report.self, from: data)
    }
}

/// Why a report cannot be read.
public enum ReportError: Error, Equatable {
    /// Written by another version of this program.
    case otherVersion(found: Int)
}
