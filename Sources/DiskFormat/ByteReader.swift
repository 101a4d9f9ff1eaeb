/// Reads little-endian values from bytes that nobody vouches for. Every read is bounds-checked and
/// throws `truncated` with the name of what was wanted. Borrows its buffer: valid while that is.
public struct ByteReader {
    public let buffer: UnsafeRawBufferPointer
    public private(set) var position = 0
    /// What is being decoded, for error messages.
    public let subject: StaticString

    public init(_ buffer: UnsafeRawBufferPointer, _ subject: StaticString) {
        self.buffer = buffer
        self.subject = subject
    }

    public var remaining: Int { buffer.count - position }
    public var isAtEnd: Bool { remaining == 0 }

    private func short(_ what: StaticString) -> FormatError {
        .truncated("\(subject): \(what)")
    }

    public func bad(_ what: StaticString) -> FormatError {
        .badValue("\(subject): \(what)")
    }

    @inline(__always)
    private mutating func fixed<Value: FixedWidthInteger>(
        _ what: StaticString
    ) throws(FormatError) -> Value {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { throw short(what) }
        let value = buffer.loadUnaligned(fromByteOffset: position, as: Value.self)
        position += size
        return Value(littleEndian: value)
    }

    public mutating func u8(_ what: StaticString) throws(FormatError) -> UInt8 { try fixed(what) }
    public mutating func u16(_ what: StaticString) throws(FormatError) -> UInt16 {
        try fixed(what)
    }
    public mutating func u32(_ what: StaticString) throws(FormatError) -> UInt32 {
        try fixed(what)
    }
    public mutating func u64(_ what: StaticString) throws(FormatError) -> UInt64 {
        try fixed(what)
    }
    public mutating func i64(_ what: StaticString) throws(FormatError) -> Int64 {
        Int64(bitPattern: try fixed(what) as UInt64)
    }

    /// Accepts the shortest form only, so that equal values have equal bytes.
    public mutating func variable(_ what: StaticString) throws(FormatError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try u8(what)
            if shift == 63 && byte > 1 { throw bad(what) }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 { throw bad(what) }
                return value
            }
            shift += 7
            if shift > 63 { throw bad(what) }
        }
    }

    public mutating func signedVariable(_ what: StaticString) throws(FormatError) -> Int64 {
        let coded = try variable(what)
        return Int64(bitPattern: coded >> 1) ^ -Int64(bitPattern: coded & 1)
    }

    public mutating func name(_ what: StaticString) throws(FormatError) -> ChunkName {
        ChunkName(try raw(ChunkName.byteCount, what))
    }

    /// The next `count` bytes, borrowed.
    public mutating func raw(
        _ count: Int, _ what: StaticString
    ) throws(FormatError) -> UnsafeRawBufferPointer {
        guard count >= 0, remaining >= count else { throw short(what) }
        let slice = UnsafeRawBufferPointer(rebasing: buffer[position..<position + count])
        position += count
        return slice
    }

    /// A counted run of bytes of at most `limit`.
    public mutating func counted(
        limit: Int, _ what: StaticString
    ) throws(FormatError) -> [UInt8] {
        let count = try variable(what)
        guard count <= UInt64(limit) else { throw bad(what) }
        return Array(try raw(Int(count), what))
    }

    /// A number of items of at least `itemBytes` each: refused when they cannot all be there.
    public mutating func itemCount(
        itemBytes: Int, _ what: StaticString
    ) throws(FormatError) -> Int {
        let count = try variable(what)
        guard count <= UInt64(remaining / max(1, itemBytes)) else { throw short(what) }
        return Int(count)
    }

    public mutating func expectZeros(
        _ count: Int, _ what: StaticString
    ) throws(FormatError) {
        guard try raw(count, what).allSatisfy({ $0 == 0 }) else { throw bad(what) }
    }

    public func expectEnd() throws(FormatError) {
        if !isAtEnd { throw bad("bytes behind the end") }
    }
}

extension [UInt8] {
    /// The bytes, for the time of a call that throws what it throws.
    @inlinable
    public func borrowing<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeBufferPointer { (bytes) throws(Failure) in
            try body(UnsafeRawBufferPointer(bytes))
        }
    }
}
