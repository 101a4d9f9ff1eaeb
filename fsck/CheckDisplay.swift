// How far a check has come: a bar on a terminal, and lines for programs that ask by -C.
import Checking
import Console
import Glibc

/// Shows the stages of a check. The main thread only.
final class CheckDisplay {
    private let progress: Progress
    private let descriptor: Int32?
    private var lastTold: (stage: Int, percent: UInt64) = (-1, 101)

    /// - Parameter descriptor: gets `PASS DONE TOTAL STORE` lines as fsck(8)'s `-C` describes them;
    ///   nil and 0 for none.
    init(_ output: Output, descriptor: Int32?) {
        progress = Progress("checking", on: output)
        self.descriptor = descriptor == 0 ? nil : descriptor
    }

    func show(_ stage: CheckMonitor.Stage, _ done: UInt64, _ total: UInt64) {
        progress.update(
            doneBytes: done, totalBytes: total == 0 ? nil : total, detail: stage.rawValue)
        guard let descriptor else { return }
        let percent = total == 0 ? 0 : min(100, done / max(1, total / 100))
        guard lastTold != (stage.number, percent) else { return }
        lastTold = (stage.number, percent)
        let line = Array("\(stage.number) \(done) \(total) ashlar\n".utf8)
        // Whoever asked for progress and does not read it gets none.
        _ = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    func finish() {
        progress.finish()
    }
}

extension CheckMonitor.Stage {
    /// The pass, counted from 1.
    var number: Int {
        switch self {
        case .packs: 1
        case .chunks: 2
        case .bodies: 3
        case .volumes: 4
        case .index: 5
        }
    }
}
