/// A file's extended attributes, sorted by name: what lies inline or in a chunk.
///
///     name length u8 (1 ... 255) · name · value length (variable) · value      …
public struct AttributeSet: Equatable, Sendable {
    public struct Attribute: Equatable, Sendable {
        public var name: [UInt8]
        public var value: [UInt8]

        public init(name: [UInt8], value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    /// Ascending by name as unsigned bytes; no name twice.
    public private(set) var attributes: [Attribute]

    public init() {
        attributes = []
    }

    public subscript(name: [UInt8]) -> [UInt8]? {
        get { position(of: name).found.map { attributes[$0].value } }
        set {
            let (found, place) = position(of: name)
            switch (found, newValue) {
            case (let index?, let value?): attributes[index].value = value
            case (let index?, nil): attributes.remove(at: index)
            case (nil, let value?):
                attributes.insert(Attribute(name: name, value: value), at: place)
            case (nil, nil): break
            }
        }
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

    public func encoded() -> [UInt8] {
        var writer = ByteWriter()
        for attribute in attributes {
            writer.u8(UInt8(attribute.name.count))
            writer.raw(attribute.name)
            writer.counted(attribute.value)
        }
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "extended attributes")
        attributes = []
        while !reader.isAtEnd {
            let length = try reader.u8("name length")
            let name = Array(try reader.raw(Int(length), "name"))
            let value = try reader.counted(limit: DiskFormat.attributeBytesMax, "value")
            guard !name.isEmpty, !name.contains(0),
                attributes.last.map({ $0.name.lexicographicallyPrecedes(name) }) ?? true
            else { throw reader.bad("name") }
            attributes.append(Attribute(name: name, value: value))
        }
    }
}
