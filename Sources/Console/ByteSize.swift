// Sizes in bytes, as people write and read them: binary units throughout.

/// A number of bytes in words.
public enum ByteSize {
    private static let units: [(letter: Character, shift: UInt64)] = [
        ("K", 10), ("M", 20), ("G", 30), ("T", 40), ("P", 50),
    ]

    /// Reads `65536`, `64K`, `64k`, `64KiB`, `1M`, `2G`, `1T`: units are powers of 1024. nil for
    /// anything else, for `64KB` (1000 or 1024?), for fractions, and for 2^63 and above.
    public static func parse(_ text: some StringProtocol) -> UInt64? {
        var rest = text[...]
        var shift: UInt64 = 0
        if rest.hasSuffix("iB") {
            rest = rest.dropLast(2)
            guard let last = rest.last, !last.isNumber else { return nil }
        }
        if let last = rest.last, !last.isNumber {
            let letter = last.uppercased()
            guard let unit = units.first(where: { String($0.letter) == letter }) else {
                return nil
            }
            shift = unit.shift
            rest = rest.dropLast()
        }
        guard !rest.isEmpty, rest.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = UInt64(rest), number <= (UInt64(Int64.max) >> shift)
        else { return nil }
        return number << shift
    }

    /// Reads what `parse` reads, and rougher measures for searching: `1.5M` (binary), `1.5MB` and
    /// `64KB` (powers of 1000). Rounded down. nil for anything else.
    public static func parseMeasure(_ text: some StringProtocol) -> UInt64? {
        if let exact = parse(text) { return exact }
        var rest = text[...]
        var base = 1024.0
        if rest.hasSuffix("iB") {
            rest = rest.dropLast(2)
        } else if rest.hasSuffix("B") || rest.hasSuffix("b") {
            rest = rest.dropLast()
            base = 1000
        }
        var scale = 1.0
        if let last = rest.last, !last.isNumber {
            guard
                let power = units.firstIndex(where: { String($0.letter) == last.uppercased() })
            else { return nil }
            for _ in 0...power { scale *= base }
            rest = rest.dropLast()
        }
        let parts = rest.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2,
            parts.allSatisfy({ part in
                !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
            }), let number = Double(String(rest))
        else { return nil }
        return UInt64(exactly: (number * scale).rounded(.down)).flatMap {
            $0 <= UInt64(Int64.max) ? $0 : nil
        }
    }

    /// Three significant digits or so: `0 B`, `1023 B`, `1.5 KiB`, `12 MiB`. Rounded to nearest.
    public static func text(_ bytes: UInt64) -> String {
        if bytes < 1024 { return "\(bytes) B" }
        for (index, unit) in units.enumerated() {
            let tenths = (Double(bytes) / Double(UInt64(1) << unit.shift) * 10).rounded()
            // 1023.96 KiB would round to 1024.0: that is 1.0 MiB.
            guard tenths < 10_240 || index == units.count - 1 else { continue }
            let whole = Int(tenths / 10)
            if whole >= 10 {
                let rounded = (Double(bytes) / Double(UInt64(1) << unit.shift)).rounded()
                guard rounded < 1024 || index == units.count - 1 else { continue }
                return "\(Int(rounded)) \(unit.letter)iB"
            }
            return "\(whole).\(Int(tenths) % 10) \(unit.letter)iB"
        }
        return "\(bytes) B"
    }

    /// The shortest exact form that `parse` reads back: `64K`, `1000`.
    public static func exact(_ bytes: UInt64) -> String {
        for unit in units.reversed() where (bytes >> unit.shift) << unit.shift == bytes && bytes > 0
        {
            return "\(bytes >> unit.shift)\(unit.letter)"
        }
        return "\(bytes)"
    }
}
