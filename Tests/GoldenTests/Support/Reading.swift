// The rows that the independent reader and a live volume show.
import Checking
import DiskFormat
import FileModel
import Volume
import XCTest

/// Longest run whose bytes a test reads.
private let runBytesMax: UInt64 = 1 << 24

extension VolumeState {
    /// Every name of the volume, its root first, directories before what is in them.
    func rows() throws -> [Row] {
        var rows = [try row("/", directory)]
        var pending: [(path: [UInt8], image: InodeImage)] = [([], directory)]
        while let (path, image) = pending.popLast() {
            var entries: [Entry] = []
            try forEachEntry(of: image) { entry in
                entries.append(entry)
                return true
            }
            for entry in entries {
                let child = try XCTUnwrap(try self.image(of: entry), Row.escaped(entry.name))
                let name = path + [0x2f] + entry.name
                XCTAssertEqual(UInt32(entry.kind), child.mode >> 12, Row.escaped(name))
                rows.append(try row(Row.escaped(name), child))
                if child.mode >> 12 == 4 { pending.append((name, child)) }
            }
        }
        return rows
    }

    private func row(_ path: String, _ image: InodeImage) throws -> Row {
        var row = Row(path, image.inode, image.mode, links: image.linkCount)
        row.generation = image.generation
        row.owner = image.owner
        row.group = image.group
        row.device = image.device.map { [$0.major, $0.minor] } ?? []
        row.size = image.size
        row.allocated = image.allocatedBytes
        row.times = [
            image.modificationTime, image.changeTime, image.accessTime, image.birthTime,
        ].map { Row.Time(seconds: $0.seconds, nanoseconds: $0.nanoseconds) }
        if case .target(let target) = image.content {
            row.target = String(decoding: target, as: UTF8.self)
        }
        row.runs = try dataRanges(image).map { range in
            let bytes = try read(image, at: range.lowerBound, count: range.count)
            return Row.Run(range.lowerBound, UInt64(range.count), Row.hash(bytes))
        }
        row.attributes = try attributes(of: image).attributes.map {
            Row.attribute($0.name, $0.value)
        }
        return row
    }

    private func dataRanges(_ image: InodeImage) throws -> [Range<UInt64>] {
        var ranges: [Range<UInt64>] = []
        try forEachExtent(of: image) { extent in
            if extent.source == .hole { return true }
            if let last = ranges.last, last.upperBound == extent.range.lowerBound {
                ranges[ranges.count - 1] = last.lowerBound..<extent.range.upperBound
            } else {
                ranges.append(extent.range)
            }
            return true
        }
        return ranges
    }
}

extension FilesystemOperations {
    /// As those of `VolumeState`, by the operations that a mount would call.
    func rows() throws -> [Row] {
        let root = try attributes(of: RootImage.rootInode)
        var rows = [try row("/", root)]
        var pending: [(path: [UInt8], inode: UInt64)] = [([], RootImage.rootInode)]
        while let (path, inode) = pending.popLast() {
            var entries: [(name: [UInt8], kind: FileKind, attributes: FileAttributes)] = []
            try readDirectory(inode, after: 0, withAttributes: true) {
                (name, _, kind, _, attributes) in
                // Not for "." and "..".
                if let attributes { entries.append(([UInt8](name), kind, attributes)) }
                return true
            }
            entries.sort { $0.name.lexicographicallyPrecedes($1.name) }
            for entry in entries {
                let name = path + [0x2f] + entry.name
                XCTAssertEqual(entry.kind, entry.attributes.kind, Row.escaped(name))
                let found = try entry.name.withUnsafeBytes { try lookup($0, in: inode) }
                XCTAssertEqual(found, entry.attributes, Row.escaped(name))
                rows.append(try row(Row.escaped(name), entry.attributes))
                if entry.kind == .directory { pending.append((name, entry.attributes.inode)) }
            }
        }
        return rows
    }

    private func row(_ path: String, _ found: FileAttributes) throws -> Row {
        var row = Row(path, found.inode, found.mode, links: UInt64(found.linkCount))
        row.generation = found.generation
        row.owner = found.owner
        row.group = found.group
        if found.kind == .blockDevice || found.kind == .characterDevice {
            row.device = [found.deviceMajor, found.deviceMinor]
        }
        row.size = found.size
        row.allocated = found.allocatedBytes
        row.times = [
            found.modificationTime, found.changeTime, found.accessTime, found.birthTime,
        ].map { Row.Time(seconds: $0.seconds, nanoseconds: $0.nanoseconds) }
        if found.kind == .symbolicLink {
            row.target = String(decoding: try readSymbolicLink(found.inode), as: UTF8.self)
        }
        if found.kind == .regular { row.runs = try runs(found) }
        let names = try extendedAttributeNames(of: found.inode).split(separator: 0)
        row.attributes = try names.map { name in
            let value = try Array(name).withUnsafeBytes {
                try extendedAttribute($0, of: found.inode)
            }
            return Row.attribute(Array(name), value)
        }
        return row
    }

    private func runs(_ found: FileAttributes) throws -> [Row.Run] {
        var runs: [Row.Run] = []
        var position: UInt64 = 0
        while position < found.size {
            let start: UInt64
            do {
                start = try seek(found.inode, .data, from: position)
            } catch FileError.noSuchPosition {
                break
            }
            let end = try seek(found.inode, .hole, from: start)
            XCTAssertLessThan(start, end)
            XCTAssertLessThanOrEqual(end - start, runBytesMax)
            let bytes = try read(found.inode, at: start, count: Int(end - start))
            runs.append(Row.Run(start, end - start, Row.hash(bytes)))
            position = end
        }
        return runs
    }

    func read(_ inode: UInt64, at offset: UInt64, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xaa, count: count)
        let got = try bytes.withUnsafeMutableBytes { try read(inode, at: offset, into: $0) }
        XCTAssertEqual(got, count)
        return Array(bytes.prefix(got))
    }
}

/// Compares row by row, so that a failure names the file.
func assertRows(
    _ found: [Row], _ expected: [Row], _ what: String, line: UInt = #line
) {
    let foundByPath = Dictionary(found.map { ($0.path, $0) }, uniquingKeysWith: { a, _ in a })
    let expectedByPath = Dictionary(
        expected.map { ($0.path, $0) }, uniquingKeysWith: { a, _ in a })
    XCTAssertEqual(foundByPath.count, found.count, "\(what): a path twice", line: line)
    XCTAssertEqual(expectedByPath.count, expected.count, "\(what): a row twice", line: line)
    for row in expected {
        guard let other = foundByPath[row.path] else {
            XCTFail("\(what): \(row.path) is not there", line: line)
            continue
        }
        if other != row { XCTFail("\(what):\n  found    \(other)\n  expected \(row)", line: line) }
    }
    for row in found where expectedByPath[row.path] == nil {
        XCTFail("\(what): \(row) should not be there", line: line)
    }
}
