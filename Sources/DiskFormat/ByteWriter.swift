/// Appends little-endian values to an array of bytes.
///
/// Variable-length integers are LEB128: seven bits a byte, low first, the top bit says "more";
/// signed ones are zigzag-coded first.
public struct ByteWriter: Sendable {
    public private(set) var bytes: [UInt8]

    public init(reservingBytes: Int = 0) {
        bytes = []
        bytes.reserveCapacity(reservingBytes)
    }

    public var count: Int { bytes.count }

    public mutating func u8(_ value: UInt8) { bytes.append(value) }
    public mutating func u16(_ value: UInt16) { fixed(value) }
    public mutating func u32(_ value: UInt32) { fixed(value) }
    public mutating func u64(_ value: UInt64) { fixed(value) }
    public mutating func i64(_ value: Int64) { fixed(UInt64(bitPattern: value)) }

    public mutating func variable(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    public mutating func signedVariable(_ value: Int64) {
        variable(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    public mutating func raw(_ more: [UInt8]) { bytes.append(contentsOf: more) }
    public mutating func raw(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }

    public mutating func name(_ name: ChunkName) { name.withBytes { bytes.append(contentsOf: $0) } }

    /// A length as a variable integer, then the bytes.
    public mutating func counted(_ more: [UInt8]) {
        variable(UInt64(more.count))
        raw(more)
    }

    public mutating func zeros(_ count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: count))
    }

    /// Overwrites four bytes written before.
    public mutating func patchU32(_ value: UInt32, at offset: Int) {
        withUnsafeBytes(of: value.littleEndian) {
            for index in 0..<4 { bytes[offset + index] = $0[index] }
        }
    }

    private mutating func fixed<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}
