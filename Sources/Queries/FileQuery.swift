import DiskFormat

/// What is looked for: every criterion that is given has to hold.
public struct FileQuery: Sendable {
    /// Kinds of file by the letters of find(1): f d l b c p s. Empty: all.
    public var kinds: Set<UInt8> = []
    /// One of them has to match; empty: all paths do.
    public var patterns: [Glob] = []
    /// None of them may match.
    public var excluded: [Glob] = []
    /// Bounds of the size in bytes; only regular files have one here.
    public var minimumSize: UInt64?
    public var maximumSize: UInt64?
    /// Bounds of the time of the last change of content, both exclusive.
    public var modifiedAfter: DiskTime?
    public var modifiedBefore: DiskTime?
    public var owner: UInt32?
    public var group: UInt32?
    /// The content's key, or the beginning of its hexadecimal name.
    public var hashPrefix: String?

    public init() {}

    /// The value of `d_type` for a letter of find(1); nil for letters that are none.
    public static func kind(letter: Character) -> UInt8? {
        ["p": 1, "c": 2, "d": 4, "b": 6, "f": 8, "l": 10, "s": 12][letter]
    }

    /// The letter of find(1) for a mode's kind; `?` for modes that have none.
    public static func letter(ofMode mode: UInt32) -> String {
        [1: "p", 2: "c", 4: "d", 6: "b", 8: "f", 10: "l", 12: "s"][mode >> 12 & 15] ?? "?"
    }

    /// Whether an inode at a path is what is looked for.
    public func matches(_ path: [UInt8], _ image: InodeImage) -> Bool {
        matchesAttributes(image) && matchesContent(image)
            && (patterns.isEmpty || patterns.contains { $0.matches(path) })
            && !excluded.contains { $0.matches(path) }
    }

    private func matchesAttributes(_ image: InodeImage) -> Bool {
        if !kinds.isEmpty, !kinds.contains(UInt8(image.mode >> 12 & 15)) { return false }
        if let owner, image.owner != owner { return false }
        if let group, image.group != group { return false }
        if let modifiedAfter, !(modifiedAfter < image.modificationTime) { return false }
        if let modifiedBefore, !(image.modificationTime < modifiedBefore) { return false }
        return true
    }

    private func matchesContent(_ image: InodeImage) -> Bool {
        let isRegular = image.mode >> 12 & 15 == 8
        if minimumSize != nil || maximumSize != nil {
            guard isRegular, image.size >= minimumSize ?? 0,
                image.size <= maximumSize ?? UInt64.max
            else { return false }
        }
        guard let hashPrefix else { return true }
        return isRegular && image.content.keyName?.hexadecimal.hasPrefix(hashPrefix) ?? false
    }
}

extension ContentKey {
    /// The name by which equal contents are equal; nil for what has none: empty files, directories.
    public var keyName: ChunkName? {
        switch self {
        case .chunk(let name): name
        case .recipe(let node): node.name
        case .none, .directory, .target: nil
        }
    }
}
