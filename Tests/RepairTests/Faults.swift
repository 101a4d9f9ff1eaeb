import Backends
import Checking
import DiskFormat
import Packs
import XCTest

/// Where things lie in the packs of a store, and ways to harm them.
extension TestStore {
    struct Found {
        var pack: PackID
        var offset: UInt64
        var header: RecordHeader
    }

    func packIDs() throws -> [PackID] {
        try backend.list(prefix: "packs/").compactMap { PackID(fileName: $0.name) }.sorted()
    }

    /// All records that `isWanted`.
    func records(where isWanted: (RecordHeader) -> Bool) throws -> [Found] {
        var result: [Found] = []
        for id in try packIDs() {
            let reader = try PackReader(id, in: backend, expecting: nil)
            for entry in try reader.records().entries {
                let header = try reader.header(at: entry.offset)
                if isWanted(header) {
                    result.append(Found(pack: id, offset: entry.offset, header: header))
                }
            }
        }
        return result
    }

    func dataRecords() throws -> [Found] {
        try records { $0.kind == .superChunk && !$0.flags.contains(.metadata) }
    }

    func nodeRecords() throws -> [Found] {
        try records { $0.kind == .superChunk && $0.flags.contains(.metadata) }
    }

    func commits() throws -> [Found] {
        try records { $0.kind == .commit }
    }

    /// Makes the root node of a directory at the top unreadable, and what lies in its frame.
    func spoilDirectory(_ name: String) throws {
        let volume = try XCTUnwrap(try State.open(backend).volume(named: "main"))
        guard case .directory(let node)? = try volume.resolve(name)?.content else {
            return XCTFail("\(name) has no tree")
        }
        for record in try nodeRecords() {
            let reader = try PackReader(record.pack, in: backend, expecting: nil)
            let prefix = try reader.readPrefix(at: record.offset).prefix
            guard prefix.chunks.contains(where: { $0.name == node.name }) else { continue }
            XCTAssertFalse(prefix.chunks.contains { $0.name == volume.rootName })
            try spoilBody(record)
        }
    }

    /// Flips bits in the last bytes of a record's body.
    func spoilBody(_ record: Found) throws {
        let end = record.offset + UInt64(RecordHeader.byteCount) + UInt64(record.header.storedBytes)
        try flip(record.pack, at: end - 5)
    }

    func spoilHeader(_ record: Found) throws {
        try flip(record.pack, at: record.offset + 3)
    }

    func flip(_ pack: PackID, at offset: UInt64) throws {
        let file = try backend.openFile(pack.fileName, writable: true)
        var byte: [UInt8] = [0]
        _ = try byte.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
        byte[0] ^= 0x5a
        try byte.withUnsafeBytes { try file.write([$0], at: offset) }
        try file.synchronize()
    }

    func truncate(_ pack: PackID, to size: UInt64) throws {
        let file = try backend.openFile(pack.fileName, writable: true)
        try file.truncate(to: size)
        try file.synchronize()
    }
}
