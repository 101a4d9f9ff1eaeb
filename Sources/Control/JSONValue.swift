// What requests and answers are made of.
import FoundationEssentials

/// A JSON value. Numbers are integers where they are written as such.
public enum JSONValue: Equatable, Sendable, Codable {
    case null
    case flag(Bool)
    case integer(Int64)
    case number(Double)
    case text(String)
    case list([JSONValue])
    case object([String: JSONValue])

    public init(from decoder: any Decoder) throws {
        let single = try decoder.singleValueContainer()
        if single.decodeNil() {
            self = .null
        } else if let flag = try? single.decode(Bool.self) {
            self = .flag(flag)
        } else if let integer = try? single.decode(Int64.self) {
            self = .integer(integer)
        } else if let number = try? single.decode(Double.self) {
            self = .number(number)
        } else if let text = try? single.decode(String.self) {
            self = .text(text)
        } else if let list = try? single.decode([JSONValue].self) {
            self = .list(list)
        } else {
            self = .object(try single.decode([String: JSONValue].self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var single = encoder.singleValueContainer()
        switch self {
        case .null: try single.encodeNil()
        case .flag(let flag): try single.encode(flag)
        case .integer(let integer): try single.encode(integer)
        case .number(let number): try single.encode(number)
        case .text(let text): try single.encode(text)
        case .list(let list): try single.encode(list)
        case .object(let object): try single.encode(object)
        }
    }

    /// A member of an object; nil for none and for what is no object.
    public subscript(key: String) -> JSONValue? {
        if case .object(let object) = self { object[key] } else { nil }
    }

    /// The text, of a text.
    public var text: String? {
        if case .text(let text) = self { text } else { nil }
    }

    /// The integer, of an integer.
    public var integer: Int64? {
        if case .integer(let integer) = self { integer } else { nil }
    }

    /// The flag, of a flag.
    public var flag: Bool? {
        if case .flag(let flag) = self { flag } else { nil }
    }
}

extension JSONValue {
    /// Any encodable value as a JSON value.
    public init(encoding value: some Encodable) throws(ControlError) {
        do {
            let bytes = try JSONEncoder().encode(value)
            self = try JSONDecoder().decode(JSONValue.self, from: bytes)
        } catch {
            throw .badMessage("cannot be encoded: \(error)")
        }
    }

    /// This value as one of `type`.
    public func decoded<Value: Decodable>(as type: Value.Type) throws(ControlError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: try JSONEncoder().encode(self))
        } catch {
            throw .badMessage("not a \(type)")
        }
    }

    /// One line with its line feed; keys sorted.
    func line() throws(ControlError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(self)) + [0x0a]
        } catch {
            throw .badMessage("cannot be encoded: \(error)")
        }
    }

    init(line: [UInt8]) throws(ControlError) {
        do {
            self = try JSONDecoder().decode(JSONValue.self, from: Data(line))
        } catch {
            throw .badMessage("no JSON")
        }
    }
}
