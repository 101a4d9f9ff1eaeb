import EndToEndSupport
import Foundation
import class Platform.ConditionMutex

/// Threads that work on a volume at once: each in a folder of its own, beside a folder of the model,
/// and now and then in one where all of them meet, which nobody can foresee.
final class Crowd: Sendable {
    /// The folder in which all threads work.
    static let shared = "shared"
    private static let threads = 4

    private let model: String
    private let top: String
    /// Where each thread's next part of the sequence begins.
    private let seeds: ConditionMutex<SeededGenerator>

    init(model: String, top: String, _ random: SeededGenerator) {
        self.model = model
        self.top = top
        seeds = ConditionMutex(random)
    }

    func makeFolders() throws(SystemError) {
        // The shared one in the model, too, where it counts as a link.
        for folder in (0..<Self.threads).map(String.init) + [Self.shared] {
            for place in [model, top] { try System.check(mkdir("\(place)/\(folder)", 0o755)) }
        }
    }

    /// Lets each thread do so many operations; what has gone wrong.
    func perform(_ count: Int) -> [String] {
        let complaints = ConditionMutex<[String]>([])
        let starts = seeds.withLock { random in (0..<Self.threads).map { _ in random.next() } }
        DispatchQueue.concurrentPerform(iterations: Self.threads) { number in
            var source = OperationSource(SeededGenerator(seed: starts[number]))
            for _ in 0..<count {
                let complaint =
                    source.below(4) == 0
                    ? performShared(source.next()) : performOwn(source.next(), number)
                guard let complaint else { continue }
                complaints.withLock { $0.append("thread \(number), \(complaint)") }
                break
            }
        }
        return complaints.withLock { $0 }
    }

    private func performOwn(_ operation: Operation, _ number: Int) -> String? {
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
        // A mapping of a file that another thread cuts ends in a signal, by right.
        if case .mapped = operation.kind { return nil }
        let result = operation.perform(in: "\(top)/\(Self.shared)")
        if !result.hasPrefix("errno") || Self.mayHappen.contains(result) { return nil }
        return "in the shared folder, \(operation): \(result)"
    }
}
