import Platform

/// One open file of a memory backend.
final class MemoryFile: BackendFile {
    let name: String
    private let backend: MemoryBackend
    private let inode: UInt64
    private let isWritable: Bool

    /// Takes over a handle that the backend has counted.
    init(name: String, backend: MemoryBackend, inode: UInt64, isWritable: Bool) {
        self.name = name
        self.backend = backend
        self.inode = inode
        self.isWritable = isWritable
    }

    deinit {
        backend.state.withLock { $0.release(inode) }
    }

    func size() throws(BackendError) -> UInt64 {
        backend.state.withLock { state in state.withInode(inode) { $0.live.size } }
    }

    func allocatedBytes() throws(BackendError) -> UInt64 {
        backend.state.withLock { state in state.withInode(inode) { $0.live.allocatedBytes } }
    }

    func read(
        at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(BackendError) -> Int {
        backend.state.withLock { state in
            state.withInode(inode) { $0.live.read(at: offset, into: buffer) }
        }
    }

    func write(
        _ buffers: [UnsafeRawBufferPointer], at offset: UInt64
    ) throws(BackendError) {
        try checkWritable()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(buffers.reduce(0) { $0 + $1.count })
        for buffer in buffers { bytes.append(contentsOf: buffer) }
        guard offset <= SystemLimits.offsetMax - UInt64(bytes.count) else {
            throw tooLarge("pwritev")
        }
        guard !bytes.isEmpty else { return }
        let range = offset..<(offset + UInt64(bytes.count))
        try takingPages(range) { .write(offset: range.lowerBound, bytes: bytes) }
    }

    func synchronize() throws(BackendError) {
        backend.state.withLock { state in state.withInode(inode) { $0.synchronize() } }
    }

    func startWriteback(_ range: Range<UInt64>) {}

    func truncate(to size: UInt64) throws(BackendError) {
        try checkWritable()
        guard size <= SystemLimits.offsetMax else { throw tooLarge("ftruncate") }
        backend.state.withLock { $0.change(inode, .truncate(size: size)) }
    }

    func punchHole(_ range: Range<UInt64>) throws(BackendError) -> Bool {
        try checkWritable()
        guard range.upperBound <= SystemLimits.offsetMax else { throw tooLarge("fallocate") }
        if !range.isEmpty { backend.state.withLock { $0.change(inode, .punch(range)) } }
        return true
    }

    func preallocate(_ range: Range<UInt64>) throws(BackendError) -> Bool {
        try checkWritable()
        guard range.upperBound <= SystemLimits.offsetMax else { throw tooLarge("fallocate") }
        if !range.isEmpty { try takingPages(range) { .reserve(range) } }
        return true
    }

    /// Makes a change that may take pages, if they are there.
    private func takingPages(
        _ range: Range<UInt64>, _ kind: () -> MemoryChange.Kind
    ) throws(BackendError) {
        try backend.state.withLock { state throws(BackendError) in
            let missing = state.withInode(inode) { $0.live.pagesMissing(in: range) }
            guard missing <= state.pagesMax - min(state.pagesMax, state.pagesUsed) else {
                throw .noSpace(name: name)
            }
            state.change(inode, kind())
        }
    }

    private func checkWritable() throws(BackendError) {
        guard isWritable else { throw .readOnly(name: name) }
    }

    private func tooLarge(_ call: StaticString) -> BackendError {
        .system(name: name, code: Errno.fileTooLarge.rawValue, call: call)
    }
}
