import Checking
import Chunking
import DiskFormat
import Folding
import Hashing
import Pipeline
import Trees

/// Brings what files' images name from one store into another. One thread.
///
/// Where both cut and name alike, chunks and nodes are taken as they are; else content is cut anew.
public final class ChunkCarrier {
    private let source: VolumeState
    private let store: ChunkStore
    private let keepsData: (ChunkName) -> Bool
    private let sink: ChunkSink
    private let folder: Folder<ChunkSink>
    /// Whether chunks are taken as they are.
    let cutsAlike: Bool
    /// Whether a chunk that the source lacks may be the store's own, where that has it.
    var acceptsKnown = false
    /// Else asked for the bytes of such a chunk.
    var held: ((ChunkName) throws(TreeError) -> [UInt8]?)?
    /// Asked often: a file may be of any size, and be said to be of any other. Where it says so what is
    /// under way throws `storage`.
    var isCancelled: () -> Bool = { false }
    /// Bytes of files that were looked at.
    public private(set) var doneBytes: UInt64 = 0
    /// Why the store refused something, of which `TreeError` tells little.
    var failure: StoreError? { sink.failure }
    /// Told of every chunk of data that is brought.
    var onData: ((ChunkName) -> Void)? {
        get { sink.onData }
        set { sink.onData = newValue }
    }

    /// - Parameter withData: false brings nodes alone, for keys.
    public convenience init(
        from source: VolumeState, to store: ChunkStore, withData: Bool
    ) throws(StreamError) {
        try self.init(from: source, to: store, keepsData: { _ in withData })
    }

    /// - Parameter keepsData: whether a chunk of data is brought.
    init(
        from source: VolumeState, to store: ChunkStore,
        keepsData: @escaping (ChunkName) -> Bool
    ) throws(StreamError) {
        self.source = source
        self.store = store
        self.keepsData = keepsData
        cutsAlike =
            source.parameters.hash == store.parameters.hash
            && source.parameters.chunker == store.parameters.chunker
        do throws(HashingError) {
            sink = try ChunkSink(
                store, hash: store.parameters.hash, keepsData: keepsData)
        } catch {
            throw .store(.hashing(error))
        }
        folder = Folder(chunker: Chunker(parameters: store.parameters.chunker), store: sink)
    }

    /// Brings content and attributes of one file.
    ///
    /// - Returns: the image as the other store has it.
    public func carry(_ image: InodeImage) throws(TreeError) -> InodeImage {
        var image = image
        if case .chunk(let name, let byteCount) = image.attributes {
            let bytes = try source.readNode(name, domain: .data)
            let put = try bytes.borrowing { (raw) throws(TreeError) in
                try sink.putAttributes(raw)
            }
            image.attributes = .chunk(put, byteCount: byteCount)
        }
        guard image.mode >> 12 == 8 else { return image }
        doneBytes &+= image.size
        guard cutsAlike, !source.hasPieces(image) else {
            try cut(&image)
            return image
        }
        switch image.content {
        case .chunk(let name): try carryData(name)
        case .recipe(let root): try carryRecipe(root)
        case .none, .directory, .target: break
        }
        return image
    }

    private func isKnown(_ name: ChunkName) -> Bool { (try? store.isKnown(name)) ?? false }

    private func carryData(_ name: ChunkName) throws(TreeError) {
        // A put of what is known counts too: it is remembered as in use.
        guard keepsData(name) else { return }
        let bytes: [UInt8]
        do throws(TreeError) {
            bytes = try source.readNode(name, domain: .data)
        } catch {
            guard case .missing = error, acceptsKnown else { throw error }
            if isKnown(name) { return }
            guard let found = try held?(name) else { throw error }
            bytes = found
        }
        let put = try bytes.borrowing { (raw) throws(TreeError) in try sink.putData(raw) }
        guard put == name else { throw .format(.badValue("chunk: name"), node: name) }
    }

    private func carryRecipe(_ root: NodeReference) throws(TreeError) {
        let reader = ListReader<RecipeSchema, VolumeState>(store: source)
        var pending = [root]
        // A node may be there many times: a hostile recipe of a few nodes has more places than can be
        // walked.
        var seen: Set<ChunkName> = []
        while let reference = pending.popLast() {
            guard seen.insert(reference.name).inserted else { continue }
            if isCancelled() { throw .storage(node: nil) }
            switch try reader.node(reference) {
            case .leaf(let extents):
                for case .data(let name, _) in extents { try carryData(name) }
            case .inner(let level, let children):
                pending += children.reversed().map {
                    NodeReference(name: $0.child, level: level - 1)
                }
            }
            let bytes = try source.readNode(reference.name, domain: .recipe)
            guard try sink.writeNode(bytes, domain: .recipe) == reference.name else {
                throw .format(.badValue("node: name"), node: reference.name)
            }
        }
    }

    /// Cuts anew what the source has.
    private func cut(_ image: inout InodeImage) throws(TreeError) {
        sink.reset()
        var patches: [Patch] = []
        try source.forEachExtent(of: image) { extent throws(TreeError) in
            if isCancelled() { throw .storage(node: nil) }
            let kind: PatchSource
            switch extent.source {
            case .data: kind = .bytes
            case .zeros: kind = .zeros
            case .hole: return true
            }
            if let last = patches.last, last.kind == kind,
                last.range.upperBound == extent.range.lowerBound
            {
                let whole = last.range.lowerBound..<extent.range.upperBound
                patches[patches.count - 1] = Patch(range: whole, kind: kind)
            } else {
                patches.append(Patch(range: extent.range, kind: kind))
            }
            return true
        }
        let result = try folder.fold(
            StoredContent(), patches: patches,
            bytes: StoredBytes(image: image, source: source, isCancelled: isCancelled),
            newSize: image.size)
        image.content = result.content.key
        image.allocatedBytes = result.allocatedBytes
    }
}

/// The bytes of a stored file for a fold.
private struct StoredBytes: PatchBytes {
    let image: InodeImage
    let source: VolumeState
    let isCancelled: () -> Bool

    func copy(
        _ range: Range<UInt64>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(TreeError) {
        if isCancelled() { throw .storage(node: nil) }
        let bytes = try source.read(image, at: range.lowerBound, count: range.count)
        guard bytes.count == buffer.count else { throw .storage(node: nil) }
        bytes.withUnsafeBytes { buffer.copyMemory(from: $0) }
    }
}
