/// The list of a pack's records: from its table where that is valid, otherwise by a scan.
import DiskFormat

/// What a pack holds.
public struct PackContents: Equatable, Sendable {
    /// The records in the order of their offsets, without the table's own. Of a pack in which
    /// something was punched out, the records' headers tell more than the table.
    public var entries: [PackTable.Entry] = []
    /// Ranges between records that are none.
    public var damaged: [Range<UInt64>] = []
    /// Where the pack ends.
    public var end: PackEnd
    /// Whether the table told; otherwise a scan did.
    public var isFromTable: Bool
}

extension PackReader {
    /// All records. Takes memory in proportion to their number (24 bytes each).
    public func records() throws(PackError) -> PackContents {
        if let contents = try recordsFromTable() { return contents }
        var scanner = try PackScanner(self)
        var entries: [PackTable.Entry] = []
        var damaged: [Range<UInt64>] = []
        while true {
            switch try scanner.next() {
            case .record(let offset, let header):
                if header.kind == .packTable { continue }
                entries.append(PackTable.Entry(offset: offset, header: header))
            case .damaged(let range):
                damaged.append(range)
            case .end(let end):
                return PackContents(
                    entries: entries, damaged: damaged, end: end, isFromTable: false)
            }
        }
    }

    /// The offset of the table's record, by the trailer; nil for a pack that is not sealed.
    func tableOffset(fileBytes known: UInt64? = nil) throws(PackError) -> UInt64? {
        let fileBytes: UInt64
        if let known { fileBytes = known } else { fileBytes = try size() }
        let count = UInt64(PackTable.trailerBytes)
        let least = UInt64(PackHeader.byteCount + RecordHeader.byteCount) + count
        guard fileBytes >= least, fileBytes % UInt64(DiskFormat.recordAlignmentBytes) == 0 else {
            return nil
        }
        let bytes: [UInt8]
        do throws(PackError) {
            bytes = try read(at: fileBytes - count, count: count, of: fileBytes - count)
        } catch {
            guard error.isDamage else { throw error }
            return nil
        }
        let offset = bytes.borrowing {
            PackTable.tableOffset(trailer: $0, secret: header.parameters.secret, pack: id)
        }
        guard let offset, offset <= fileBytes - count else { return nil }
        return offset
    }

    private func recordsFromTable() throws(PackError) -> PackContents? {
        let fileBytes = try size()
        guard let offset = try tableOffset(fileBytes: fileBytes) else { return nil }
        let end = fileBytes - UInt64(PackTable.trailerBytes)
        do throws(PackError) {
            let (header, body) = try readRecord(at: offset)
            guard header.kind == .packTable, offset + header.recordBytes == end else { return nil }
            let table = try body.borrowing { (bytes) throws(PackError) in
                do throws(FormatError) {
                    return try PackTable(bytes, header: header)
                } catch {
                    throw .format(error, pack: id, offset: offset)
                }
            }
            guard let gaps = PackReader.gaps(in: table.entries, upTo: offset) else { return nil }
            return PackContents(
                entries: table.entries, damaged: gaps,
                end: PackEnd(offset: end, fileBytes: fileBytes, tail: .trailer),
                isFromTable: true)
        } catch {
            guard error.isDamage else { throw error }
            return nil
        }
    }

    /// The ranges that the entries leave out (damage that was there when the pack was sealed); nil
    /// where the entries are out of order, overlap or are not aligned.
    static func gaps(in entries: [PackTable.Entry], upTo end: UInt64) -> [Range<UInt64>]? {
        var gaps: [Range<UInt64>] = []
        var position = UInt64(PackHeader.byteCount)
        for entry in entries {
            let bytes = DiskFormat.aligned(
                UInt64(RecordHeader.byteCount) + UInt64(entry.storedBytes))
            guard entry.offset >= position, entry.offset <= end, bytes <= end - entry.offset,
                entry.offset % UInt64(DiskFormat.recordAlignmentBytes) == 0
            else { return nil }
            if entry.offset > position { gaps.append(position..<entry.offset) }
            position = entry.offset + bytes
        }
        if position < end { gaps.append(position..<end) }
        return gaps
    }

    /// The records that end at or before `validEnd`, by a scan, and where they end: `validEnd`, or
    /// before a table that is to be replaced.
    func entries(
        upTo validEnd: UInt64
    ) throws(PackError) -> (entries: [PackTable.Entry], end: UInt64) {
        var scanner = try PackScanner(self)
        var entries: [PackTable.Entry] = []
        while scanner.position < validEnd {
            switch try scanner.next() {
            case .record(let offset, let header):
                if header.kind == .packTable { return (entries, offset) }
                entries.append(PackTable.Entry(offset: offset, header: header))
            case .damaged:
                continue
            case .end(let end):
                throw .format(.badValue("end of the pack"), pack: id, offset: end.offset)
            }
        }
        guard scanner.position == validEnd else {
            throw .format(.badValue("valid end within a record"), pack: id, offset: validEnd)
        }
        return (entries, validEnd)
    }
}
