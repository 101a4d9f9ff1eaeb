import EndToEndSupport
import Foundation
import XCTest

/// The writers of many rounds on one store: each round in directories of its own, which stay for
/// some rounds, since what survived one crash must survive the next, and are then removed, so that
/// there is something to be given up.
final class CrashWorkload {
    /// Rounds that stay.
    private static let roundsKept = 2

    private let mountpoint: String
    private var random: SeededGenerator
    private var round = 0
    private var writers: [CrashWriter] = []
    /// What rounds that are over have left, by directory.
    private var kept: [(round: Int, directories: [(path: String, found: FoundDirectory)])] = []
    private var isEndOrderly = false
    private var cutBegun = UInt64.max
    /// How many fsyncs were promised, and how many deeds done, for the account at the end.
    private(set) var deedCount = 0
    private(set) var roundCount = 0

    init(_ mountpoint: String, _ random: SeededGenerator) {
        self.mountpoint = mountpoint
        self.random = random
    }

    private func directory(_ round: Int, _ writer: Int) -> String {
        "\(mountpoint)/round-\(round)-\(writer)"
    }

    /// Begins a round on the mounted volume. Throws where it is dead already.
    func start() throws {
        round += 1
        for kind in CrashWriter.Kind.allCases {
            try System.check(mkdir(directory(round, kind.rawValue), 0o755))
        }
        try synchronize(mountpoint)
        isEndOrderly = false
        cutBegun = .max
        writers = CrashWriter.Kind.allCases.map { kind in
            CrashWriter(kind, in: directory(round, kind.rawValue), seed: random.next())
        }
        removeOldRounds()
    }

    private func synchronize(_ path: String) throws(SystemError) {
        try System.with(path, O_RDONLY | O_DIRECTORY) { directory throws(SystemError) in
            try System.check(fsync(directory))
        }
    }

    /// While the writers work; how far it gets does not matter.
    private func removeOldRounds() {
        let names = (try? System.names(mountpoint)) ?? []
        for name in names.map({ String(decoding: $0, as: UTF8.self) }) {
            let words = name.split(separator: "-")
            guard words.count == 3, let number = Int(words[1]),
                number < round - Self.roundsKept
            else { continue }
            let files = (try? System.names("\(mountpoint)/\(name)")) ?? []
            for file in files {
                unlink("\(mountpoint)/\(name)/\(String(decoding: file, as: UTF8.self))")
            }
            rmdir("\(mountpoint)/\(name)")
        }
        kept.removeAll { $0.round < round - Self.roundsKept }
    }

    /// Lets the writers end what they are at.
    func stop() throws {
        for writer in writers { writer.stop() }
        try finish()
    }

    /// Waits until all writers have met the end of the mount.
    func finish() throws {
        for writer in writers { try writer.finish() }
    }

    /// The volume was unmounted by the book: everything was promised.
    func noteOrderlyEnd() { isEndOrderly = true }

    /// The power is about to be cut: what returns from now on promises nothing. (ext4 takes 10 ms over a
    /// shutdown, and lets an fdatasync succeed meanwhile whose pages it drops.)
    func noteCut() { cutBegun = CrashLedger.now() }

    /// Compares the newly mounted volume with what was promised; nil where all is well. Where it throws,
    /// since the volume died meanwhile, nothing has been compared.
    func complaint() throws -> String? {
        for (_, directories) in kept {
            for (path, before) in directories {
                let now = try FoundDirectory(path: path)
                guard now == before else { return "\(path) has changed since the last round" }
            }
        }
        guard !writers.isEmpty else { return nil }
        let ledgers = writers.map(\.ledger.current)
        var directories: [(path: String, found: FoundDirectory)] = []
        for index in ledgers.indices {
            let path = directory(round, index)
            // The directories themselves were promised.
            _ = try System.status(path)
            directories.append((path, try FoundDirectory(path: path)))
        }
        // Not before all was read: else it would be compared again after the next crash.
        writers = []
        kept.append((round, directories))
        deedCount += ledgers.reduce(0) { $0 + $1.deeds.count }
        roundCount += 1
        let promised = ledgers.map { $0.promised(before: cutBegun) }.max() ?? 0
        return CutSearch(
            ledgers, directories.map(\.found),
            promised: isEndOrderly ? CrashLedger.now() : promised
        ).complaint()
    }
}
