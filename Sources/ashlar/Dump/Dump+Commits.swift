// Reports on commits.
import Console
import DiskFormat
import Hashing
import Packs

extension Dump {
    /// A commit by its sequence number, its place, or the word `last`.
    func commit(_ text: String) throws(CommandFailure) -> Report {
        if text.contains(":") {
            let (reader, offset) = try folder.place(text)
            return try commit(reader, offset)
        }
        let wanted = PackFolder.number(text)
        guard wanted != nil || text == "last" else {
            throw CommandFailure(
                .usage,
                "\(DisplayText.escaped(text.utf8)) is not a sequence number, PACK:OFFSET, or last")
        }
        guard let place = try findCommit(wanted) else {
            throw CommandFailure(.notFound, "no commit \(text)")
        }
        return try commit(place.reader, place.offset)
    }

    /// The commit of that sequence, or the one with the highest. A commit may be repeated in later
    /// records (DESIGN §5.1): the first is taken.
    private func findCommit(
        _ sequence: UInt64?
    ) throws(CommandFailure) -> (reader: PackReader, offset: UInt64)? {
        var best: (reader: PackReader, offset: UInt64, epoch: UInt64, sequence: UInt64)?
        for (id, _) in folder.packs {
            do throws(CommandFailure) {
                let reader = try folder.open(id)
                for offset in try commitOffsets(reader) {
                    guard let commit = decodedOrComplaint(reader, offset) else { continue }
                    if commit.sequence == sequence { return (reader, offset) }
                    let order = (commit.epoch, commit.sequence)
                    if sequence == nil, best.map({ ($0.epoch, $0.sequence) < order }) ?? true {
                        best = (reader, offset, commit.epoch, commit.sequence)
                    }
                }
            } catch {
                guard error.kind == .damaged else { throw error }
                finder.complain(error.message)
            }
        }
        return best.map { ($0.reader, $0.offset) }
    }

    private func commitOffsets(_ reader: PackReader) throws(CommandFailure) -> [UInt64] {
        try ChunkFinder.records(of: reader).entries
            .filter { $0.kindByte == RecordHeader.Kind.commit.rawValue }.map(\.offset)
    }

    private func decodedOrComplaint(_ reader: PackReader, _ offset: UInt64) -> Commit? {
        do throws(CommandFailure) {
            return try decoded(reader, offset).commit
        } catch {
            finder.complain(error.message)
            return nil
        }
    }

    private func decoded(
        _ reader: PackReader, _ offset: UInt64
    ) throws(CommandFailure) -> (header: RecordHeader, raw: [UInt8], commit: Commit) {
        let header: RecordHeader
        let body: [UInt8]
        do throws(PackError) {
            (header, body) = try reader.readRecord(at: offset)
        } catch {
            throw CommandFailure(error)
        }
        let what = "pack \(reader.id), offset \(offset)"
        guard header.kind == .commit else {
            throw CommandFailure(
                .usage, "\(what): not a commit but a \(header.kind?.label ?? "record")")
        }
        guard Int(header.rawBytes) <= DiskFormat.bodyBytesMax else {
            throw CommandFailure(.damaged, "\(what): impossible length")
        }
        let raw = try finder.restore(
            body, codec: header.codec, rawBytes: Int(header.rawBytes), what: what)
        do throws(FormatError) {
            let commit = try raw.withUnsafeBufferPointer { (buffer) throws(FormatError) in
                try Commit(UnsafeRawBufferPointer(buffer))
            }
            return (header, raw, commit)
        } catch {
            throw CommandFailure(.damaged, "\(what): \(CommandFailure.words(error))")
        }
    }

    private func commit(_ reader: PackReader, _ offset: UInt64) throws(CommandFailure) -> Report {
        let (header, raw, commit) = try decoded(reader, offset)
        let name: ChunkName
        do throws(HashingError) {
            let hasher = try ChunkHasher(reader.header.parameters.hash)
            name = raw.withUnsafeBytes { hasher.name(of: $0, domain: .tree) }
        } catch {
            throw CommandFailure(.system, "cannot hash: \(error)")
        }
        var report: Report = [
            "pack": .text(reader.id.description), "offset": .number(offset),
            "stored_bytes": .bytes(UInt64(header.storedBytes)),
            "raw_bytes": .bytes(UInt64(raw.count)),
            "hash": .text(name.hexadecimal),
            "epoch": .number(commit.epoch), "sequence": .number(commit.sequence),
            "previous": .text(commit.previous.hexadecimal),
            "time": InodeReport.time(commit.time), "checkpoint": .flag(commit.isCheckpoint),
        ]
        report.fields += storeFields(commit).fields
        if !commit.volumes.isEmpty {
            report.add("volumes", .list(commit.volumes.map { .object(volume($0)) }))
        }
        return report
    }

