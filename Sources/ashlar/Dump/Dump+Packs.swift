// Reports on packs and super-chunks.
import Console
import DiskFormat
import Packs

extension PackHeader.Role {
    var label: String {
        switch self {
        case .main: "main"
        case .copies: "copies"
        }
    }
}

extension ChunkDomain {
    var label: String {
        switch self {
        case .data: "data"
        case .recipe: "recipe"
        case .tree: "tree"
        }
    }
}

extension RecordHeader.Kind {
    var label: String {
        switch self {
        case .superChunk: "superchunk"
        case .commit: "commit"
        case .packTable: "table"
        case .filler: "filler"
        }
    }
}

extension RecordHeader.Flags {
    var label: String {
        var names: [String] = []
        if contains(.optional) { names.append("optional") }
        if contains(.metadata) { names.append("metadata") }
        if contains(.copy) { names.append("copy") }
        return names.joined(separator: ",")
    }
}

extension PackEnd.Tail {
    var label: String {
        switch self {
        case .none: "open: nothing behind the last record"
        case .trailer: "sealed"
        case .torn: "torn: what lies behind the last record is no record"
        case .unreadable: "unreadable behind the last record"
        }
    }
}

extension BodyChecksum {
    /// 32 hexadecimal digits, high word first.
    var hexadecimal: String {
        [high, low].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}

extension Dump {
    /// A pack: its header, its records, and what is damaged.
    func pack(_ reader: PackReader) throws(CommandFailure) -> Report {
        let contents = try ChunkFinder.records(of: reader)
        var report: Report = [
            "pack": .text(reader.id.description),
            "file_bytes": .bytes(contents.end.fileBytes),
        ]
        if let damage = reader.headerDamage {
            report.add("header_damage", .text(CommandFailure.words(damage)))
        } else {
            report.add("header", .object(header(reader.header)))
        }
        report.add("end_offset", .number(contents.end.offset))
        report.add("end", .text(contents.end.tail.label))
        report.add("records_from_table", .flag(contents.isFromTable))
        report.add("record_count", .number(UInt64(contents.entries.count)))
        report.add("records", .table(records(contents.entries)))
        if !contents.damaged.isEmpty {
            var table = ReportTable(columns: ["from", "to", "bytes"])
            for range in contents.damaged {
                table.rows.append([
                    .number(range.lowerBound), .number(range.upperBound),
                    .bytes(range.upperBound - range.lowerBound),
                ])
            }
            report.add("damaged_ranges", .table(table))
        }
        return report
    }

    private func header(_ header: PackHeader) -> Report {
        let parameters = header.parameters
        let chunker = parameters.chunker
        return [
            "store_id": .text(parameters.storeID.description),
            "format_version": .number(UInt64(DiskFormat.version)),
            "role": .text(header.role.label),
            "created": .time(header.createdSeconds, header.createdNanoseconds),
            "compatible_features": .number(parameters.features.compatible),
            "read_only_compatible_features": .number(parameters.features.readOnlyCompatible),
            "incompatible_features": .number(parameters.features.incompatible),
            "hash": .text(parameters.hash.label),
            "chunker": .text(chunker.label),
            "chunk_minimum": .bytes(UInt64(chunker.minimumBytes)),
            "chunk_maximum": .bytes(UInt64(chunker.maximumBytes)),
            "super_chunk_size": .bytes(UInt64(parameters.superChunkBytes)),
            "pack_size": .bytes(parameters.packBytes),
            "compression": .text(parameters.codec == 0 ? "none" : "zstd:\(parameters.level)"),
            "metadata_copies": .number(UInt64(parameters.metadataCopies)),
        ]
    }

    private func records(_ entries: [PackTable.Entry]) -> ReportTable {
        var table = ReportTable(columns: ["offset", "kind", "flags", "bytes", "frames", "items"])
        for entry in entries {
            let kind = RecordHeader.Kind(rawValue: entry.kindByte)
            table.rows.append([
                .number(entry.offset), .text(kind?.label ?? "unknown \(entry.kindByte)"),
                .text(entry.flags.label), .bytes(UInt64(entry.storedBytes)),
                .number(UInt64(entry.frameCount)), .number(UInt64(entry.itemCount)),
            ])
        }
        return table
    }

    /// A super-chunk: its frames, each tried, and its chunks.
    func superChunk(_ reader: PackReader, _ offset: UInt64) throws(CommandFailure) -> Report {
        let header: RecordHeader
        let prefix: SuperChunkPrefix
        let damaged: [Int]
        do throws(PackError) {
            (header, prefix) = try reader.readPrefix(at: offset)
            damaged = try reader.verifyFrames(at: offset, prefix: prefix)
        } catch {
            throw CommandFailure(error)
        }
        var report: Report = [
            "pack": .text(reader.id.description), "offset": .number(offset),
            "flags": .text(header.flags.label),
            "stored_bytes": .bytes(UInt64(header.storedBytes)),
            "raw_bytes": .bytes(UInt64(header.rawBytes)),
        ]
        report.add("frames", .table(frames(prefix, damaged: damaged)))
        var chunks = ReportTable(
            columns: ["slot", "name", "domain", "bytes", "frame", "offset_in_frame"])
        let placements = prefix.placements()
        for (slot, chunk) in prefix.chunks.enumerated() {
            chunks.rows.append([
                .number(UInt64(slot)), .text(chunk.name.hexadecimal), .text(chunk.domain.label),
                .bytes(UInt64(chunk.rawBytes)), .number(UInt64(placements[slot].frame)),
                .number(UInt64(placements[slot].offset)),
            ])
        }
        report.add("chunks", .table(chunks))
        return report
    }

    private func frames(_ prefix: SuperChunkPrefix, damaged: [Int]) -> ReportTable {
        var table = ReportTable(
            columns: ["frame", "body_offset", "stored", "raw", "codec", "checksum", "state"])
        var bodyOffset = UInt64(prefix.byteCount)
        for (index, frame) in prefix.frames.enumerated() {
            table.rows.append([
                .number(UInt64(index)), .number(bodyOffset), .bytes(UInt64(frame.storedBytes)),
                .bytes(UInt64(frame.rawBytes)), .text(frame.codec == 0 ? "none" : "zstd"),
                .text(frame.checksum.hexadecimal),
                .text(damaged.contains(index) ? "damaged" : "sound"),
            ])
            bodyOffset += UInt64(frame.storedBytes)
        }
        return table
    }
}
