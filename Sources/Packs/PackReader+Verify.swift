/// Verification of whole records, as scrub and fsck need it.
import DiskFormat

extension PackReader {
    /// The numbers of the frames that cannot be read or do not match their checksums.
    ///
    /// - Parameters:
    ///   - offset: of the super-chunk's record.
    ///   - prefix: what `readPrefix` gave for it.
    /// - Throws: what the backend reports, unless it is the medium that cannot be read.
    public func verifyFrames(
        at offset: UInt64, prefix: SuperChunkPrefix
    ) throws(PackError) -> [Int] {
        // The prefix's lengths were compared with the record's, the record's with the file's.
        let longest = prefix.frames.reduce(0) { max($0, Int($1.storedBytes)) }
        guard longest <= DiskFormat.bodyBytesMax else {
            throw .format(.badValue("frame bytes"), pack: id, offset: offset)
        }
        var scratch = [UInt8](repeating: 0, count: longest)
        var damaged: [Int] = []
        for index in prefix.frames.indices {
            do throws(PackError) {
                try scratch.mutating { (buffer) throws(PackError) in
                    _ = try readFrame(at: offset, prefix: prefix, frame: index, into: buffer)
                }
            } catch {
                guard error.isDamage else { throw error }
                damaged.append(index)
            }
        }
        return damaged
    }

    /// Verifies every byte of the record at `offset`: header, body, all frames, padding. Of an
    /// optional record of an unknown kind, the body's checksum is unknown too and is passed over.
    public func verifyRecord(at offset: UInt64) throws(PackError) {
        let header = try header(at: offset)
        if header.kind == .superChunk {
            let (_, prefix) = try readPrefix(at: offset)
            guard try verifyFrames(at: offset, prefix: prefix).isEmpty else {
                throw .format(.checksum("frame"), pack: id, offset: offset)
            }
        } else if header.kind != nil {
            _ = try readRecord(at: offset)
        }
        let used = UInt64(RecordHeader.byteCount) + UInt64(header.storedBytes)
        guard used < header.recordBytes else { return }
        let padding = try read(
            at: offset + used, count: header.recordBytes - used, of: offset)
        guard padding.allSatisfy({ $0 == 0 }) else {
            throw .format(.badValue("record padding"), pack: id, offset: offset)
        }
    }
}
