/// Page-aligned buffers of one size that are used again.
///
/// Allocating a mebibyte costs the kernel 256 page faults and as many pages zeroed; a buffer from
/// the pool costs a lock.
///
/// Invariants:
/// 1. Every buffer has `capacityBytes`, begins on a page, and belongs to one holder at a time.
/// 2. The pool keeps at most `keptBytesMax` bytes that nobody uses. It does not bound the buffers in
///    use: whoever takes them does.
/// 3. A used buffer holds what its last holder left in it: nothing is zeroed.

/// The pool. Any thread. Buffers may outlive it.
public final class BufferPool: Sendable {
    /// Bytes of each buffer: a multiple of the page size.
    public let capacityBytes: Int
    public let keptBytesMax: Int
    private let shelf: BufferShelf

    public static let pageBytes = 4096

    /// - Parameters:
    ///   - capacityBytes: rounded up to whole pages of 4 KiB.
    ///   - keptBytesMax: how many bytes are kept for later; 0 keeps none.
    public init(capacityBytes: Int, keptBytesMax: Int) {
        precondition(capacityBytes > 0 && capacityBytes <= Int.max - Self.pageBytes)
        precondition(keptBytesMax >= 0)
        let pages = (capacityBytes + Self.pageBytes - 1) / Self.pageBytes
        self.capacityBytes = pages * Self.pageBytes
        self.keptBytesMax = keptBytesMax
        shelf = BufferShelf(keptMax: keptBytesMax / self.capacityBytes)
    }

    deinit {
        shelf.close()
    }

    /// A buffer with `count` 0 and any contents. Its memory comes back when its last reference goes.
    public func take() -> PooledBuffer {
        let memory =
            shelf.take()
            ?? UnsafeMutableRawPointer.allocate(
                byteCount: capacityBytes, alignment: Self.pageBytes)
        return PooledBuffer(memory: memory, capacityBytes: capacityBytes, shelf: shelf)
    }

    /// Bytes that are kept for later.
    public var keptBytes: Int { shelf.keptCount * capacityBytes }

    /// Bytes in buffers that somebody holds.
    public var usedBytes: Int { shelf.usedCount * capacityBytes }

    /// Gives all kept memory back to the allocator.
    public func trim() {
        shelf.empty()
    }
}

/// A buffer of a pool, held until its last reference goes.
///
/// Handed from thread to thread, used by one at a time: that is the holder's promise, hence
/// `@unchecked Sendable`.
public final class PooledBuffer: @unchecked Sendable {
    public let capacityBytes: Int
    private let memory: UnsafeMutableRawPointer
    private let shelf: BufferShelf

    /// How many bytes at the beginning have a meaning; 0...`capacityBytes`.
    public var count: Int {
        didSet { precondition(count >= 0 && count <= capacityBytes, "count beyond the buffer") }
    }

    fileprivate init(memory: UnsafeMutableRawPointer, capacityBytes: Int, shelf: BufferShelf) {
        self.memory = memory
        self.capacityBytes = capacityBytes
        self.shelf = shelf
        count = 0
    }

    deinit {
        shelf.give(memory)
    }

    /// The first `count` bytes. Valid while the buffer is held.
    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: memory, count: count)
    }

    /// The whole capacity, for writing. Valid while the buffer is held.
    public var mutableBytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: memory, count: capacityBytes)
    }

    /// The part behind `count`, for appending. Valid while the buffer is held.
    public var freeBytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: memory + count, count: capacityBytes - count)
    }
}

/// The kept memory, shared by a pool and its buffers.
private final class BufferShelf: Sendable {
    private struct State {
        /// Addresses, since a raw pointer is not Sendable; owned by the shelf.
        var kept: [UInt] = []
        var used = 0
        var keptMax: Int
    }

    private let state: ConditionMutex<State>

    init(keptMax: Int) {
        state = ConditionMutex(State(keptMax: keptMax))
    }

    deinit {
        empty()
    }

    var keptCount: Int { state.withLock { $0.kept.count } }
    var usedCount: Int { state.withLock { $0.used } }

    func take() -> UnsafeMutableRawPointer? {
        let address = state.withLock { state in
            state.used += 1
            return state.kept.popLast()
        }
        return address.flatMap { UnsafeMutableRawPointer(bitPattern: $0) }
    }

    func give(_ memory: UnsafeMutableRawPointer) {
        let address = UInt(bitPattern: memory)
        let isKept = state.withLock { state in
            state.used -= 1
            guard state.kept.count < state.keptMax else { return false }
            state.kept.append(address)
            return true
        }
        if !isKept { memory.deallocate() }
    }

    func empty() {
        let addresses = state.withLock { state in
            let addresses = state.kept
            state.kept = []
            return addresses
        }
        for address in addresses {
            UnsafeMutableRawPointer(bitPattern: address)?.deallocate()
        }
    }

    /// Keeps nothing from now on.
    func close() {
        state.withLock { $0.keptMax = 0 }
        empty()
    }
}
