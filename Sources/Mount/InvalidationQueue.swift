import CFuseShim
import FileModel
import Glibc
import Synchronization

/// Delivers invalidations to the kernel from a thread of its own.
///
/// The kernel takes the directory's lock to drop a name, and waits for pages in flight to drop a
/// range: both may be held by somebody who waits for a request, so that a request's own thread must
/// never do it. For the same reason a caller is never made to wait for room, and since a lost
/// invalidation would leave something wrong in the kernel for a day, none is dropped either: the queue
/// has no bound of its own, `pendingCount` is for callers who could fill it. Attributes alone are
/// dropped at once, by the caller's thread.
///
/// Unchecked because of two pointers, both to what is made for any thread.
final class InvalidationQueue: KernelNotifier, @unchecked Sendable {
    private enum Item {
        case entry(name: [UInt8], parent: InodeNumber)
        case inode(InodeNumber, offset: Int64, length: Int64)
    }

    private struct State {
        var items: [Item] = []
        /// Taken by the thread and not delivered yet.
        var underWay = 0
        var isStopped = false
    }

    private let session: OpaquePointer
    private let state = Mutex(State())
    /// Counts wake-ups of the thread: one for each time that `items` became non-empty, one for stop.
    private let wake: UnsafeMutablePointer<sem_t>
    /// Of the thread; written by `start`, taken by the first `stop`.
    private let thread = Mutex<UInt64?>(nil)

    init(session: OpaquePointer) {
        self.session = session
        wake = .allocate(capacity: 1)
        sem_init(wake, 0, 0)
    }

    deinit {
        sem_destroy(wake)
        wake.deallocate()
    }

    func invalidateEntry(_ name: [UInt8], in parent: InodeNumber) {
        guard !name.isEmpty else { return }
        // With the NUL that the kernel wants behind it.
        append(.entry(name: name + [0], parent: parent))
    }

    func invalidateInode(_ inode: InodeNumber, range: Range<UInt64>) {
        if range.isEmpty {
            // Attributes are dropped under a spin lock: nobody can be waiting for a request with it.
            // At once, since the caller's request must not be answered before: who wrote into a
            // setuid program would run it as its owner.
            _ = ashlar_fuse_invalidate_inode(session, inode, -1, 0)
            return
        }
        let offset = Int64(clamping: range.lowerBound)
        let end = Int64(clamping: range.upperBound)
        append(.inode(inode, offset: offset, length: end == .max ? 0 : end - offset))
    }

    var pendingCount: Int { state.withLock { $0.items.count + $0.underWay } }

    private func append(_ item: Item) {
        let becameNonEmpty = state.withLock { state in
            guard !state.isStopped else { return false }
            state.items.append(item)
            return state.items.count == 1
        }
        if becameNonEmpty { sem_post(wake) }
    }

    func start() throws(MountError) {
        var identifier: UInt64 = 0
        let context = Unmanaged.passUnretained(self).toOpaque()
        let code = ashlar_fuse_thread_start("ashlar-notify", context, &identifier)
        guard code == 0 else { throw .threadRefused(code: code) }
        thread.withLock { $0 = identifier }
    }

    /// Ends the thread; what is still queued is not delivered. To be called when the connection is
    /// closed, so that the thread cannot be waiting for an answer. May be called again.
    func stop() {
        let identifier = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        state.withLock { state in
            state.isStopped = true
            state.items.removeAll()
        }
        guard let identifier else { return }
        sem_post(wake)
        ashlar_fuse_thread_join(identifier)
    }

    /// The thread's body: returns when stopped.
    func deliverUntilStopped() {
        while true {
            while sem_wait(wake) != 0 {}
            let items = state.withLock { state -> [Item]? in
                guard !state.isStopped else { return nil }
                defer { state.items = [] }
                state.underWay = state.items.count
                return state.items
            }
            guard let items else { return }
            for item in items {
                deliver(item)
                let isStopped = state.withLock { state in
                    state.underWay -= 1
                    return state.isStopped
                }
                if isStopped { return }
            }
        }
    }

    /// What the kernel does not know (ENOENT) or cannot drop (a busy directory) needs no answer here.
    private func deliver(_ item: Item) {
        switch item {
        case .entry(let name, let parent):
            _ = name.withUnsafeBytes { bytes in
                bytes.baseAddress.map { base in
                    ashlar_fuse_invalidate_entry(session, parent, base, bytes.count - 1)
                }
            }
        case .inode(let inode, let offset, let length):
            _ = ashlar_fuse_invalidate_inode(session, inode, offset, length)
        }
    }
}
