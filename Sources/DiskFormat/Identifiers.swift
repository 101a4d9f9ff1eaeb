/// A random 128-bit identifier (RFC 9562, version 4 when made by us): of a store or a volume.
public struct UniqueID: Hashable, Sendable, CustomStringConvertible {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// From random words: sets the version and variant bits.
    public init(random words: (UInt64, UInt64)) {
        high = words.0 & ~0xf000 | 0x4000
        low = words.1 & ~(0b11 << 62) | (0b10 << 62)
    }

    /// The usual form, 8-4-4-4-12 hexadecimal digits.
    public var description: String {
        let text = Self.hexadecimal(high) + Self.hexadecimal(low)
        var result = ""
        for (index, character) in text.enumerated() {
            if [8, 12, 16, 20].contains(index) { result.append("-") }
            result.append(character)
        }
        return result
    }

    static func hexadecimal(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    func write(to writer: inout ByteWriter) {
        writer.u64(high.byteSwapped)
        writer.u64(low.byteSwapped)
    }

    init(from reader: inout ByteReader, _ what: StaticString) throws(FormatError) {
        high = try reader.u64(what).byteSwapped
        low = try reader.u64(what).byteSwapped
    }
}

/// The key of the header checksums: random, made with the store, repeated in every pack.
public struct StoreSecret: Hashable, Sendable {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// Which pack: the random id of the writer that made it, and that writer's running number from 1.
public struct PackID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var writer: UInt64
    public var sequence: UInt64

    public init(writer: UInt64, sequence: UInt64) {
        self.writer = writer
        self.sequence = sequence
    }

    public static func < (a: PackID, b: PackID) -> Bool {
        (a.writer, a.sequence) < (b.writer, b.sequence)
    }

    /// Two words of 16 hexadecimal digits with a dash: also the file's name.
    public var description: String {
        "\(UniqueID.hexadecimal(writer))-\(UniqueID.hexadecimal(sequence))"
    }

    /// From `description`'s form, and no other: two names for one pack would be two files.
    public init?(text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.count == 16, parts[1].utf8.count == 16,
            let writer = UInt64(parts[0], radix: 16), let sequence = UInt64(parts[1], radix: 16)
        else { return nil }
        self.init(writer: writer, sequence: sequence)
        guard description == text else { return nil }
    }

    /// The name of the pack's file within a store.
    public var fileName: String { "packs/\(self).pack" }

    /// From a file's name within a store; nil for other files.
    public init?(fileName: String) {
        guard fileName.hasPrefix("packs/"), fileName.hasSuffix(".pack") else { return nil }
        self.init(text: fileName.dropFirst(6).dropLast(5))
    }

    func write(to writer: inout ByteWriter) {
        writer.u64(self.writer)
        writer.u64(sequence)
    }

    init(from reader: inout ByteReader, _ what: StaticString) throws(FormatError) {
        writer = try reader.u64(what)
        sequence = try reader.u64(what)
    }
}
