/// The name of a chunk: 32 bytes, the store's hash of the chunk's raw bytes, or, for recipe and
/// tree nodes, of a tag and the bytes (so that nobody can write a file whose chunk is taken for a
/// node). Held as four words in memory order, so comparing the words' bytes compares the name's.
public struct ChunkName: Hashable, Sendable {
    public static let byteCount = 32

    public var w0: UInt64
    public var w1: UInt64
    public var w2: UInt64
    public var w3: UInt64

    /// All zero bytes: names nothing.
    public static let zero = ChunkName(w0: 0, w1: 0, w2: 0, w3: 0)

    @inlinable
    public init(w0: UInt64, w1: UInt64, w2: UInt64, w3: UInt64) {
        self.w0 = w0
        self.w1 = w1
        self.w2 = w2
        self.w3 = w3
    }

    /// From the first 32 bytes of `bytes`, which must have as many.
    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count >= ChunkName.byteCount)
        w0 = bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
        w1 = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        w2 = bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        w3 = bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
    }

    /// From 64 hexadecimal digits; nil where they are not.
    public init?(hexadecimal text: some StringProtocol) {
        let digits = Array(text.utf8)
        guard digits.count == 64 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 32)
        for index in 0..<64 {
            let value: UInt8
            switch digits[index] {
            case 0x30...0x39: value = digits[index] - 0x30
            case 0x61...0x66: value = digits[index] - 0x61 + 10
            case 0x41...0x46: value = digits[index] - 0x41 + 10
            default: return nil
            }
            bytes[index / 2] = bytes[index / 2] << 4 | value
        }
        self = bytes.withUnsafeBytes { ChunkName($0) }
    }

    @inlinable public var isZero: Bool { w0 | w1 | w2 | w3 == 0 }

    /// Names are uniform already: one word is a good hash.
    @inlinable
    public func hash(into hasher: inout Hasher) {
        hasher.combine(w1)
    }

    @inlinable
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var copy = self
        return try withUnsafeMutablePointer(to: &copy) { pointer throws(Failure) in
            try body(UnsafeRawBufferPointer(start: pointer, count: 32))
        }
    }

    public var bytes: [UInt8] { withBytes { Array($0) } }

    /// 64 lower-case hexadecimal digits.
    public var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        return withBytes { bytes in
            String(
                decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] },
                as: UTF8.self)
        }
    }
}

extension ChunkName: Comparable {
    @inlinable
    public static func < (a: ChunkName, b: ChunkName) -> Bool {
        if a.w0 != b.w0 { return a.w0.byteSwapped < b.w0.byteSwapped }
        if a.w1 != b.w1 { return a.w1.byteSwapped < b.w1.byteSwapped }
        if a.w2 != b.w2 { return a.w2.byteSwapped < b.w2.byteSwapped }
        return a.w3.byteSwapped < b.w3.byteSwapped
    }
}

extension ChunkName: CustomStringConvertible {
    public var description: String { hexadecimal }
}

/// How chunks are named; the id is in every pack header.
public enum HashAlgorithm: UInt8, Sendable, CaseIterable {
    case sha256 = 1
    /// SHA-512/256 (FIPS 180-4): faster than SHA-256 on processors without SHA instructions.
    case sha512_256 = 2

    /// As on the command line.
    public var label: String {
        switch self {
        case .sha256: "sha256"
        case .sha512_256: "sha512-256"
        }
    }

    public init?(label: String) {
        guard let match = HashAlgorithm.allCases.first(where: { $0.label == label }) else {
            return nil
        }
        self = match
    }
}

/// What a chunk's bytes are. Each domain's names are apart from the others'.
public enum ChunkDomain: UInt8, Sendable, CaseIterable {
    /// Bytes of files (also long extended attributes): name = H(bytes).
    case data = 1
    /// Nodes of recipes: name = H(tag ‖ bytes).
    case recipe = 2
    /// Nodes of directories, roots and their tables: name = H(tag ‖ bytes).
    case tree = 3

    /// Put before the bytes when hashing; empty for data.
    public var tag: StaticString {
        switch self {
        case .data: ""
        case .recipe: "ashlar recipe 1\n"
        case .tree: "ashlar tree 1\n\n\n"
        }
    }

    /// Recipes and trees are written to super-chunks of their own, in two copies.
    @inlinable public var isMetadata: Bool { self != .data }
}
