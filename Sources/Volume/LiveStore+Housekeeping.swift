// What a live store does by itself for its size: reclaiming from time to time and when space runs short,
// optimizing when nobody writes. On the reclaimer's thread.
import FileModel
import Pipeline
import Platform

/// Since when nothing was written.
struct IdleTime {
    /// The newest commit when somebody last looked.
    var sequence: UInt64 = 0
    var sinceNanoseconds = monotonicNanoseconds()
}

extension LiveStore {
    func startReclaimer() throws(StoreError) {
        let intervals = [timing.reclaimSeconds, timing.optimizeIdleSeconds].compactMap { $0 }
        guard let seconds = intervals.min() else { return }
        let reclaimer = reclaimer
        space.setShortage { reclaimer.hurry() }
        do throws(Errno) {
            try reclaimer.start(every: seconds) { [weak self] isUrgent, isCancelled in
                guard let self else { return }
                if isUrgent || self.timing.reclaimSeconds != nil {
                    self.reclaimByItself(isUrgent: isUrgent, isCancelled)
                }
                if !isUrgent { self.optimizeByItself(isCancelled) }
            }
        } catch {
            throw .threads(code: error.rawValue)
        }
    }

    private func reclaimByItself(isUrgent: Bool, _ isCancelled: () -> Bool) {
        var options = ReclaimOptions()
        options.givesWay = true
        options.bytesPerSecond = isUrgent ? nil : Reclaimer.bytesPerSecond
        do throws(FileError) {
            let least = isUrgent ? 1 : timing.reclaimBytesMin
            guard try hasReclaimable(options, deadBytesMin: least) else { return }
            let report = try reclaim(options, isCancelled: isCancelled)
            if report.freedBytes > 0 { onEvent(.reclaimed(bytes: report.freedBytes)) }
        } catch {
            // Somebody else does it, or it goes on when the store is used again.
            guard error != .busy, error != .interrupted else { return }
            onEvent(.reclaimingFailed(error))
        }
    }

    private func optimizeByItself(_ isCancelled: () -> Bool) {
        guard let seconds = timing.optimizeIdleSeconds, isIdle(for: seconds) else { return }
        var options = OptimizeOptions()
        options.givesWay = true
        options.bytesPerSecond = Reclaimer.bytesPerSecond
        do throws(FileError) {
            let report = try optimize(
                options,
                isCancelled: {
                    isCancelled() || self.open.withLock { $0 }.contains(where: \.hasUnsaved)
                })
            if report.bytesAfter < report.bytesBefore {
                onEvent(.optimized(bytes: report.bytesBefore - report.bytesAfter))
            }
        } catch {
            // Somebody else does it, or it goes on when nobody writes again.
            guard error != .busy, error != .interrupted else { return }
            onEvent(.reclaimingFailed(error))
        }
        // Its own commits are nobody's writing.
        idle.withLock { $0.sequence = store.lastCommit.sequence }
    }

    /// Whether no commit was made for so long.
    private func isIdle(for seconds: Double) -> Bool {
        let sequence = store.lastCommit.sequence
        let now = monotonicNanoseconds()
        return idle.withLock { idle in
            if idle.sequence != sequence {
                idle = IdleTime(sequence: sequence, sinceNanoseconds: now)
            }
            return now - idle.sinceNanoseconds >= UInt64(max(0, seconds) * 1e9)
        }
    }
}
