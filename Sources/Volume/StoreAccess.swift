// The chunk store as folding and the trees want it, and its errors as POSIX knows them.
import DiskFormat
import FileModel
import Folding
import Metadata
import Pipeline
import Platform
import Trees

/// The store as a place of nodes and data, for one task: remembers the store's own error, of which
/// `TreeError` tells little.
///
/// Belongs to one thread.
final class StoreAccess: ContentStore {
    let store: ChunkStore
    private(set) var failure: StoreError?
    /// Whether what is put is of a file that will be read and changed in places.
    private var isOfLargeFile: Bool

    /// Begins another task.
    func reset(isOfLargeFile: Bool) {
        failure = nil
        self.isOfLargeFile = isOfLargeFile
    }

    init(_ store: ChunkStore, isOfLargeFile: Bool = false) {
        self.store = store
        self.isOfLargeFile = isOfLargeFile
    }

    var leaves: RecipeLeaves? { store.leaves }

    func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        try run(name) { () throws(StoreError) in try store.bytes(of: name, domain: domain) }
    }

    func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        try run(nil) { () throws(StoreError) in
            try bytes.withUnsafeBufferPointer { (bytes) throws(StoreError) in
                try store.put(UnsafeRawBufferPointer(bytes), domain: domain)
            }
        }
    }

    func putData(_ bytes: UnsafeRawBufferPointer) throws(TreeError) -> ChunkName {
        try run(nil) { () throws(StoreError) in
            try store.put(bytes, domain: .data, isOfLargeFile: isOfLargeFile)
        }
    }

    func readData(
        _ name: ChunkName, from offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(TreeError) {
        try run(name) { () throws(StoreError) in
            try store.read(name, domain: .data, from: offset, into: buffer)
        }
    }

    private func run<Result>(
        _ name: ChunkName?, _ body: () throws(StoreError) -> Result
    ) throws(TreeError) -> Result {
        do throws(StoreError) {
            return try body()
        } catch {
            failure = error
            if case .missingChunk(let missing) = error { throw .missing(missing) }
            throw .storage(node: name)
        }
    }

    /// What the caller of a file operation is told of an error that came through here.
    func fileError(_ error: TreeError) -> FileError {
        if let failure { return posixError(failure) }
        switch error {
        case .missing, .format: return .damaged
        case .storage, .splitsChunk, .badEdit: return .io
        }
    }
}

/// The one place where a store's errors become those of POSIX.
func posixError(_ error: StoreError) -> FileError {
    switch error {
    case .missingChunk, .damagedChunk, .outOfRange: .damaged
    case .noSpace: .noSpace
    case .readOnly, .lostPacks, .damagedLog: .readOnly
    case .backend(.noSpace): .noSpace
    case .backend(.readOnly): .readOnly
    case .pack(.backend(.noSpace, pack: _)): .noSpace
    case .index(.noSpace): .noSpace
    case .commitTooLong, .notAStore, .exists, .pack, .backend, .index, .indexDamaged, .noCommit,
        .hashing,
        .superChunk, .threads, .tooManySnapshots:
        .io
    }
}

extension Volume {
    func fileError(_ error: StoreError) -> FileError {
        posixError(error)
    }
}
