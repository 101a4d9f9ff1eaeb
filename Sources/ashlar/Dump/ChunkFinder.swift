// Chunks by name, without an index: by the tables at the head of every super-chunk.
import Compression
import Console
import DiskFormat
import Hashing
import Packs

/// A place where a chunk lies.
struct ChunkPlace: Equatable {
    var pack: PackID
    /// Of the super-chunk's record.
    var offset: UInt64
    var slot: Int
    var frame: Int
    var offsetInFrame: Int
    var chunk: SuperChunkPrefix.Chunk
    var isCopy: Bool
}

/// A beginning of chunk names, in hexadecimal.
struct NamePrefix {
    /// Fewest digits taken, so that a slip of the hand does not print half the store.
    static let digitsMin = 4

    private let digits: String

    /// nil unless `text` has 4 to 64 hexadecimal digits, perhaps behind the kind that
    /// `user.ashlar.key` puts before them.
    init?(_ text: String) {
        var text = text[...]
        for kind in ["chunk:", "recipe:", "tree:"] where text.hasPrefix(kind) {
            text = text.dropFirst(kind.count)
        }
        guard (Self.digitsMin...64).contains(text.utf8.count),
            text.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit })
        else { return nil }
        digits = text.lowercased()
    }

    func matches(_ name: ChunkName) -> Bool {
        name.hexadecimal.hasPrefix(digits)
    }
}

/// Looks for chunks in all packs. Damaged records are passed over and told to `complain`.
struct ChunkFinder {
    let folder: PackFolder
    let complain: (String) -> Void
    private let decompressors = CompressionPool(idleMax: 1)

    init(_ folder: PackFolder, complain: @escaping (String) -> Void) {
        self.folder = folder
        self.complain = complain
    }

    /// Every place of the chunk that `text`, a name or the beginning of one, stands for.
    ///
    /// - Parameter domain: chunks of other domains do not count; nil for all.
    /// - Throws: `usage` for what is no name or stands for several, `notFound` where there is none.
    func find(_ text: String, domain: ChunkDomain?) throws(CommandFailure) -> [ChunkPlace] {
        guard let prefix = NamePrefix(text) else {
            throw CommandFailure(
                .usage,
                "\(DisplayText.escaped(text.utf8)) is not a chunk's name: "
                    + "\(NamePrefix.digitsMin) to 64 hexadecimal digits")
        }
        var places: [ChunkPlace] = []
        for (id, _) in folder.packs {
            do throws(CommandFailure) {
                try search(try folder.open(id), prefix, domain, &places)
            } catch {
                guard error.kind == .damaged else { throw error }
                complain(error.message)
            }
        }
        let names = Set(places.map(\.chunk.name))
        if names.isEmpty { throw CommandFailure(.notFound, "no chunk \(text)") }
        if names.count > 1 {
            throw CommandFailure(
                .usage, "\(text) may be any of \(names.count) chunks",
                advice: names.sorted().prefix(8).map(\.hexadecimal).joined(separator: "\n"))
        }
        return places
    }

    private func search(
        _ reader: PackReader, _ prefix: NamePrefix, _ domain: ChunkDomain?,
        _ places: inout [ChunkPlace]
    ) throws(CommandFailure) {
        for entry in try Self.records(of: reader).entries
        where entry.kindByte == RecordHeader.Kind.superChunk.rawValue {
            let table: SuperChunkPrefix
            do throws(PackError) {
                table = try reader.readPrefix(at: entry.offset).prefix
            } catch {
                guard error.isDamage else { throw CommandFailure(error) }
                complain(CommandFailure(error).message)
                continue
            }
            let placements = table.placements()
            for (slot, chunk) in table.chunks.enumerated()
            where (domain == nil || chunk.domain == domain) && prefix.matches(chunk.name) {
                places.append(
                    ChunkPlace(
                        pack: reader.id, offset: entry.offset, slot: slot,
                        frame: placements[slot].frame, offsetInFrame: placements[slot].offset,
                        chunk: chunk, isCopy: entry.flags.contains(.copy)))
            }
        }
    }

