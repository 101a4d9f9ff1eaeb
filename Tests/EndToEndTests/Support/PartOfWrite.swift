/// One write(2) that a crash has cut: the kernel hands it over in parts where it begins or ends within a
/// page that is not cached, and a commit may come in between (docs/RELIABILITY.md, *What is not
/// promised*).
enum PartOfWrite {
    private static let pageBytes = 4096

    /// Whether bytes are those behind a write as far as the end of one of its pages, and those before it
    /// from there on.
    ///
    /// - Parameter range: what was written, or more.
    static func leaves(
        _ found: [UInt8], between old: [UInt8], and new: [UInt8], in range: Range<Int>
    ) -> Bool {
        let ends = stride(
            from: (range.lowerBound / pageBytes + 1) * pageBytes,
            to: min(range.upperBound, new.count), by: pageBytes)
        return ends.contains { end in
            found.count == max(old.count, end) && found[..<end] == new[..<end]
                && found[end...] == old[min(end, old.count)...]
        }
    }
}
