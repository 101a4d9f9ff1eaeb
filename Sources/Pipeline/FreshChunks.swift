import ChunkIndex
import DiskFormat
import SuperChunks

/// A chunk that was laid since the last commit was applied.
struct FreshChunk {
    var rawBytes: UInt32
    var domain: ChunkDomain
    /// Newest first.
    var places: [ChunkPlace] = []
    /// Which commit will vouch for it: that of its generation.
    var generation: UInt64
    /// Of recipe nodes: the names that they own, each once.
    var children: [ChunkName] = []
}

/// Which super-chunk a chunk is laid into: chunks that are read alike lie together.
public enum SuperChunkUse: CaseIterable, Sendable {
    /// One frame: compresses best, and who reads one chunk mostly reads its neighbours too.
    case data
    /// Of files that are big enough to be images of disks or databases, which are read and changed in
    /// places: several frames (`ChunkStore.largeFileFrames`), of which one is read for that.
    case largeFiles
    /// Recipes and trees.
    case metadata
}

/// What is on its way between a caller and the packs: chunks in open super-chunks, and those that
/// were appended but are not in the index yet.
struct LayingState {
    /// Super-chunks that take chunks.
    var builders: [SuperChunkUse: SuperChunkBuilder] = [:]
    /// In which super-chunk a chunk waits that is not appended yet.
    var open: [ChunkName: SuperChunkBuilder] = [:]
    /// The owned names of recipe nodes that wait in `open`.
    var openChildren: [ChunkName: [ChunkName]] = [:]
    /// Super-chunks that workers are closing.
    var closing: Set<ObjectIdentifier> = []
    /// Super-chunks that could not be appended for want of space: still in `open`, to be tried again
    /// by the next commit.
    var stuck: [SuperChunkBuilder] = []
    var fresh: [ChunkName: FreshChunk] = [:]
    /// Dead chunks that were hit in this generation of checkpoints and in the one before.
    var hitsOnDead: Set<ChunkName> = []
    var earlierHitsOnDead: Set<ChunkName> = []
    /// How many want nothing that is dead given up (`ChunkStore.keepDead`).
    var deadKeepers = 0
    /// Chunks about to be condemned: not hit any more.
    var condemning: Set<ChunkName> = []
    /// Changes with `condemning`: an answer of the index from before does not count.
    var condemnRound: UInt64 = 0
    /// Chunks of which no copy verified since the last commit: not hit any more.
    var damaged: Set<ChunkName> = []
    /// Places that the next commit takes out of the index.
    var vacating = Vacating()
    /// Set once, by the first failed write: nothing is written after it.
    var failure: StoreError?

    /// Whether a chunk is on its way, and need not be laid again.
    func knows(_ name: ChunkName) -> Bool {
        open[name] != nil || (fresh[name] != nil && !damaged.contains(name))
    }

    /// Raw bytes that wait in open super-chunks.
    var openBytes: Int { builders.values.reduce(0) { $0 + $1.rawBytes } }
}