    static func records(of reader: PackReader) throws(CommandFailure) -> PackContents {
        do throws(PackError) {
            return try reader.records()
        } catch {
            throw CommandFailure(error)
        }
    }

    /// The chunk's bytes from the first of `places` that can be read and has the chunk's name.
    ///
    /// - Throws: `damaged` where there is none.
    func read(_ places: [ChunkPlace]) throws(CommandFailure) -> [UInt8] {
        var last = CommandFailure(.damaged, "no copy of the chunk")
        for place in places {
            do throws(CommandFailure) {
                return try read(place)
            } catch {
                guard error.kind == .damaged else { throw error }
                complain(error.message)
                last = error
            }
        }
        throw CommandFailure(.damaged, "no copy of the chunk can be read: \(last.message)")
    }

    private func read(_ place: ChunkPlace) throws(CommandFailure) -> [UInt8] {
        let reader = try folder.open(place.pack)
        let raw = try readFrame(reader, at: place.offset, frame: place.frame)
        let end = place.offsetInFrame + Int(place.chunk.rawBytes)
        guard end <= raw.count else {
            throw damage(place, "the chunk lies behind its frame's end")
        }
        let bytes = Array(raw[place.offsetInFrame..<end])
        let name: ChunkName
        do throws(HashingError) {
            let hasher = try ChunkHasher(reader.header.parameters.hash)
            name = bytes.withUnsafeBytes { hasher.name(of: $0, domain: place.chunk.domain) }
        } catch {
            throw CommandFailure(.system, "cannot hash: \(error)")
        }
        guard name == place.chunk.name else { throw damage(place, "its bytes have another name") }
        return bytes
    }

    /// A frame's raw bytes, verified and restored.
    func readFrame(
        _ reader: PackReader, at offset: UInt64, frame: Int
    ) throws(CommandFailure) -> [UInt8] {
        let entry: SuperChunkPrefix.Frame
        var stored: [UInt8]
        do throws(PackError) {
            let prefix = try reader.readPrefix(at: offset).prefix
            entry = prefix.frames[frame]
            stored = [UInt8](repeating: 0, count: Int(entry.storedBytes))
            try stored.withUnsafeMutableBufferPointer { (buffer) throws(PackError) in
                _ = try reader.readFrame(
                    at: offset, prefix: prefix, frame: frame,
                    into: UnsafeMutableRawBufferPointer(buffer))
            }
        } catch {
            throw CommandFailure(error)
        }
        return try restore(
            stored, codec: entry.codec, rawBytes: Int(entry.rawBytes),
            what: "pack \(reader.id), offset \(offset), frame \(frame)")
    }

    /// Stored bytes made raw again; `rawBytes` was checked by whoever read it.
    func restore(
        _ stored: [UInt8], codec: UInt8, rawBytes: Int, what: String
    ) throws(CommandFailure) -> [UInt8] {
        guard codec != 0 else { return stored }
        var raw = [UInt8](repeating: 0, count: rawBytes)
        do throws(CompressionError) {
            try stored.withUnsafeBufferPointer { (source) throws(CompressionError) in
                try raw.withUnsafeMutableBufferPointer { (target) throws(CompressionError) in
                    try decompressors.decompress(
                        UnsafeRawBufferPointer(source), codec: .zstd,
                        into: UnsafeMutableRawBufferPointer(target))
                }
            }
        } catch {
            throw CommandFailure(.damaged, "\(what): cannot be decompressed")
        }
        return raw
    }

    private func damage(_ place: ChunkPlace, _ what: String) -> CommandFailure {
        CommandFailure(
            .damaged, "pack \(place.pack), offset \(place.offset), slot \(place.slot): \(what)")
    }
}
