/// A piece of a file, in a recipe or on top of one.
public enum Extent: Hashable, Sendable {
    /// A whole chunk of data.
    case data(ChunkName, length: UInt32)
    /// Never written: SEEK_DATA passes over it, st_blocks does not count it.
    case hole(length: UInt64)
    /// Zeros that were written or allocated: data to SEEK_DATA, but not stored.
    case zeros(length: UInt64)

    public var length: UInt64 {
        switch self {
        case .data(_, let length): UInt64(length)
        case .hole(let length), .zeros(let length): length
        }
    }

    /// Bytes counted by st_blocks.
    public var allocatedBytes: UInt64 {
        if case .hole = self { 0 } else { length }
    }

    /// kind u8 (1 data, 2 hole, 3 zeros) · length (variable) · name (data only)
    public func write(to writer: inout ByteWriter) {
        switch self {
        case .data(let name, let length):
            writer.u8(1)
            writer.variable(UInt64(length))
            writer.name(name)
        case .hole(let length):
            writer.u8(2)
            writer.variable(length)
        case .zeros(let length):
            writer.u8(3)
            writer.variable(length)
        }
    }

    public init(from reader: inout ByteReader) throws(FormatError) {
        let kind = try reader.u8("extent kind")
        let length = try reader.variable("extent length")
        guard length > 0, length <= UInt64(Int64.max) else { throw reader.bad("extent length") }
        switch kind {
        case 1:
            guard length <= UInt64(ChunkerParameters.maximumBytesLimit) else {
                throw reader.bad("chunk length")
            }
            self = .data(try reader.name("chunk"), length: UInt32(length))
        case 2: self = .hole(length: length)
        case 3: self = .zeros(length: length)
        default: throw reader.bad("extent kind")
        }
    }
}

/// A node of a recipe: the list of extents that make a file, in the file's order.
///
/// Canonical, so that equal files have equal recipes: neighbouring holes are one extent, and so are
/// neighbouring zeros; a file of exactly one data extent has no recipe (`ContentKey.chunk`), an
/// empty one neither.
public enum RecipeNode: Equatable, Sendable {
    case leaf([Extent])
    /// Children with the bytes of file below each.
    case inner(level: UInt8, [InnerEntry])

    public func encoded() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .leaf(let extents):
            NodeHead(kind: .recipe, level: 0, entryCount: UInt32(extents.count))
                .write(to: &writer)
            for extent in extents { extent.write(to: &writer) }
        case .inner(let level, let entries):
            NodeHead(kind: .recipe, level: level, entryCount: UInt32(entries.count))
                .write(to: &writer)
            for entry in entries { entry.write(to: &writer) }
        }
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "recipe node")
        let head = try NodeHead(from: &reader)
        guard head.kind == .recipe, head.entryCount > 0,
            Int(head.entryCount) <= reader.remaining / 2
        else { throw reader.bad("head") }
        self =
            head.level == 0
            ? .leaf(try RecipeNode.readExtents(&reader, head.entryCount))
            : .inner(level: head.level, try RecipeNode.readChildren(&reader, head.entryCount))
        try reader.expectEnd()
    }

    private static func readExtents(
        _ reader: inout ByteReader, _ count: UInt32
    ) throws(FormatError) -> [Extent] {
        var extents: [Extent] = []
        extents.reserveCapacity(Int(count))
        var total: UInt64 = 0
        for _ in 0..<count {
            let extent = try Extent(from: &reader)
            switch (extents.last, extent) {
            case (.hole, .hole), (.zeros, .zeros): throw reader.bad("neighbours not merged")
            default: break
            }
            let (sum, overflows) = total.addingReportingOverflow(extent.length)
            guard !overflows, sum <= UInt64(Int64.max) else { throw reader.bad("total length") }
            total = sum
            extents.append(extent)
        }
        return extents
    }

    private static func readChildren(
        _ reader: inout ByteReader, _ count: UInt32
    ) throws(FormatError) -> [InnerEntry] {
        var entries: [InnerEntry] = []
        entries.reserveCapacity(Int(count))
        var total: UInt64 = 0
        for _ in 0..<count {
            let entry = try InnerEntry(from: &reader)
            let (sum, overflows) = total.addingReportingOverflow(entry.measure)
            guard entry.firstKey.isEmpty, entry.measure > 0, !overflows,
                sum <= UInt64(Int64.max)
            else { throw reader.bad("child") }
            total = sum
            entries.append(entry)
        }
        return entries
    }

    /// Bytes of file that the node and what is below it make.
    public var length: UInt64 {
        switch self {
        case .leaf(let extents): extents.reduce(0) { $0 + $1.length }
        case .inner(_, let entries): entries.reduce(0) { $0 + $1.measure }
        }
    }
}
