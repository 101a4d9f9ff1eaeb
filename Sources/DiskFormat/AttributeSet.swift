/// A file's extended attributes, sorted by name: what lies inline or in a chunk.
///
///     name length u8 (1 ... 255) · name · value length (variable) · value      …
///
/// Names have no NUL. All of it together is at most `DiskFormat.attributeBytesMax` bytes: neither
/// `set` nor the decoder makes a bigger one, so `encoded` always has a form.
public struct AttributeSet: Equatable, Sendable {
    public struct Attribute: Equatable, Sendable {
        public var name: [UInt8]
        public var value: [UInt8]

        public init(name: [UInt8], value: [UInt8]) {
            self.name = name
            self.value = value
        }

        /// As it lies in a set's bytes.
        var encodedBytes: Int {
            let lengthBytes = (max(1, Int.bitWidth - value.count.leadingZeroBitCount) + 6) / 7
            return 1 + name.count + lengthBytes + value.count
        }
    }

    /// Ascending by name as unsigned bytes; no name twice.
    public private(set) var attributes: [Attribute]

    /// Bytes of `encoded()`.
    public private(set) var encodedBytes: Int

    /// Without attributes.
    public init() {
        attributes = []
        encodedBytes = 0
    }

    /// The value of an attribute; nil where there is none of that name.
    public subscript(name: [UInt8]) -> [UInt8]? {
        position(of: name).found.map { attributes[$0].value }
    }

    /// Sets an attribute, a new one or another value of an old one.
    ///
    /// - Throws: `badValue`, with nothing changed, for a name that no store may hold (empty, longer
    ///   than 255 bytes, or with a NUL) and where all attributes together would be longer than
    ///   `DiskFormat.attributeBytesMax`.
    public mutating func set(_ name: [UInt8], to value: [UInt8]) throws(FormatError) {
        guard AttributeSet.isAcceptable(name) else {
            throw .badValue("extended attributes: name")
        }
        let (found, place) = position(of: name)
        let new = Attribute(name: name, value: value)
        let others = encodedBytes - (found.map { attributes[$0].encodedBytes } ?? 0)
        guard new.encodedBytes <= DiskFormat.attributeBytesMax - others else {
            throw .badValue("extended attributes: too many bytes")
        }
        encodedBytes = others + new.encodedBytes
        if let found { attributes[found] = new } else { attributes.insert(new, at: place) }
    }

    /// Takes an attribute away, where there is one of that name.
    public mutating func remove(_ name: [UInt8]) {
        guard let index = position(of: name).found else { return }
        encodedBytes -= attributes[index].encodedBytes
        attributes.remove(at: index)
    }

    /// Whether an attribute may have this name.
    public static func isAcceptable(_ name: [UInt8]) -> Bool {
        !name.isEmpty && name.count <= DiskFormat.nameBytesMax && !name.contains(0)
    }

    private func position(of name: [UInt8]) -> (found: Int?, place: Int) {
        var low = 0
        var high = attributes.count
        while low < high {
            let middle = (low + high) / 2
            if attributes[middle].name.lexicographicallyPrecedes(name) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let isThere = low < attributes.count && attributes[low].name == name
        return (isThere ? low : nil, low)
    }

    /// The set's bytes; none for an empty one.
    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: encodedBytes)
        for attribute in attributes {
            writer.u8(UInt8(attribute.name.count))
            writer.raw(attribute.name)
            writer.counted(attribute.value)
        }
        return writer.bytes
    }

    /// From what `encoded` gave.
    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "extended attributes")
        guard bytes.count <= DiskFormat.attributeBytesMax else { throw reader.bad("length") }
        attributes = []
        encodedBytes = bytes.count
        while !reader.isAtEnd {
            let length = try reader.u8("name length")
            let name = Array(try reader.raw(Int(length), "name"))
            let value = try reader.counted(limit: DiskFormat.attributeBytesMax, "value")
            guard AttributeSet.isAcceptable(name),
                attributes.last.map({ $0.name.lexicographicallyPrecedes(name) }) ?? true
            else { throw reader.bad("name") }
            attributes.append(Attribute(name: name, value: value))
        }
    }
}
