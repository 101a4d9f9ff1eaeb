import Checking
import DiskFormat
import Hashing
import Trees

/// Whether a snapshot is, wherever a difference touches it, as the first side of that has it. Changes
/// nothing. One thread.
public struct SnapshotComparison {
    let base: StoredTree
    private let parameters: StoreParameters
    private let old: VolumeState
    private let new: VolumeState
    private let hasher: ChunkHasher
    private let isCancelled: () -> Bool

    /// - Parameters:
    ///   - base: the snapshot.
    ///   - parameters: of the store that has it.
    ///   - old: the side of the difference that it is to have.
    public init(
        of base: StoredTree, in parameters: StoreParameters, from old: VolumeState,
        to new: VolumeState, isCancelled: @escaping () -> Bool = { false }
    ) throws(StreamError) {
        self.base = base
        self.parameters = parameters
        self.old = old
        self.new = new
        self.isCancelled = isCancelled
        do throws(HashingError) {
            hasher = try ChunkHasher(parameters.hash)
        } catch {
            throw .store(.hashing(error))
        }
    }

    /// Throws `isOther` for the first path that is not as the first side has it.
    ///
    /// - Returns: how many differences there are.
    public func run(_ source: DifferenceApplication.Source) throws(ApplyError) -> UInt64 {
        try compare(source).count
    }

    /// As `run`; and what new names are to be links to.
    func compare(
        _ source: DifferenceApplication.Source
    ) throws(ApplyError) -> (count: UInt64, untouched: UntouchedLinks) {
        guard parameters.hash == old.parameters.hash, parameters.chunker == old.parameters.chunker
        else { throw .cutsOtherwise }
        var count: UInt64 = 0
        while let found = try ApplyError.reading(source) {
            if isCancelled() { throw .cancelled }
            count += 1
            guard let image = try image(at: found.path) else {
                if found.old != nil { throw .isOther(path: found.path, what: "there is nothing") }
                continue
            }
            try check(image, found)
            guard image.mode >> 12 == 4, (found.new?.mode ?? 0) >> 12 != 4 else { continue }
            try checkIsKnown(image, found)
        }
        let links = try UntouchedLinks(from: old, to: new, isCancelled: isCancelled)
        for path in links.paths {
            guard let image = try image(at: path) else {
                throw .isOther(path: path, what: "there is nothing")
            }
            let wanted = try ApplyError.reading { () throws(TreeError) in
                try old.resolve(bytes: path)
            }
            try check(image, AppliedDifference(path: path, old: wanted, new: wanted))
        }
        return (count, links)
    }

    /// nil where the snapshot has nothing.
    func image(at path: [UInt8]) throws(ApplyError) -> InodeImage? {
        try ApplyError.reading { () throws(TreeError) in try base.resolve(path) }
    }

    /// A directory that ends must not have anything that the difference does not know.
    private func checkIsKnown(
        _ image: InodeImage, _ found: AppliedDifference
    ) throws(ApplyError) {
        guard let wanted = found.old else { return }
        var unknown: [UInt8]?
        try ApplyError.reading { () throws(TreeError) in
            try base.forEachEntry(of: image) { entry throws(TreeError) in
                if try old.lookUp(entry.name, in: wanted) == nil { unknown = entry.name }
                return unknown == nil
            }
        }
        guard let unknown else { return }
        throw .isOther(
            path: found.path + [UInt8(ascii: "/")] + unknown,
            what: "its directory ends, and it is not known")
    }

    /// Throws `isOther` where what the snapshot has is not what a difference begins with.
    func check(_ image: InodeImage, _ found: AppliedDifference) throws(ApplyError) {
        guard let wanted = found.old else {
            throw .isOther(path: found.path, what: "something is there")
        }
        if let what = image.difference(from: wanted) {
            throw .isOther(path: found.path, what: what)
        }
        if image.attributes != wanted.attributes {
            throw .isOther(path: found.path, what: "its extended attributes")
        }
        if try !hasContent(image, of: wanted) {
            throw .isOther(path: found.path, what: "its content")
        }
    }

    /// Keys tell at once that content is equal; where holes are at other places, bytes tell.
    private func hasContent(
        _ image: InodeImage, of wanted: InodeImage
    ) throws(ApplyError) -> Bool {
        if image.mode >> 12 == 4 || image.content == wanted.content { return true }
        guard image.mode >> 12 == 8 else { return false }
        return try held(image).isContent(of: wanted, in: old)
    }

    /// The content of a file of the snapshot.
    func held(_ image: InodeImage) -> HeldContent {
        HeldContent(
            TreeFileContent(image: image, tree: base), hasher, isCancelled: isCancelled)
    }
}
