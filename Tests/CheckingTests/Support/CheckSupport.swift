// How the tests run checks and show what was found.
import Backends
import DiskFormat
import Packs

@testable import Checking

extension Scene {
    func check(_ depth: CheckDepth = .full) throws -> CheckReport {
        try checkStore(store.backend, depth)
    }
}

func checkStore(_ backend: any Backend, _ depth: CheckDepth = .full) throws -> CheckReport {
    try StoreCheck.run(backend, options: CheckOptions(depth: depth))
}

extension CheckReport {
    /// What is worse than normal.
    var complaints: [Problem] { problems.filter { $0.severity > .information } }

    var text: String {
        problems.map { problem in
            "\(problem.severity) \(problem.kind) \(problem.place) \(problem.detail) "
                + "\(problem.pathCount): \(problem.paths.map(\.text))"
        }.joined(separator: "\n")
    }
}

extension Inventory {
    /// The first byte of a copy's frame within its pack.
    func frameOffset(_ copy: ChunkTable.Copy) throws -> (pack: PackID, offset: UInt64) {
        let record = records[Int(copy.record)]
        let pack = packs[Int(record.pack)]
        let prefix = try pack.reader.readPrefix(at: record.offset).prefix
        let before = prefix.frames[..<Int(copy.frame)].reduce(0) { $0 + UInt64($1.storedBytes) }
        return (pack.id, record.offset + 48 + UInt64(prefix.byteCount) + before)
    }

    /// The frames of all copies of a chunk.
    func frameOffsets(of name: ChunkName) throws -> [(pack: PackID, offset: UInt64)] {
        guard let number = table.number(of: name) else { return [] }
        return try table.range(of: number).map { try frameOffset(table.copies[$0]) }
    }
}
