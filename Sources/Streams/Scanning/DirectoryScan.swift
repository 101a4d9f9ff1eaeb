import DiskFormat
import Hashing
import Pipeline
import Platform
import Trees

/// A walk through a directory of the machine that makes a tree of it in a store.
///
/// The scan's thread walks and assembles the tree; workers read and cut files meanwhile. What was met
/// waits in a window, in order, until the files before it are cut.
///
///     walk ──▶ window: begin, file, file, end … ──▶ assembler ──▶ tree nodes
///                       └▶ workers: read, cut, store
public final class DirectoryScan {
    /// What is told while a scan goes on, on its thread.
    public struct Events {
        /// At most some hundred times a second.
        public var onProgress: (ScanCounts, _ path: [UInt8]) -> Void = { _, _ in }
        public var onProblem: (ScanProblem) -> Void = { _ in }
        /// Makes durable what was put until now; from time to time.
        public var keep: () throws(StreamError) -> Void = {}

        public init() {}
    }

    /// Most of what waits in order for files before it.
    static let windowMax = 1024

    let options: ScanOptions
    let base: ScanBase?
    let readers: FileReaders
    /// For the attributes of what is not read by workers.
    let sink: ChunkSink
    public internal(set) var counts = ScanCounts()
    private let events: Events
    private let isCancelled: @Sendable () -> Bool
    private var assembler: TreeAssembler
    private let nodes: NotingNodes
    private var window = ScanWindow()
    private let keepClock: KeepClock
    private var lastTold: UInt64 = 0

    /// - Parameters:
    ///   - store: gets chunks and nodes.
    ///   - keepsContent: false for keys alone: what is read is named and cut, and not stored.
    ///   - nextInode: above every inode number of the volume.
    ///   - moreInodes: as `TreeAssembler` has it.
    ///   - isCancelled: asked often, on all threads.
    public init(
        into store: ChunkStore, keepsContent: Bool = true, nextInode: UInt64,
        moreInodes: ((_ count: UInt64) -> Range<UInt64>)? = nil,
        base: ScanBase? = nil, options: ScanOptions = ScanOptions(), events: Events = Events(),
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws(StreamError) {
        self.options = options
        self.base = base
        self.events = events
        self.isCancelled = isCancelled
        assembler = TreeAssembler(
            store: store, nextInode: max(nextInode, base?.root.nextInode ?? 0),
            moreInodes: moreInodes)
        nodes = assembler.nodes
        keepClock = KeepClock(store, seconds: options.keepSeconds, keep: events.keep)
        do throws(HashingError) {
            sink = try ChunkSink(store, hash: store.parameters.hash)
        } catch {
            throw .store(.hashing(error))
        }
        readers = try FileReaders(
            store, keepsContent: keepsContent, count: max(1, options.workerCount),
            isCancelled: isCancelled)
    }

    /// Scans. Once.
    ///
    /// - Returns: the root of what was scanned, of the volume: its tree is in the store, and durable
    ///   with the store's next commit. Its time is when the scan began.
    /// - Throws: whatever ends it; what was stored until then belongs to nobody.
    public func run(
        _ source: OpenDirectory, volumeID: UniqueID, volumeName: String
    ) throws(StreamError) -> RootImage {
        defer { readers.shutdown() }
        let stamp = stampClock()
        let facts: FileFacts
        do throws(Errno) {
            facts = try source.facts()
        } catch {
            throw .source(ScanProblem(path: [], kind: .failed("look at", error)))
        }
        var walk = ScanWalk(self, device: facts.device)
        try walk.run(source, facts)
        while try drainOne(waiting: true) {}
        try keepClock.check()
        counts.readBytes = readers.readBytes
        counts.changedFiles = readers.changedFiles
        return try nodes.noting { () throws(TreeError) in
            try assembler.finish(
                volumeID: volumeID, volumeName: volumeName,
                time: DiskTime(seconds: stamp.seconds, nanoseconds: stamp.nanoseconds))
        }
    }

    /// What the next thing met comes behind.
    func push(_ event: ScanWindow.Event) throws(StreamError) {
        if isCancelled() { throw .cancelled }
        window.append(event)
        while try drainOne(waiting: window.count > DirectoryScan.windowMax) {}
        try keepClock.tick()
    }

    func tell(_ path: [UInt8]) {
        let now = monotonicNanoseconds()
        guard now - lastTold >= 5_000_000 else { return }
        lastTold = now
        counts.readBytes = readers.readBytes
        events.onProgress(counts, path)
    }

    /// A file that is left out, or the end.
    func report(_ problem: ScanProblem) throws(StreamError) {
        // Whoever deleted it meanwhile might have done so before.
        if case .failed(_, .noSuchFileOrDirectory) = problem.kind { return }
        if options.errorPolicy == .stop { throw .source(problem) }
        counts.skipped += 1
        events.onProblem(problem)
    }

    // MARK: the tree

    /// Takes what waits longest into the tree. Returns false where there is nothing, or it has to
    /// wait for a file and is not waited for.
    private func drainOne(waiting: Bool) throws(StreamError) -> Bool {
        guard let event = window.first, waiting || event.isReady else { return false }
        window.removeFirst()
        switch event {
        case .begin(let name, let image, let previous):
            assembler.begin(name, image, previous: previous)
        case .end: try nodes.noting { () throws(TreeError) in try assembler.end() }
        case .again(let name, let link):
            // Where the first name was left out, so are the others: that was told.
            try nodes.noting { () throws(TreeError) in _ = try assembler.add(name, link: link) }
        case .file(let file): try take(file)
        }
        return true
    }

    private func take(_ file: ScanWindow.File) throws(StreamError) {
        var image = file.image
        if let slot = file.slot {
            do throws(FileReaders.Failure) {
                image = try result(of: slot).get()
            } catch {
                switch error {
                case .cancelled: throw .cancelled
                case .problem(let problem): return try report(problem)
                case .store(let reason): throw .store(reason)
                case .tree(let reason): throw .tree(reason)
                }
            }
        }
        counts.entries += 1
        if image.mode >> 12 == 8 {
            counts.files += 1
            counts.logicalBytes &+= image.size
        } else {
            counts.others += 1
        }
        try nodes.noting { () throws(TreeError) in
            if let link = file.link {
                try assembler.add(
                    file.name, image, previous: file.previous, link: link,
                    namesTotal: file.namesTotal)
            } else {
                try assembler.add(file.name, image, previous: file.previous)
            }
        }
    }

    /// Waits for a file, and goes on telling of it.
    private func result(of slot: FileReaders.Slot) -> FileReaders.Result {
        while true {
            if let result = slot.wait(nanoseconds: 100_000_000) { return result }
            tell([])
            // A big file is many chunks.
            keepClock.look()
        }
    }
}
