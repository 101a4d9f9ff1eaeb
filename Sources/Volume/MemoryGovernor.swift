// The process's memory is held to one number (DESIGN §3.7).
//
// Each cache and buffer has a share of it that it keeps to. What that does not count (the allocator's
// gaps, work under way, other libraries) is measured, as VmRSS: above the limit free memory is given
// back to the kernel, and when that is not enough inodes, names and decoded frames are let go, until
// the process takes distinctly less.
import Pipeline
import Platform
import Synchronization

/// Looks at a process's memory from time to time. One thread.
struct MemoryGovernor {
    /// Parts of the limit, in percent: above the first memory is given back, below the second caches
    /// may grow again.
    static let highPercent: UInt64 = 86
    static let lowPercent: UInt64 = 70
    /// Caches shrink and grow in such steps, and not below the least.
    static let stepPercent: UInt8 = 20
    static let leastPercent: UInt8 = 20
    /// Above that little is left, and the shorter interval counts.
    static let urgentPercent: UInt64 = 93
    /// The allocator is not asked more often: it locks all arenas while it looks for whole pages.
    static let intervalNanoseconds: UInt64 = 1_000_000_000
    static let urgentIntervalNanoseconds: UInt64 = 250_000_000
    /// How often the process is looked at. A fast writer takes 100 MB in a second.
    static let lookNanoseconds: UInt64 = 200_000_000

    let limitBytes: UInt64
    private var lookedAt: UInt64 = 0
    private(set) var percent: UInt8 = 100

    init(limitBytes: UInt64) {
        self.limitBytes = limitBytes
    }

    /// What is to be done, given what the process takes and what it takes after giving back.
    ///
    /// - Parameters:
    ///   - resident: asks for VmRSS.
    ///   - giveBack: gives free memory back to the kernel.
    /// - Returns: whether caches are to be emptied as far as they can be.
    mutating func look(
        at now: UInt64, resident: () -> UInt64?, giveBack: () -> Void
    ) -> Bool {
        guard let before = resident() else { return false }
        let isUrgent = before > limitBytes / 100 * Self.urgentPercent
        let interval = isUrgent ? Self.urgentIntervalNanoseconds : Self.intervalNanoseconds
        guard now >= lookedAt + interval else { return false }
        lookedAt = now
        if before < limitBytes / 100 * Self.lowPercent {
            percent = min(100, percent + Self.stepPercent)
            return false
        }
        guard before > limitBytes / 100 * Self.highPercent else { return false }
        giveBack()
        guard let after = resident(), after > limitBytes / 100 * Self.highPercent else {
            return false
        }
        percent = max(Self.leastPercent, percent - min(percent, Self.stepPercent))
        return true
    }
}

/// The thread that looks. It waits for nobody: a commit that takes long is when most memory is taken.
/// Belongs to its store, which stops it before it ends.
final class MemoryKeeper: Sendable {
    let limitBytes: UInt64
    private let isStopping = ConditionMutex(false)
    private let thread: ConditionMutex<PlatformThread?> = ConditionMutex(nil)

    init(limitBytes: UInt64) {
        self.limitBytes = limitBytes
    }

    /// - Parameter apply: lets caches have so many percent of their share, and empties them as far as
    ///   they can be where it is said to. On the thread.
    func start(
        apply: @escaping @Sendable (_ percent: UInt8, _ isToShrink: Bool) -> Void
    ) throws(Errno) {
        let (isStopping, limitBytes) = (isStopping, limitBytes)
        let started = try PlatformThread(name: "memory") {
            var governor = MemoryGovernor(limitBytes: limitBytes)
            while !isStopping.wait(
                deadlineNanoseconds: monotonicNanoseconds() + MemoryGovernor.lookNanoseconds,
                until: { $0 })
            {
                let before = governor.percent
                let isToShrink = governor.look(
                    at: monotonicNanoseconds(), resident: { try? ProcessMemory.residentBytes() },
                    giveBack: { ProcessMemory.trim() })
                if isToShrink || governor.percent != before { apply(governor.percent, isToShrink) }
            }
        }
        thread.withLock { $0 = started }
    }

    func stop() {
        isStopping.withLock { $0 = true }
        isStopping.broadcast()
        let running = thread.withLock { $0.take() }
        running?.join()
    }
}

extension LiveStore {
    func keepMemory() throws(StoreError) {
        do throws(Errno) {
            try memoryKeeper?.start { [weak self] percent, isToShrink in
                self?.applyMemory(percent, isToShrink)
            }
        } catch {
            throw .threads(code: error.rawValue)
        }
    }

    private func applyMemory(_ percent: UInt8, _ isToShrink: Bool) {
        for volume in open.withLock({ $0 }) {
            volume.nodesPercent.store(percent, ordering: .relaxed)
            guard isToShrink else { continue }
            volume.namespace.withLock { space in
                space.forgetIdle(downTo: 0)
                space.namesAdded = Int.max - 1
                space.boundNames(0)
            }
        }
        store.limitFrames(toPercent: Int(percent))
    }
}
