import Trees

/// What a patch makes of its range.
public enum PatchSource: Equatable, Sendable {
    /// Bytes, which `PatchBytes` has.
    case bytes
    case hole
    /// Allocated, and zero.
    case zeros
}

/// A change of content that lies in memory.
public struct Patch: Equatable, Sendable {
    /// Bytes of the file.
    public var range: Range<UInt64>
    public var kind: PatchSource

    public init(range: Range<UInt64>, kind: PatchSource) {
        self.range = range
        self.kind = kind
    }
}

/// Has the bytes of the patches of kind `bytes`.
public protocol PatchBytes {
    /// Fills `buffer`, which is as long as `range`, with those bytes of the file. `range` lies within
    /// one patch of kind `bytes`. What it throws ends the fold, which may be of a file of any size.
    func copy(
        _ range: Range<UInt64>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(TreeError)
}

/// How far a fold goes.
public enum FoldMode: Equatable, Sendable {
    /// To the new end of the file, whose last bytes become a chunk however short.
    case complete
    /// To the last cut that more bytes will not move: for a writer who is still writing.
    case upToDecidedCut
}

/// What a fold made.
public struct FoldResult: Equatable, Sendable {
    /// Canonical for its `size`, which is `foldedSize`; without pieces.
    public var content: StoredContent
    /// Patches before this are in `content`; what lies behind stays with the caller. With `complete`
    /// the file's new size. With `upToDecidedCut` the last decided cut, but never below what was
    /// stored and no patch covers: that nobody but `content` has.
    public var foldedSize: UInt64
    /// Bytes of `content` that are not holes.
    public var allocatedBytes: UInt64
    /// Bytes of stored chunks that were read.
    public var dataBytesRead: UInt64
    /// Chunks that were given to the store; it may have had some before.
    public var chunksPut: Int
}
