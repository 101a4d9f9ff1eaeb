import DiskFormat

/// One stored copy of a chunk.
public struct ChunkPlace: Hashable, Sendable {
    /// The pack's number in this index.
    public var pack: UInt32
    /// Of the super-chunk's record within the pack, in bytes; a multiple of 8 below 32 GiB.
    public var recordOffset: UInt64
    /// Header and body, so that the record is read at once.
    public var recordBytes: UInt32
    public var frame: UInt16
    /// The chunk's first byte within the raw frame.
    public var frameOffset: UInt32

    public init(
        pack: UInt32, recordOffset: UInt64, recordBytes: UInt32, frame: UInt16,
        frameOffset: UInt32
    ) {
        precondition(recordOffset % 8 == 0 && recordOffset <= Self.recordOffsetMax)
        self.pack = pack
        self.recordOffset = recordOffset
        self.recordBytes = recordBytes
        self.frame = frame
        self.frameOffset = frameOffset
    }

    static let byteCount = 18
    /// 32 GiB less what one record is aligned to.
    public static let recordOffsetMax: UInt64 = (1 << 35) - 8
}

/// What the index knows of a chunk.
///
///     offset  size
///          0     4  count of owners u32
///          4     4  raw bytes in the low 28 bits, domain in the upper 4 (u32)
///          8     1  number of places (0 ... 255)
///          9     1  flags: 1 dead (8 bytes follow), 2 damaged: a hit stores it again
///         10   0/8  the checkpoint since which it is dead u64
///            18 ×n  places: pack u32 · record offset / 8 u32 · record bytes u32 · frame offset u32 ·
///                   frame u16
public struct ChunkRecord: Equatable, Sendable {
    public var count: UInt32
    public var rawBytes: UInt32
    public var domain: ChunkDomain
    /// Known not to verify in any place; readers still try, writers store it anew (DESIGN §3.6).
    public var isDamaged: Bool
    /// The newest checkpoint when the count fell to 0; nil while there are owners.
    public var deadSince: UInt64?
    /// Newest first: a healed copy is tried before those it heals.
    public var places: [ChunkPlace]

    public static let placesMax = 255

    public init(
        count: UInt32, rawBytes: UInt32, domain: ChunkDomain, isDamaged: Bool = false,
        deadSince: UInt64? = nil, places: [ChunkPlace]
    ) {
        self.count = count
        self.rawBytes = rawBytes
        self.domain = domain
        self.isDamaged = isDamaged
        self.deadSince = deadSince
        self.places = places
    }

    public func encoded() -> [UInt8] {
        precondition(places.count <= ChunkRecord.placesMax && rawBytes >> 28 == 0)
        var writer = ByteWriter(reservingBytes: 18 + places.count * ChunkPlace.byteCount)
        writer.u32(count)
        writer.u32(rawBytes | UInt32(domain.rawValue) << 28)
        writer.u8(UInt8(places.count))
        writer.u8((deadSince != nil ? 1 : 0) | (isDamaged ? 2 : 0))
        if let deadSince { writer.u64(deadSince) }
        for place in places {
            writer.u32(place.pack)
            writer.u32(UInt32(place.recordOffset / 8))
            writer.u32(place.recordBytes)
            writer.u32(place.frameOffset)
            writer.u16(place.frame)
        }
        return writer.bytes
    }

    /// From an index's value. An error means that the index is to be rebuilt.
    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "chunk record")
        count = try reader.u32("count")
        let packed = try reader.u32("length")
        guard let domain = ChunkDomain(rawValue: UInt8(packed >> 28)) else {
            throw reader.bad("domain")
        }
        self.domain = domain
        rawBytes = packed & ((1 << 28) - 1)
        let placeCount = try reader.u8("places")
        let flags = try reader.u8("flags")
        guard flags & ~3 == 0 else { throw reader.bad("flags") }
        isDamaged = flags & 2 != 0
        deadSince = flags & 1 != 0 ? try reader.u64("dead since") : nil
        places = []
        places.reserveCapacity(Int(placeCount))
        for _ in 0..<placeCount {
            let pack = try reader.u32("pack")
            let record = UInt64(try reader.u32("record")) * 8
            let recordBytes = try reader.u32("record bytes")
            let frameOffset = try reader.u32("frame offset")
            places.append(
                ChunkPlace(
                    pack: pack, recordOffset: record, recordBytes: recordBytes,
                    frame: try reader.u16("frame"), frameOffset: frameOffset))
        }
        try reader.expectEnd()
    }
}
