// Lost chunks, looked for in files and packs.
import Backends
import Chunking
import Compression
import DiskFormat
import Hashing
import Packs
import Pipeline
import Platform
import SuperChunks
import Trees

/// A search for some chunks. What is found was verified by its name. One thread.
final class ChunkSearch {
    /// Bytes of a file that are read at once.
    private static let windowBytes = 4 << 20

    private let chunker: Chunker
    private let hasher: ChunkHasher
    private let codec = StoredFrames()
    private let pool = BufferPool(capacityBytes: 1 << 20, keptBytesMax: 4 << 20)
    private let algorithm: HashAlgorithm
    private var scratch = ChunkerScratch()
    /// Takes what was found.
    private let take: (_ bytes: [UInt8], ChunkDomain) throws(RepairError) -> Void
    /// What is still to be found.
    private(set) var wanted: Set<ChunkName>
    private(set) var found: [ChunkName] = []
    private(set) var bytesRead: UInt64 = 0
    /// Whether something else than data was found: a node, whose children may be stored unowned.
    private(set) var hasFoundNodes = false

    /// - Parameter take: stores a chunk that was found.
    init(
        _ wanted: Set<ChunkName>, parameters: StoreParameters,
        take: @escaping (_ bytes: [UInt8], ChunkDomain) throws(RepairError) -> Void
    ) throws(RepairError) {
        self.wanted = wanted
        self.take = take
        algorithm = parameters.hash
        chunker = Chunker(parameters: parameters.chunker)
        do throws(HashingError) {
            hasher = try ChunkHasher(parameters.hash)
        } catch {
            throw .store(.hashing(error))
        }
    }

    fileprivate func offer(
        _ bytes: UnsafeRawBufferPointer, _ domain: ChunkDomain
    ) throws(RepairError) -> ChunkName {
        let name = hasher.name(of: bytes, domain: domain)
        if wanted.remove(name) != nil {
            try take(Array(bytes), domain)
            found.append(name)
            if domain != .data { hasFoundNodes = true }
        }
        return name
    }

    // MARK: packs

    /// The header of a file that is a pack; nil for any other.
    static func packHeader(_ file: SourceFile) -> PackHeader? {
        guard file.bytes >= UInt64(PackHeader.byteCount) else { return nil }
        var bytes = [UInt8](repeating: 0, count: PackHeader.byteCount)
        let count = bytes.withUnsafeMutableBytes { try? file.read(at: 0, into: $0) }
        guard count == bytes.count else { return nil }
        return bytes.withUnsafeBytes { try? PackHeader($0) }
    }

    /// Takes what is wanted out of a pack, of whatever store with the same hash.
    func searchPack(_ file: SourceFile, _ header: PackHeader) throws(RepairError) {
        guard header.parameters.hash == algorithm else { return }
        let backend = LoneFileBackend(file, as: header.id.fileName)
        guard let reader = try? PackReader(header.id, in: backend, expecting: nil),
            let contents = try? reader.records()
        else { return }
        for entry in contents.entries
        where entry.kindByte == RecordHeader.Kind.superChunk.rawValue && !wanted.isEmpty {
            guard let prefix = try? reader.readPrefix(at: entry.offset).prefix,
                prefix.chunks.contains(where: { wanted.contains($0.name) }),
                let (recordHeader, body) = try? reader.readRecord(at: entry.offset)
            else { continue }
            bytesRead += UInt64(body.count)
            try searchRecord(recordHeader, body)
        }
    }

    private func searchRecord(_ header: RecordHeader, _ body: [UInt8]) throws(RepairError) {
        try body.withUnsafeBufferPointer { (buffer) throws(RepairError) in
            let bytes = UnsafeRawBufferPointer(buffer)
            guard let opener = try? SuperChunkOpener(header: header, body: bytes) else { return }
            for index in 0..<opener.frameCount {
                guard let frame = try? opener.frame(index, body: bytes, using: codec, pool: pool)
                else { continue }
                for entry in frame.entries where wanted.contains(entry.name) {
                    try frame.withBytes(of: entry) { (chunk) throws(RepairError) in
                        _ = try offer(chunk, entry.domain)
                    }
                }
            }
        }
    }

    // MARK: files

