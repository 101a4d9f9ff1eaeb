/// The bytes of a file, as they should be, and as they have been since they were last synchronised.
struct FileModel {
    private(set) var bytes: [UInt8] = []
    /// What the file may be after a crash: its states since the last fsync(2), the oldest first; and what
    /// was written to come to each (see `PartOfWrite`).
    private(set) var versions: [[UInt8]] = [[]]
    private var writes: [Range<Int>?] = [nil]
    /// Whether a mapping was written to without msync(2): the kernel may have stored any part of it.
    private(set) var isLoose = false

    /// Remembers the state as one that a crash may leave.
    private mutating func note(written: Range<Int>? = nil) {
        versions.append(bytes)
        writes.append(written)
    }

    mutating func write(_ new: [UInt8], at offset: Int) {
        guard !new.isEmpty else { return }
        setSize(max(bytes.count, offset + new.count))
        bytes.replaceSubrange(offset..<(offset + new.count), with: new)
        note(written: offset..<(offset + new.count))
    }

    mutating func map(_ new: [UInt8], at offset: Int, synchronized: Bool) {
        write(new, at: offset)
        isLoose = isLoose || !synchronized
    }

    mutating func resize(_ count: Int) {
        setSize(count)
        note()
    }

    private mutating func setSize(_ count: Int) {
        if count < bytes.count { bytes.removeSubrange(count...) }
        bytes.append(contentsOf: [UInt8](repeating: 0, count: count - bytes.count))
    }

    mutating func zero(_ offset: Int, _ length: Int, growing: Bool = false) {
        if growing { setSize(max(bytes.count, offset + length)) }
        let end = min(bytes.count, offset + length)
        if offset < end {
            bytes.replaceSubrange(offset..<end, with: repeatElement(0, count: end - offset))
        }
        note()
    }

    func read(_ offset: Int, _ length: Int) -> ArraySlice<UInt8> {
        bytes[min(offset, bytes.count)..<min(bytes.count, offset + length)]
    }

    /// All so far is durable.
    mutating func synchronize() {
        versions = [bytes]
        writes = [nil]
        isLoose = false
    }

    /// How bytes that are in no state differ from the states: for whoever has to find out why.
    func differences(_ found: [UInt8]) -> [String] {
        versions.indices.map { index in
            let version = versions[index]
            let places = zip(found, version).enumerated().filter { $1.0 != $1.1 }.map(\.offset)
            let text =
                places.isEmpty
                ? "equal as far as both reach"
                : "\(places.count) bytes in \(places[0])...\(places[places.count - 1])"
            return "state \(index) of \(version.count) bytes: \(text)"
        }
    }

    /// Takes what a crash has left, if it may be; how many steps were lost, or nil.
    mutating func recover(_ found: [UInt8]) -> Int? {
        guard let index = versions.lastIndex(of: found) ?? stateBeforePart(found) else {
            return nil
        }
        let lost = versions.count - 1 - index
        bytes = found
        synchronize()
        return lost
    }

    /// The state behind which a part of a write has come.
    private func stateBeforePart(_ found: [UInt8]) -> Int? {
        versions.indices.dropLast().last { index in
            guard let range = writes[index + 1] else { return false }
            return PartOfWrite.leaves(
                found, between: versions[index], and: versions[index + 1], in: range)
        }
    }
}
