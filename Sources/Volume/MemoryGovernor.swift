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
    /// The allocator is not asked more often: it locks all arenas while it looks for whole pages.
    static let intervalNanoseconds: UInt64 = 1_000_000_000

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
        guard now >= lookedAt + Self.intervalNanoseconds, let before = resident() else {
            return false
        }
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

extension LiveStore {
    /// Holds the process to its limit.
    func governMemory() {
        let (percent, isToShrink) = governor.withLock { governor -> (UInt8, Bool) in
            guard governor != nil else { return (100, false) }
            let isToShrink =
                governor?.look(
                    at: monotonicNanoseconds(), resident: { try? ProcessMemory.residentBytes() },
                    giveBack: { ProcessMemory.trim() }) ?? false
            return (governor?.percent ?? 100, isToShrink)
        }
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
