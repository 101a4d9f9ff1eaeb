import Checking
import DiskFormat
import Trees

/// The differences of two volumes or snapshots, in which a file that is gone under one name and has
/// come under another is one difference, told at its new path.
///
/// Such files are the same inode of the same volume, or, where none is, have the same content by its
/// key: no byte is read. They are looked for in a walk of its own, beforehand; so all is found twice.
/// Memory: some 300 bytes for each name that is gone or has come, of at most `candidatesMax`; of more
/// than that renames are not told at all. One thread.
public struct RenamedDifferences {
    /// Most names of each side that are looked at.
    public static let candidatesMax = 100_000

    private let differences: () throws(TreeError) -> VolumeDifference
    private let told: (FileDifference) -> FileDifference?
    private var walk: VolumeDifference?
    /// Old names by new ones.
    private var origins: [[UInt8]: Candidate] = [:]
    private var gone: Set<[UInt8]> = []
    /// Whether there were too many names to find renames among.
    public private(set) var hasTooMany = false

    private struct Candidate {
        var path: [UInt8]
        var image: InodeImage
    }

    /// - Parameters:
    ///   - finding: whether renames are looked for; else all is told as it comes.
    ///   - differences: made twice.
    ///   - told: what is told of a difference; nil: nothing.
    public init(
        finding: Bool, of differences: @escaping () throws(TreeError) -> VolumeDifference,
        telling told: @escaping (FileDifference) -> FileDifference? = { $0 }
    ) throws(TreeError) {
        self.differences = differences
        self.told = told
        if finding { try find() }
        walk = try differences()
    }

    /// The next difference; nil where there is none any more.
    public mutating func next() throws(TreeError) -> FileDifference? {
        while let next = try walk?.next() {
            guard let found = told(next) else { continue }
            if found.new == nil, gone.contains(found.path) { continue }
            guard found.old == nil, let new = found.new, let origin = origins[found.path] else {
                return found
            }
            return try walk?.renamed(from: origin.path, origin.image, to: found.path, new)
        }
        return nil
    }

    // MARK: finding

    private mutating func find() throws(TreeError) {
        var old: [Candidate] = []
        var new: [Candidate] = []
        var first = try differences()
        while let next = try first.next() {
            guard let found = told(next) else { continue }
            switch (found.old, found.new) {
            case (let image?, nil) where image.mode >> 12 != 4:
                old.append(Candidate(path: found.path, image: image))
            case (nil, let image?) where image.mode >> 12 != 4:
                new.append(Candidate(path: found.path, image: image))
            default: continue
            }
            if max(old.count, new.count) > Self.candidatesMax {
                hasTooMany = true
                return
            }
        }
        if first.isOfOneVolume { match(old, new) { InodeKey($0.image) } }
        match(old, new) { $0.image.size > 0 ? $0.image.content.keyName : nil }
    }

    private struct InodeKey: Hashable {
        var inode: UInt64
        var generation: UInt64
        var kind: UInt32

        init(_ image: InodeImage) {
            inode = image.inode
            generation = image.generation
            kind = image.mode >> 12
        }
    }

    /// Pairs what has equal keys, in the order of paths, each once.
    private mutating func match<Key: Hashable>(
        _ old: [Candidate], _ new: [Candidate], _ key: (Candidate) -> Key?
    ) {
        var waiting: [Key: [Candidate]] = [:]
        // The last is taken first.
        for candidate in old.reversed() where !gone.contains(candidate.path) {
            if let key = key(candidate) { waiting[key, default: []].append(candidate) }
        }
        for candidate in new where origins[candidate.path] == nil {
            guard let key = key(candidate), let origin = waiting[key]?.popLast() else { continue }
            origins[candidate.path] = origin
            gone.insert(origin.path)
        }
    }
}
