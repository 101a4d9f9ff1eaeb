import DiskFormat
import Folding
import Hashing
import Trees
import XCTest

/// Chunks and nodes in dictionaries; counts what is read and put.
final class MemoryContentStore: ContentStore {
    private(set) var chunks: [ChunkName: [UInt8]] = [:]
    private(set) var nodes: [ChunkName: [UInt8]] = [:]
    var nodeReads = 0
    var nodeWrites = 0
    var dataReads = 0
    var dataPuts = 0
    var leaves: RecipeLeaves?
    /// Chunks are named and forgotten.
    let forgetsData: Bool
    private let hasher: ChunkHasher

    init(forgetsData: Bool = false) throws {
        self.forgetsData = forgetsData
        hasher = try ChunkHasher(.sha256)
    }

    func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        nodeReads += 1
        guard let bytes = nodes[name] else { throw .missing(name) }
        return bytes
    }

    func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        nodeWrites += 1
        let name = bytes.withUnsafeBytes { hasher.name(of: $0, domain: domain) }
        nodes[name] = bytes
        return name
    }

    func putData(_ bytes: UnsafeRawBufferPointer) throws(TreeError) -> ChunkName {
        dataPuts += 1
        XCTAssertGreaterThan(bytes.count, 0)
        let name = hasher.name(of: bytes, domain: .data)
        if !forgetsData, chunks[name] == nil { chunks[name] = Array(bytes) }
        return name
    }

    func readData(
        _ name: ChunkName, from offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(TreeError) {
        dataReads += 1
        guard let bytes = chunks[name], offset + buffer.count <= bytes.count else {
            throw .missing(name)
        }
        bytes.withUnsafeBytes {
            buffer.copyMemory(from: .init(rebasing: $0[offset..<offset + buffer.count]))
        }
    }

    func resetCounters() {
        (nodeReads, nodeWrites, dataReads, dataPuts) = (0, 0, 0, 0)
    }

    /// Keeps a node under a name that is not its own, as a hostile store would.
    func forge(_ name: ChunkName, _ bytes: [UInt8]) { nodes[name] = bytes }
}

/// The bytes of patches lie in one array, at the file's offsets.
struct ArrayBytes: PatchBytes {
    var bytes: [UInt8]

    func copy(_ range: Range<UInt64>, into buffer: UnsafeMutableRawBufferPointer) {
        XCTAssertEqual(Int(range.upperBound - range.lowerBound), buffer.count)
        bytes.withUnsafeBytes {
            buffer.copyMemory(
                from: .init(rebasing: $0[Int(range.lowerBound)..<Int(range.upperBound)]))
        }
    }
}
