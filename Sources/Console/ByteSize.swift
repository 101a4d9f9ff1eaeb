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
