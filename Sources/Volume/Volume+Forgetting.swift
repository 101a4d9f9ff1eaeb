// Memory for inodes is bounded: the kernel is asked to let go of those that it knows.
//
// An inode that the kernel knows stays in memory (Volume.swift, invariant 3). So that it can be asked,
// every name that it was given stays in memory too, as long as it may have it
// (`Namespace.boundNames`). From a quarter above the limit on, the store commits and asks at once;
// from twice the limit on, whoever brings more inodes into memory waits a little.
import DiskFormat
import FileModel
import Platform
import Synchronization

extension Volume {
    /// Nodes in memory before the kernel is asked to let go of some: `nodesMax`, or less while the
    /// process as a whole takes too much.
    var nodesLimit: Int {
        let percent = Int(nodesPercent.load(ordering: .relaxed))
        return max(1, options.nodesMax / 100 * percent + options.nodesMax % 100 * percent / 100)
    }

    private static let forgettingsAtOnceMax = 65_536
    /// A wait for the kernel: its steps, and how many at most. Bounded, since the kernel may have all
    /// of them in use.
    private static let pauseNanoseconds: UInt64 = 1_000_000
    private static let pausesMax = 100

    /// Asks the kernel to let go of names, when more inodes are in memory than there should be.
    func askKernelToForget() {
        guard let notifier = notifier.withLock({ $0 }) else { return }
        // Those that were asked for before come first.
        guard notifier.pendingCount == 0 else { return }
        let names = namespace.withLock { space -> [(parent: UInt64, name: [UInt8])] in
            let count = space.nodes.count
            let limit = nodesLimit
            space.pressureLimit = max(limit + limit / 4, count + limit / 8)
            guard count > limit else { return [] }
            // Down to well below the limit, so that it is not asked for each new inode.
            return space.evictable(min(count - limit + limit / 8, Volume.forgettingsAtOnceMax))
        }
        for (parent, name) in names { notifier.invalidateEntry(name, in: parent) }
    }

    /// Something was brought into memory: tells the store when that makes too many.
    func notePressure(in space: inout Namespace) {
        guard space.nodes.count > space.pressureLimit else { return }
        space.pressureLimit = Int.max
        pressure.withLock { $0 }?()
    }

    /// Waits while there are far too many inodes in memory and the kernel is about to let go of some,
    /// for a bounded time. Without any lock.
    func waitForMemory() {
        for _ in 0..<Volume.pausesMax {
            let (isFull, isToldOnly) = namespace.withLock { space in
                (space.nodes.count > 2 * nodesLimit, space.pressureLimit == Int.max)
            }
            guard isFull, let notifier = notifier.withLock({ $0 }),
                isToldOnly || notifier.pendingCount > 0
            else { return }
            sleepNanoseconds(Volume.pauseNanoseconds)
        }
    }
}
