import DiskFormat
import Folding
import Hashing
import Pipeline
import Trees

/// Where the chunks of files that are cut go: into a store, or nowhere, when only keys are wanted.
///
/// One thread at a time.
final class ChunkSink: ContentStore {
    private let store: ChunkStore?
    /// Whether the store gets a chunk of data of that name.
    private let keepsData: (ChunkName) -> Bool
    private let hasher: ChunkHasher
    /// Nodes that were put nowhere, of the file that is being cut: they are read again.
    private var nodes: [ChunkName: [UInt8]] = [:]
    /// Told of every chunk of data.
    var onData: ((ChunkName) -> Void)?
    /// The store's own error, of which `TreeError` tells little.
    private(set) var failure: StoreError?

    /// - Parameter store: nil where nothing is to be kept.
    init(
        _ store: ChunkStore?, hash: HashAlgorithm,
        keepsData: @escaping (ChunkName) -> Bool = { _ in true }
    ) throws(HashingError) {
        self.store = store
        self.keepsData = keepsData
        hasher = try ChunkHasher(hash)
    }

    /// A new file begins.
    func reset() {
        nodes = [:]
        failure = nil
    }

    func putData(_ bytes: UnsafeRawBufferPointer) throws(TreeError) -> ChunkName {
        let name = hasher.name(of: bytes, domain: .data)
        onData?(name)
        guard let store, keepsData(name) else { return name }
        return try run { () throws(StoreError) in try store.put(bytes, domain: .data) }
    }

    /// Attributes that are too long for an inode: kept also where content is not.
    func putAttributes(_ bytes: UnsafeRawBufferPointer) throws(TreeError) -> ChunkName {
        guard let store else { return hasher.name(of: bytes, domain: .data) }
        return try run { () throws(StoreError) in try store.put(bytes, domain: .data) }
    }

    func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        guard let store else {
            let name = bytes.withUnsafeBytes { hasher.name(of: $0, domain: domain) }
            nodes[name] = bytes
            return name
        }
        return try run { () throws(StoreError) in
            try bytes.withUnsafeBufferPointer { (buffer) throws(StoreError) in
                try store.put(UnsafeRawBufferPointer(buffer), domain: domain)
            }
        }
    }

    func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        guard let store else {
            guard let bytes = nodes[name] else { throw .missing(name) }
            return bytes
        }
        return try run { () throws(StoreError) in try store.bytes(of: name, domain: domain) }
    }

    func readData(
        _ name: ChunkName, from offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(TreeError) {
        // What is cut has no old content but what was cut just before: nothing is read again.
        guard let store else { throw .missing(name) }
        try run { () throws(StoreError) in
            try store.read(name, domain: .data, from: offset, into: buffer)
        }
    }

    private func run<Result>(
        _ body: () throws(StoreError) -> Result
    ) throws(TreeError) -> Result {
        do throws(StoreError) {
            return try body()
        } catch {
            failure = error
            throw .storage(node: nil)
        }
    }
}