    private func storeFields(_ commit: Commit) -> Report {
        let spans = commit.spans.map { span in
            [
                ReportValue.text(span.pack.description), .number(span.range.lowerBound),
                .number(span.range.upperBound), .number(span.recordCount),
                .text(span.digest.hexadecimal),
            ]
        }
        let packs = commit.packs.map {
            [ReportValue.text($0.pack.description), .bytes($0.byteCount)]
        }
        let punched = commit.punchedRecords.map {
            [ReportValue.text($0.pack.description), .number($0.offset)]
        }
        let counts = commit.nodeCounts.map {
            [ReportValue.text($0.name.hexadecimal), .signed($0.change)]
        }
        let snapshots = commit.snapshots.map { change -> [ReportValue] in
            switch change {
            case .put(let image):
                [
                    .text(image.id.description), .number(UInt64(image.number)),
                    .text(image.name), .text(image.volumeID.description),
                    .text(image.root.hexadecimal), .flag(image.isPinned),
                ]
            case .gone(let id):
                [.text(id.description), .none, .text("gone"), .none, .none, .none]
            }
        }
        return [
            "spans": Self.table(["pack", "from", "to", "records", "digest"], spans),
            "packs": Self.table(["pack", "bytes"], packs),
            "condemned_chunks": Self.table(
                ["name"], commit.condemnedChunks.map { [.text($0.hexadecimal)] }),
            "condemned_packs": Self.table(
                ["pack"], commit.condemnedPacks.map { [.text($0.description)] }),
            "punched_records": Self.table(["pack", "offset"], punched),
            "node_counts": Self.table(["name", "change"], counts),
            "lost_chunks": Self.table(
                ["name"], commit.lostChunks.map { [.text($0.hexadecimal)] }),
            "snapshots": Self.table(
                ["id", "number", "name", "volume_id", "root", "pinned"], snapshots),
            "rules": Self.table(
                ["volume_id", "retention", "schedule"],
                commit.rules.map {
                    [
                        .text($0.volumeID.description), .name(Array($0.retention.utf8)),
                        .name(Array($0.schedule.utf8)),
                    ]
                }),
        ]
    }

    private static func table(_ columns: [String], _ rows: [[ReportValue]]) -> ReportValue {
        rows.isEmpty ? .none : .table(ReportTable(columns: columns, rows: rows))
    }

    private func volume(_ changes: VolumeChanges) -> Report {
        let names = changes.names.map { change in
            [
                ReportValue.number(change.parent), .name(change.name),
                .number(UInt64(change.collision)),
                change.target.map { .number($0.inode) } ?? .text("gone"),
                change.target.map { .text(InodeReport.kind($0.kind)) } ?? .none,
            ]
        }
        let inodes: [ReportValue] = changes.inodes.map { change in
            switch change {
            case .put(let image): .object(InodeReport.report(image))
            case .gone(let inode): .object(["inode": .number(inode), "gone": .flag(true)])
            }
        }
        return [
            "volume": .text(changes.volumeName), "volume_id": .text(changes.volumeID.description),
            "epoch": .number(changes.epoch), "sequence": .number(changes.sequence),
            "next_inode": .number(changes.nextInode),
            "root": changes.root.map { .text($0.hexadecimal) } ?? .none,
            "removed": changes.isRemoved ? .flag(true) : .none,
            "clone_of": changes.beginning.map { .text($0.snapshot.description) } ?? .none,
            "names": Self.table(["parent", "name", "collision", "inode", "kind"], names),
            "inodes": inodes.isEmpty ? .none : .list(inodes),
            "extents": Self.table(
                ["inode", "from", "to", "offset", "length", "source"],
                changes.extents.flatMap(rows)),
        ]
    }

    private func rows(_ change: ExtentChange) -> [[ReportValue]] {
        let head: [ReportValue] = [
            .number(change.inode), .number(change.range.lowerBound),
            .number(change.range.upperBound),
        ]
        if change.pieces.isEmpty { return [head + [.none, .none, .text("content of the key")]] }
        return change.pieces.map { piece in
            let source: String
            switch piece.source {
            case .data(let name, let chunkBytes, let offset):
                source = "\(name.hexadecimal) + \(offset) of \(chunkBytes)"
            case .hole: source = "hole"
            case .zeros: source = "zeros"
            }
            return head + [.number(piece.offset), .bytes(piece.length), .text(source)]
        }
    }
}
