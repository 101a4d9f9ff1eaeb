// Leaves of recipes, decoded once for many reads here and there in large files.
import DiskFormat
import Platform

/// A leaf of a recipe, decoded. Immutable; any thread.
public final class RecipeLeaf: Sendable {
    /// At least one.
    public let extents: [Extent]
    /// Where each begins, counted from the leaf's first byte.
    public let starts: [UInt64]
    /// Bytes of file that the leaf makes.
    public let length: UInt64

    /// - Parameter extents: of a leaf that was decoded, which has checked that none is empty and that
    ///   their lengths together do not overflow.
    public init(_ extents: [Extent]) {
        self.extents = extents
        var position: UInt64 = 0
        var starts: [UInt64] = []
        starts.reserveCapacity(extents.count)
        for extent in extents {
            starts.append(position)
            position += extent.length
        }
        self.starts = starts
        length = position
    }

    /// What the leaf costs in memory.
    public var memoryBytes: Int {
        extents.count * (MemoryLayout<Extent>.stride + MemoryLayout<UInt64>.stride)
    }
}

/// Keeps leaves that were used lately, bounded in bytes. Nodes are named by their content, so what is
/// kept never becomes wrong.
///
/// Two generations: what is used goes into the young one; when that has half of the bound, the old one
/// is let go, and the young one is old from then on. So what is used again within half the bound stays,
/// and a use costs a look-up.
///
/// Any thread.
public final class RecipeLeaves: Sendable {
    private struct State {
        var young: [ChunkName: RecipeLeaf] = [:]
        var old: [ChunkName: RecipeLeaf] = [:]
        var youngBytes = 0
        var limitBytes: Int

        mutating func insert(_ leaf: RecipeLeaf, _ name: ChunkName) -> [ChunkName: RecipeLeaf] {
            guard young.updateValue(leaf, forKey: name) == nil else { return [:] }
            youngBytes += leaf.memoryBytes
            guard youngBytes > limitBytes / 2 else { return [:] }
            let released = old
            old = young
            young = [:]
            youngBytes = 0
            return released
        }
    }

    private let state: ConditionMutex<State>

    /// Keeps leaves of about `limitBytes` together; 0 keeps one at most.
    public init(limitBytes: Int) {
        precondition(limitBytes >= 0)
        state = ConditionMutex(State(limitBytes: limitBytes))
    }

    /// The leaf, if it is kept.
    func leaf(_ name: ChunkName) -> RecipeLeaf? {
        let (leaf, released) = state.withLock { state in
            if let leaf = state.young[name] { return (Optional(leaf), [ChunkName: RecipeLeaf]()) }
            guard let leaf = state.old[name] else { return (nil, [:]) }
            return (leaf, state.insert(leaf, name))
        }
        // Freed outside of the lock.
        withExtendedLifetime(released) {}
        return leaf
    }

    func keep(_ leaf: RecipeLeaf, _ name: ChunkName) {
        let released = state.withLock { $0.insert(leaf, name) }
        withExtendedLifetime(released) {}
    }

    /// Leaves that are kept, and what they cost at most.
    public var kept: (count: Int, bytes: Int) {
        state.withLock { state in
            let leaves = state.old.merging(state.young) { $1 }
            return (leaves.count, leaves.values.reduce(0) { $0 + $1.memoryBytes })
        }
    }

    /// Another bound, from the next leaf on; a lower one lets go of all at once.
    public func limit(toBytes limitBytes: Int) {
        let released = state.withLock { state -> State? in
            defer { state.limitBytes = limitBytes }
            guard limitBytes < state.limitBytes else { return nil }
            defer { state = State(limitBytes: limitBytes) }
            return state
        }
        withExtendedLifetime(released) {}
    }
}

extension ListReader where Schema == RecipeSchema {
    /// A leaf, kept or decoded.
    public func leaf(_ reference: NodeReference) throws(TreeError) -> RecipeLeaf {
        if let kept = store.leaves?.leaf(reference.name) { return kept }
        guard case .leaf(let extents) = try node(reference) else {
            throw .format(.badValue("node: level"), node: reference.name)
        }
        let leaf = RecipeLeaf(extents)
        store.leaves?.keep(leaf, reference.name)
        return leaf
    }
}
