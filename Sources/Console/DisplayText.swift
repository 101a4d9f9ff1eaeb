// Bytes that somebody else chose, made harmless for a terminal.

/// Names as they are shown.
public enum DisplayText {
    /// Valid UTF-8 stays; control characters, characters that turn the direction of writing, line
    /// separators, and bytes that are no UTF-8 become `\xNN` for each of their bytes, and a
    /// backslash `\\`: so the text is one line and can be turned back into the bytes.
    public static func escaped(_ bytes: some Collection<UInt8>) -> String {
        let source = Array(bytes)
        var result = ""
        result.reserveCapacity(source.count)
        var parser = Unicode.UTF8.ForwardParser()
        var input = source.makeIterator()
        var position = 0
        while true {
            switch parser.parseScalar(from: &input) {
            case .valid(let encoded):
                let scalar = Unicode.UTF8.decode(encoded)
                append(scalar, source[position..<position + encoded.count], to: &result)
                position += encoded.count
            case .error(let length):
                for byte in source[position..<position + length] { append(byte, to: &result) }
                position += length
            case .emptyInput:
                return result
            }
        }
    }

    /// The text itself where it is UTF-8, otherwise nil.
    public static func exact(_ bytes: some Collection<UInt8>) -> String? {
        String(validating: bytes, as: UTF8.self)
    }

    private static func append(
        _ scalar: Unicode.Scalar, _ bytes: ArraySlice<UInt8>, to result: inout String
    ) {
        if scalar == "\\" {
            result.append("\\\\")
        } else if isHarmless(scalar) {
            result.unicodeScalars.append(scalar)
        } else {
            for byte in bytes { append(byte, to: &result) }
        }
    }

    private static func append(_ byte: UInt8, to result: inout String) {
        let digits = Array("0123456789abcdef")
        result.append("\\x")
        result.append(digits[Int(byte >> 4)])
        result.append(digits[Int(byte & 15)])
    }

    private static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned,
            .privateUse:
            false
        default: true
        }
    }
}
