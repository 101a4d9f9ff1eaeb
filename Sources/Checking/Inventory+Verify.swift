// Bodies against their checksums, chunks against their names, and the way to one frame.
import Backends
import DiskFormat
import Packs
import Platform
import SuperChunks

extension Inventory {
    /// Verifies the bodies of all super-chunks: their frames' checksums, and in a `deep` check the
    /// name of every chunk. Notes what is bad as findings.
    ///
    /// - Parameter resume: how far an earlier check came.
    func verify(
        _ depth: CheckDepth, from resume: ResumeNote, monitor: CheckMonitor
    ) throws(CheckingError) {
        guard depth > .quick else { return }
        for bad in resume.badFrames { try adopt(bad) }
        let examiner = depth == .deep ? try DeepExaminer(self) : nil
        defer { examiner?.shutdown() }
        var deep = DeepProgress(resume: resume)
        var batch: [Int] = []
        let total = records.reduce(0) { $0 + ($1.isOpen ? UInt64($1.storedBytes) : 0) }
        var done: UInt64 = 0
        for index in records.indices where records[index].isOpen {
            let record = records[index]
            if monitor.isCancelled() {
                // What was gathered takes no time that anybody notices.
                if let examiner { try settle(batch, by: examiner, &deep, monitor) }
                if depth == .deep { monitor.note(deep.resume.encoded()) }
                throw .cancelled
            }
            monitor.progress(.bodies, done, total)
            done += UInt64(record.storedBytes)
            guard let examiner else {
                try verifyFrames(index)
                verifiedBytes += UInt64(record.storedBytes)
                continue
            }
            if resume.covers(packID(of: index), record.offset) { continue }
            batch.append(index)
            guard batch.count >= examiner.batchRecords else { continue }
            try settle(batch, by: examiner, &deep, monitor)
            batch = []
        }
        if let examiner { try settle(batch, by: examiner, &deep, monitor) }
    }

    /// How far a deep check has come.
    private struct DeepProgress {
        var resume: ResumeNote
        var bytesSinceNote: UInt64 = 0
    }

    private func settle(
        _ batch: [Int], by examiner: DeepExaminer, _ deep: inout DeepProgress,
        _ monitor: CheckMonitor
    ) throws(CheckingError) {
        for (index, frames) in zip(batch, try examiner.examine(batch)) {
            let record = records[index]
            note(frames, of: index)
            verifiedBytes += UInt64(record.storedBytes)
            deep.resume.advance(to: packID(of: index), record.end)
            deep.resume.badFrames += frames.map {
                .init(pack: packID(of: index), offset: record.offset, frame: $0.number)
            }
            deep.bytesSinceNote += UInt64(record.storedBytes)
        }
        if deep.bytesSinceNote >= CheckMonitor.noteIntervalBytes {
            monitor.note(deep.resume.encoded())
            deep.bytesSinceNote = 0
        }
    }

    /// Takes over a bad frame from a note: it is read again, since the note is the caller's word.
    private func adopt(_ bad: ResumeNote.BadFrame) throws(CheckingError) {
        guard let pack = packNumber(bad.pack) else { return }
        for index in records(of: pack, in: bad.offset..<bad.offset + 1) where records[index].isOpen
        {
            note(try examine(index), of: index)
        }
    }

    /// The frames of a super-chunk whose bytes are bad; noted.
    @discardableResult
    func verifyFrames(_ index: Int) throws(CheckingError) -> [UInt16] {
        let record = records[index]
        let reader = packs[Int(record.pack)].reader
        let bad: [Int]
        do throws(PackError) {
            let (_, prefix) = try reader.readPrefix(at: record.offset)
            bad = try reader.verifyFrames(at: record.offset, prefix: prefix)
        } catch {
            _ = try Inventory.damage(error)
            bad = Array(0..<Int(record.frameCount))
        }
        for frame in bad { noteDamage(index, UInt16(frame), "checksum of the frame") }
        return bad.map { UInt16($0) }
    }

    /// Notes a frame as bad, once.
    func noteDamage(_ index: Int, _ frame: UInt16, _ why: String) {
        guard damagedFrames.insert(FrameNumber(record: index, frame: frame)).inserted else {
            return
        }
        note(
            .frameDamaged,
            .frame(packID(of: index), offset: records[index].offset, frame: frame), why)
    }

    /// Notes that a chunk's bytes are not those of its name, though their checksum is right.
    func noteMismatch(
        _ index: Int, _ frame: UInt16, _ entry: DecodedFrame.Entry, found: ChunkName
    ) {
        guard let number = table.number(of: entry.name) else { return }
        for position in table.range(of: number) {
            let copy = table.copies[position]
            guard copy.record == UInt32(index), copy.frame == frame, copy.flags & 1 == 0,
                copy.frameOffset == UInt32(entry.offset)
            else { continue }
            table.setMismatch(position)
            note(
                .chunkMismatch,
                .frame(packID(of: index), offset: records[index].offset, frame: frame),
                "chunk \(entry.name) has the bytes of \(found)")
        }
    }

    /// A frame, verified by its checksum and decompressed; `failure` says why it is bad.
    func loadFrame(
        _ index: Int, _ frame: UInt16
    ) throws(CheckingError) -> Result<DecodedFrame, FrameDamage> {
        let record = records[index]
        let pack = packs[Int(record.pack)]
        let header: RecordHeader
        do throws(PackError) {
            header = try pack.reader.header(at: record.offset)
        } catch {
            return .failure(FrameDamage("\(try Inventory.damage(error))"))
        }
        let prefixBytes = SuperChunkPrefix.byteCount(
            frames: Int(header.frameCount), chunks: Int(header.itemCount))
        guard prefixBytes <= Int(header.storedBytes) else {
            return .failure(FrameDamage("table longer than the record"))
        }
        let begin = record.offset + UInt64(RecordHeader.byteCount)
        guard let head = try bytes(pack, at: begin, count: prefixBytes) else {
            return .failure(FrameDamage("unreadable"))
        }
        let opener: SuperChunkOpener
        do throws(SuperChunkError) {
            opener = try head.borrowing { (raw) throws(SuperChunkError) in
                try SuperChunkOpener(header: header, body: raw)
            }
        } catch {
            return .failure(FrameDamage("\(error)"))
        }
        guard let range = opener.storedRange(ofFrame: Int(frame)),
            let stored = try bytes(pack, at: begin + UInt64(range.lowerBound), count: range.count)
        else { return .failure(FrameDamage("unreadable")) }
        do throws(SuperChunkError) {
            return .success(
                try stored.borrowing { (raw) throws(SuperChunkError) in
                    try opener.frame(Int(frame), stored: raw, using: codec, pool: pool)
                })
        } catch {
            return .failure(FrameDamage("\(error)"))
        }
    }

    /// Bytes of a pack; nil where the medium does not give them or the file ends before.
    func bytes(
        _ pack: Pack, at offset: UInt64, count: Int
    ) throws(CheckingError) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        do throws(BackendError) {
            let read = try Inventory.readBytes(pack.file, at: offset, into: &bytes)
            return read == count ? bytes : nil
        } catch {
            guard PackError.backend(error, pack: pack.id).isUnreadableMedium else {
                throw .backend(error)
            }
            return nil
        }
    }
}

/// Why a frame is bad, for people.
struct FrameDamage: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