    /// Cuts a file as the store does, and takes what is wanted: chunks of data, and the nodes of
    /// the recipe that the file would have.
    ///
    /// - Throws: nothing for what cannot be read: what lies behind it is cut otherwise, and left.
    func searchFile(_ file: SourceFile) throws(RepairError) {
        guard file.bytes > 0 else { return }
        let recipe = RecipeGuess(search: self, hasHoles: file.allocatedBytes < file.bytes)
        var buffer = [UInt8](
            repeating: 0, count: max(ChunkSearch.windowBytes, 2 * chunker.lookaheadBytes))
        var filled = 0
        var position: UInt64 = 0
        var followsZeros = false
        while position < file.bytes {
            let space = filled
            let read = buffer.withUnsafeMutableBytes { raw in
                try? file.read(
                    at: position + UInt64(space),
                    into: UnsafeMutableRawBufferPointer(rebasing: raw[space...]))
            }
            guard let read else { return }
            filled += read
            bytesRead += UInt64(read)
            let isEnd = position + UInt64(filled) >= file.bytes || read == 0
            var cuts: [Cut] = []
            let consumed = try buffer.withUnsafeBufferPointer { (all) throws(RepairError) in
                let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(all)[..<filled])
                let consumed = chunker.cut(
                    bytes, at: position, isEnd: isEnd, followsZeros: followsZeros, into: &cuts,
                    scratch: &scratch)
                try take(cuts, of: bytes, recipe)
                return consumed
            }
            if let last = cuts.last { followsZeros = last.kind == .zeros }
            if isEnd { break }
            buffer.removeSubrange(..<consumed)
            buffer.append(contentsOf: repeatElement(0, count: consumed))
            filled -= consumed
            position += UInt64(consumed)
        }
        try recipe.finish()
    }

    private func take(
        _ cuts: [Cut], of bytes: UnsafeRawBufferPointer, _ recipe: RecipeGuess
    ) throws(RepairError) {
        var start = 0
        for cut in cuts {
            switch cut.kind {
            case .data:
                let chunk = UnsafeRawBufferPointer(rebasing: bytes[start..<start + cut.length])
                let name = try offer(chunk, .data)
                try recipe.append(.data(name, length: UInt32(cut.length)))
            case .zeros: try recipe.appendZeros(UInt64(cut.length))
            }
            start += cut.length
        }
    }
}

/// The recipe that a file would have: with its runs of zeros as allocated zeros, and, where the
/// file has holes, also with all of them as holes. Nodes that are wanted are found on the way. One
/// thread.
private final class RecipeGuess {
    /// Names nodes, and keeps none.
    private struct Nodes: NodeStore {
        let search: ChunkSearch

        func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
            throw .missing(name)
        }

        func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
            do throws(RepairError) {
                return try bytes.withUnsafeBufferPointer { (buffer) throws(RepairError) in
                    try search.offer(UnsafeRawBufferPointer(buffer), domain)
                }
            } catch {
                throw .storage(node: nil)
            }
        }
    }

    private var builders: [ListBuilder<RecipeSchema, Nodes>]
    private var zeroBytes: UInt64 = 0

    init(search: ChunkSearch, hasHoles: Bool) {
        let nodes = Nodes(search: search)
        builders = (0..<(hasHoles ? 2 : 1)).map { _ in ListBuilder(store: nodes) }
    }

    func append(_ extent: Extent) throws(RepairError) {
        try flushZeros()
        for index in builders.indices { try add(extent, index) }
    }

    func appendZeros(_ count: UInt64) throws(RepairError) {
        zeroBytes += count
    }

    func finish() throws(RepairError) {
        try flushZeros()
        for index in builders.indices {
            do throws(TreeError) {
                _ = try builders[index].finish()
            } catch {
                throw .store(.readOnly(reason: "a node that was found could not be stored"))
            }
        }
    }

    private func flushZeros() throws(RepairError) {
        guard zeroBytes > 0 else { return }
        try add(.zeros(length: zeroBytes), 0)
        if builders.count > 1 { try add(.hole(length: zeroBytes), 1) }
        zeroBytes = 0
    }

    private func add(_ extent: Extent, _ index: Int) throws(RepairError) {
        do throws(TreeError) {
            try builders[index].append(extent)
        } catch {
            throw .store(.readOnly(reason: "a node that was found could not be stored"))
        }
    }
}

/// Frames as they are stored, for reading only.
struct StoredFrames: FrameCodec {
    private let pool = CompressionPool(idleMax: 1)

    func compress(
        _ raw: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> Int? { nil }

    func decompress(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(FrameCodecError) {
        do throws(CompressionError) {
            try pool.decompress(stored, codec: .zstd, into: raw)
        } catch {
            throw error == .outOfMemory ? .outOfMemory : .damaged
        }
    }
}
