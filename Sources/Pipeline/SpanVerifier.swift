// Verifying the records that a commit vouches for, and taking up what they hold.
import ChunkIndex
import DiskFormat
import Packs
import SuperChunks

/// A super-chunk's record that was read and verified.
struct VerifiedRecord {
    var pack: PackID
    var offset: UInt64
    var header: RecordHeader
    var prefix: SuperChunkPrefix
    /// The owned names of each recipe node in it.
    var children: [ChunkName: [ChunkName]]

    /// Adds the record's chunks to those that a commit brought.
    func add(to applied: inout AppliedCommit, shelf: PackShelf) {
        let record = RecordPlace(pack: shelf.number(of: pack), offset: offset)
        let isCopy = header.flags.contains(.copy)
        for (chunk, place) in zip(prefix.chunks, prefix.places(in: record, header: header)) {
            let new = NewChunk(
                name: chunk.name, rawBytes: chunk.rawBytes, domain: chunk.domain,
                places: [place], children: children[chunk.name] ?? [])
            if isCopy { applied.copies.append(new) } else { applied.news.append(new) }
        }
    }
}

extension PackSet {
    /// The super-chunks of these spans, in order; nil where anything in them does not verify.
    ///
    /// Throws what says nothing about the records.
    func verify(_ spans: [PackSpan]) throws(StoreError) -> [VerifiedRecord]? {
        var result: [VerifiedRecord] = []
        do throws(StoreError) {
            for span in spans {
                guard let records = try verify(span) else { return nil }
                result += records
            }
        } catch {
            guard error.judgement != .failed else { throw error }
            return nil
        }
        return result
    }

    /// The super-chunks of these spans as far as their prefixes can be read: of commits that were
    /// durable once. Chunks in bad frames are among them, and are found to be damaged when they are
    /// read; the children of recipe nodes in such frames are not known.
    ///
    /// Throws what says nothing about the records.
    func salvage(_ spans: [PackSpan]) throws(StoreError) -> [VerifiedRecord] {
        var result: [VerifiedRecord] = []
        for span in spans {
            do throws(StoreError) {
                let reader = try reader(span.pack)
                let contents = try readingPack { () throws(PackError) in try reader.records() }
                for entry in contents.entries
                where span.range.contains(entry.offset)
                    && entry.kindByte == RecordHeader.Kind.superChunk.rawValue
                {
                    if let record = try salvage(reader, at: entry.offset) { result.append(record) }
                }
            } catch {
                guard error.judgement != .failed else { throw error }
            }
        }
        return result
    }

    private func salvage(
        _ reader: PackReader, at offset: UInt64
    ) throws(StoreError) -> VerifiedRecord? {
        do throws(StoreError) {
            let (header, body) = try readingPack { () throws(PackError) in
                try reader.readRecord(at: offset)
            }
            let whole = try body.withUnsafeBufferPointer { (buffer) throws(StoreError) in
                try verify(UnsafeRawBufferPointer(buffer), header, in: reader.id, at: offset)
            }
            if let whole { return whole }
            let prefix = try readingPack { () throws(PackError) in
                try reader.readPrefix(at: offset).prefix
            }
            return VerifiedRecord(
                pack: reader.id, offset: offset, header: header, prefix: prefix, children: [:])
        } catch {
            guard error.judgement != .failed else { throw error }
            return nil
        }
    }

    private func verify(_ span: PackSpan) throws(StoreError) -> [VerifiedRecord]? {
        let reader = try reader(span.pack)
        let key = RecordHeader.Key(secret: parameters.secret, pack: span.pack)
        var headers: [UInt8] = []
        var result: [VerifiedRecord] = []
        var count: UInt64 = 0
        var offset = span.range.lowerBound
        while offset < span.range.upperBound {
            let header = try readingPack { () throws(PackError) in try reader.header(at: offset) }
            guard header.recordBytes <= span.range.upperBound - offset else { return nil }
            guard header.kind != nil else {
                // A newer program's, which may be passed over: its body is not ours to verify, and
                // its header holds more than we know of it.
                headers += try readingPack { () throws(PackError) in
                    try reader.headerBytes(at: offset)
                }
                count += 1
                offset += header.recordBytes
                continue
            }
            let (_, body) = try readingPack { () throws(PackError) in
                try reader.readRecord(at: offset)
            }
            headers.append(contentsOf: header.encoded(key: key, offset: offset))
            if header.kind == .superChunk {
                let record = try body.withUnsafeBufferPointer { (buffer) throws(StoreError) in
                    try verify(
                        UnsafeRawBufferPointer(buffer), header, in: span.pack, at: offset)
                }
                guard let record else { return nil }
                result.append(record)
            }
            count += 1
            offset += header.recordBytes
        }
        let digest = headers.withUnsafeBytes { BodyChecksum(of: $0) }
        return count == span.recordCount && digest == span.digest ? result : nil
    }

    /// All frames of a super-chunk by their checksums; those of metadata are opened too.
    private func verify(
        _ body: UnsafeRawBufferPointer, _ header: RecordHeader, in pack: PackID,
        at offset: UInt64
    ) throws(StoreError) -> VerifiedRecord? {
        let opener: SuperChunkOpener
        do throws(SuperChunkError) {
            opener = try SuperChunkOpener(header: header, body: body)
        } catch {
            return nil
        }
        var children: [ChunkName: [ChunkName]] = [:]
        for index in 0..<opener.frameCount {
            if header.flags.contains(.metadata) {
                guard let frame = try open(index, of: opener, body) else { return nil }
                for entry in frame.entries where entry.domain == .recipe {
                    children[entry.name] = try frame.withBytes(of: entry) {
                        (bytes) throws(StoreError) in
                        try RecipeChildren.names(bytes, of: entry.name)
                    }
                }
            } else {
                guard opener.isIntact(index, in: body) else { return nil }
            }
        }
        return VerifiedRecord(
            pack: pack, offset: offset, header: header, prefix: opener.prefix,
            children: children)
    }

    private func open(
        _ index: Int, of opener: SuperChunkOpener, _ body: UnsafeRawBufferPointer
    ) throws(StoreError) -> DecodedFrame? {
        do throws(SuperChunkError) {
            return try opener.frame(index, body: body, using: codec, pool: buffers)
        } catch {
            if case .codec(_, .outOfMemory) = error { throw .superChunk(error) }
            return nil
        }
    }
}
