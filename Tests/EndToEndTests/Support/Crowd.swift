import EndToEndSupport
import Foundation
import class Platform.ConditionMutex

/// Threads or processes that work on a volume at once: each in a folder of its own, beside a folder of
/// the model, and now and then in one where all of them meet, which nobody can foresee.
final class Crowd: Sendable {
    /// The folder in which all work.
    static let shared = "shared"
    private static let members = 4

    private let model: String
    private let top: String
    /// Where each one's next part of the sequence begins.
    private let seeds: ConditionMutex<SeededGenerator>

    init(model: String, top: String, _ random: SeededGenerator) {
        self.model = model
        self.top = top
        seeds = ConditionMutex(random)
    }

    func makeFolders() throws(SystemError) {
        // The shared one in the model, too, where it counts as a link.
        for folder in (0..<Self.members).map(String.init) + [Self.shared] {
            for place in [model, top] { try System.check(mkdir("\(place)/\(folder)", 0o755)) }
        }
    }

    /// Lets each thread do so many operations; what has gone wrong.
    func perform(_ count: Int) -> [String] {
        let complaints = ConditionMutex<[String]>([])
        let members = nextMembers(count)
        DispatchQueue.concurrentPerform(iterations: members.count) { number in
            guard let complaint = members[number].perform() else { return }
            complaints.withLock { $0.append(complaint) }
        }
        return complaints.withLock { $0 }
    }

    /// As `perform`, each in a process of its own: this test bundle, which runs `CrowdMemberTests` alone.
    func performInProcesses(_ count: Int, scratch: String) throws -> [String] {
        var programs: [Program] = []
        for member in nextMembers(count) {
            setenv(CrowdMember.variable, member.text, 1)
            programs.append(
                try Program(
                    [CommandLine.arguments[0], CrowdMember.test], scratch: scratch))
        }
        unsetenv(CrowdMember.variable)
        var complaints: [String] = []
        for program in programs {
            let end = try program.finish(seconds: 300)
            if end.code != 0 { complaints.append("\(end.code): \(end.text)\(end.errors)") }
        }
        return complaints
    }

    private func nextMembers(_ count: Int) -> [CrowdMember] {
        let starts = seeds.withLock { random in (0..<Self.members).map { _ in random.next() } }
        return starts.enumerated().map { number, seed in
            CrowdMember(number: number, model: model, top: top, seed: seed, count: count)
        }
    }
}

/// One of a crowd: what it does, and where.
struct CrowdMember {
    /// Of the environment: `text` of the member that a process is.
    static let variable = "ASHLAR_CROWD_MEMBER"
    static let test = "EndToEndTests.CrowdMemberTests/testWhatOneDoes"

    var number: Int
    var model: String
    var top: String
    var seed: UInt64
    var count: Int

    var text: String { "\(number) \(seed) \(count)\n\(model)\n\(top)" }

    init(number: Int, model: String, top: String, seed: UInt64, count: Int) {
        self.number = number
        self.model = model
        self.top = top
        self.seed = seed
        self.count = count
    }

    init?(text: String) {
        let lines = text.split(separator: "\n").map(String.init)
        guard lines.count == 3 else { return nil }
        let words = lines[0].split(separator: " ")
        guard words.count == 3, let number = Int(words[0]), let seed = UInt64(words[1]),
            let count = Int(words[2])
        else { return nil }
        self.init(number: number, model: lines[1], top: lines[2], seed: seed, count: count)
    }

    /// Does so many operations, or those up to the first that goes wrong: what that was.
    func perform() -> String? {
        var source = OperationSource(SeededGenerator(seed: seed))
        for _ in 0..<count {
            let complaint =
                source.below(4) == 0 ? performShared(source.next()) : performOwn(source.next())
            if let complaint { return "member \(number), \(complaint)" }
        }
        return nil
    }

    private func performOwn(_ operation: Operation) -> String? {
        let expected = operation.perform(in: "\(model)/\(number)")
        let result = operation.perform(in: "\(top)/\(number)")
        if result == expected || operation.mayDiffer(fromTmpfs: expected) { return nil }
        return "\(operation): \(result), not \(expected)"
    }

    /// What may be answered where others change the same names meanwhile.
    private static let mayHappen = Set(
        [
            ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, EINVAL, ELOOP, ENODATA, ENXIO, EPERM,
            EBADF, ESPIPE, EACCES,
        ].map { "errno \(SystemError($0))" })

    private func performShared(_ operation: Operation) -> String? {
        // A mapping of a file that somebody else cuts ends in a signal, by right.
        if case .mapped = operation.kind { return nil }
        let result = operation.perform(in: "\(top)/\(Crowd.shared)")
        if !result.hasPrefix("errno") || Self.mayHappen.contains(result) { return nil }
        return "in the shared folder, \(operation): \(result)"
    }
}
