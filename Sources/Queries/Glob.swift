// Patterns of paths.
//
//     *        any bytes but a slash           ?        one byte, no slash
//     **       any bytes, slashes too          [a-z]    one of a set; [!a-z] or [^a-z] none of it
//     **/      any directories, none too       \x       x itself
//
// A pattern without a slash is matched against the last part of a path, any other against the whole
// path below the volume's root, as in gitignore(5). A leading slash ties a pattern to the root.

/// A pattern, ready to be matched. Bytes, not characters: names need not be UTF-8.
public struct Glob: Equatable, Sendable {
    enum Token: Equatable, Sendable {
        case byte(UInt8)
        case anyByte
        case run
        case deepRun
        /// `**/`: nothing, or anything that ends with a slash.
        case directories
        case set([ClosedRange<UInt8>], isNegated: Bool)
    }

    let tokens: [Token]
    /// Matched against the last part alone.
    let isOfLastPart: Bool

    /// From a pattern's bytes.
    public init(_ pattern: some Sequence<UInt8>) {
        var bytes = Array(pattern)
        isOfLastPart = !bytes.contains(Self.slash)
        if bytes.first == Self.slash { bytes.removeFirst() }
        tokens = Self.parse(bytes)
    }

    private static let slash = UInt8(ascii: "/")

    private static func parse(_ bytes: [UInt8]) -> [Token] {
        var tokens: [Token] = []
        var position = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "*"):
                guard position < bytes.count, bytes[position] == byte else {
                    tokens.append(.run)
                    continue
                }
                while position < bytes.count, bytes[position] == byte { position += 1 }
                let isBetween = position < bytes.count && bytes[position] == slash
                if isBetween { position += 1 }
                tokens.append(isBetween ? .directories : .deepRun)
            case UInt8(ascii: "?"): tokens.append(.anyByte)
            case UInt8(ascii: "["):
                if let (set, end) = parseSet(bytes, from: position) {
                    tokens.append(set)
                    position = end
                } else {
                    tokens.append(.byte(byte))
                }
            case UInt8(ascii: "\\") where position < bytes.count:
                tokens.append(.byte(bytes[position]))
                position += 1
            default: tokens.append(.byte(byte))
            }
        }
        return tokens
    }

    /// A set behind its `[`; nil where it has no end, and is no set then.
    private static func parseSet(
        _ bytes: [UInt8], from start: Int
    ) -> (Token, end: Int)? {
        var position = start
        var isNegated = false
        if position < bytes.count, [UInt8(ascii: "!"), UInt8(ascii: "^")].contains(bytes[position])
        {
            isNegated = true
            position += 1
        }
        var ranges: [ClosedRange<UInt8>] = []
        while position < bytes.count {
            let low = bytes[position]
            // A bracket at the beginning stands for itself.
            if low == UInt8(ascii: "]"), !ranges.isEmpty {
                return (.set(ranges, isNegated: isNegated), position + 1)
            }
            position += 1
            if position + 1 < bytes.count, bytes[position] == UInt8(ascii: "-"),
                bytes[position + 1] != UInt8(ascii: "]"), bytes[position + 1] >= low
            {
                ranges.append(low...bytes[position + 1])
                position += 2
            } else {
                ranges.append(low...low)
            }
        }
        return nil
    }

    // MARK: matching

    /// Whether a path matches: bytes from the volume's root, without the leading slash.
    public func matches(_ path: some Collection<UInt8>) -> Bool {
        let bytes = Array(path)
        guard isOfLastPart else { return matches(bytes[...]) }
        let start = bytes.lastIndex(of: Self.slash).map { $0 + 1 } ?? 0
        return matches(bytes[start...])
    }

    /// By sets of positions in the pattern, all moved along at once: the time is at most pattern × path,
    /// whatever stars there are.
    private func matches(_ bytes: ArraySlice<UInt8>) -> Bool {
        var states = [Bool](repeating: false, count: tokens.count + 1)
        states[0] = true
        close(&states, isAtStartOfPart: true)
        for byte in bytes {
            var next = [Bool](repeating: false, count: states.count)
            for (index, token) in tokens.enumerated() where states[index] {
                switch token {
                case .byte(let wanted): if byte == wanted { next[index + 1] = true }
                case .anyByte: if byte != Self.slash { next[index + 1] = true }
                case .run: if byte != Self.slash { next[index] = true }
                case .deepRun, .directories: next[index] = true
                case .set(let ranges, let isNegated):
                    let isIn = ranges.contains { $0.contains(byte) }
                    if byte != Self.slash, isIn != isNegated { next[index + 1] = true }
                }
            }
            close(&next, isAtStartOfPart: byte == Self.slash)
            guard next.contains(true) else { return false }
            states = next
        }
        return states[tokens.count]
    }

    /// Adds the positions that are reached without a byte.
    private func close(_ states: inout [Bool], isAtStartOfPart: Bool) {
        for (index, token) in tokens.enumerated() where states[index] {
            switch token {
            case .run, .deepRun: states[index + 1] = true
            case .directories where isAtStartOfPart: states[index + 1] = true
            default: break
            }
        }
    }
}
