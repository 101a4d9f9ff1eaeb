import DiskFormat
import Trees

/// The new recipe while it comes to be: takes the extents of one region after the other and puts
/// them in the place of the old ones, in steps, so that memory is bounded.
///
/// A step that ends within an old chunk has a hole as long as that chunk's rest for its end: the
/// next step's extents take its place. So what stands at every moment is a recipe whose offsets are
/// the file's, and regions are never apart from what they replace.
struct RecipeAssembly<Store: ContentStore> {
    private typealias Edit = RecipeEdit<Store>

    private enum Current {
        /// Nothing, or one chunk: not a recipe yet.
        case chunk(Extent?)
        case recipe(NodeReference?)
    }

    private let store: Store
    private let stepExtentsMax: Int
    private var current: Current
    private var currentLength: UInt64
    private var replacements: [Edit.Replacement] = []
    private var heldExtents = 0
    /// Of the region under way, since its last step.
    private var extents: [Extent] = []
    private var start: UInt64 = 0
    /// Behind the last extent.
    private(set) var end: UInt64 = 0
    /// Of all extents taken.
    private(set) var allocatedBytes: UInt64 = 0

    init(_ content: StoredContent, store: Store, stepExtentsMax: Int) {
        self.store = store
        self.stepExtentsMax = stepExtentsMax
        currentLength = content.size
        switch content.key {
        case .chunk(let name):
            current = .chunk(.data(name, length: UInt32(clamping: content.size)))
        case .recipe(let root): current = .recipe(root)
        case .none, .directory, .target: current = .chunk(nil)
        }
    }

    /// Begins a region at byte `offset`, behind all earlier ones.
    mutating func begin(at offset: UInt64) {
        start = offset
        end = offset
    }

    /// Adds the region's next extent.
    mutating func append(_ extent: Extent) {
        switch (extents.last, extent) {
        case (.hole(let length)?, .hole):
            extents[extents.count - 1] = .hole(length: length + extent.length)
        case (.zeros(let length)?, .zeros):
            extents[extents.count - 1] = .zeros(length: length + extent.length)
        default: extents.append(extent)
        }
        end += extent.length
        allocatedBytes += extent.allocatedBytes
    }

    /// Whether it is time for `step`.
    var isFull: Bool { heldExtents + extents.count >= stepExtentsMax }

    /// Makes nodes of what is held. The old content has its next cut, or a hole or zeros, at
    /// `oldEdge`, at or behind `end`.
    mutating func step(oldEdge: UInt64) throws(TreeError) {
        let edge = max(end, min(oldEdge, currentLength))
        let next = end
        if edge > end { extents.append(.hole(length: edge - end)) }
        replace(upTo: min(edge, currentLength))
        try apply()
        start = next
    }

    /// Ends a region: from byte `offset` on, the old content stands.
    mutating func meet(at offset: UInt64) throws(TreeError) {
        replace(upTo: offset)
        if isFull { try apply() }
    }

    /// Ends a region and the file.
    mutating func endFile() {
        replace(upTo: currentLength)
    }

    /// The key of what there is, now `size` bytes.
    mutating func finish(size: UInt64) throws(TreeError) -> ContentKey {
        if case .chunk(let old) = current {
            return try RecipeAssembly.key(of: merged(old), in: store)
        }
        try apply()
        guard case .recipe(let root?) = current else { return .none }
        if root.level == 0, size <= UInt64(ChunkerParameters.maximumBytesLimit) {
            let node = try ListReader<RecipeSchema, Store>(store: store).node(root)
            if case .leaf(let extents) = node, extents.count == 1,
                case .data(let name, _) = extents[0]
            {
                return .chunk(name)
            }
        }
        return .recipe(root)
    }

    /// The canonical key of these extents.
    static func key(of extents: [Extent], in store: Store) throws(TreeError) -> ContentKey {
        if extents.count == 1, case .data(let name, _) = extents[0] { return .chunk(name) }
        guard let root = try RecipeEdit.build(extents, in: store) else { return .none }
        return .recipe(root)
    }

    private mutating func replace(upTo offset: UInt64) {
        let from = min(start, currentLength)
        replacements.append(.init(range: from..<max(from, offset), extents: extents))
        // One more, so that regions without extents count as well.
        heldExtents += extents.count + 1
        extents = []
    }

    /// The single old chunk, where no region took its place, and what was added.
    private func merged(_ old: Extent?) -> [Extent] {
        var result: [Extent] = []
        if let old, replacements.allSatisfy({ $0.range.lowerBound >= old.length }) {
            result.append(old)
        }
        for replacement in replacements { result += replacement.extents }
        return result
    }

    private mutating func apply() throws(TreeError) {
        guard !replacements.isEmpty else { return }
        let root: NodeReference?
        switch current {
        case .chunk(let old): root = try Edit.build(merged(old), in: store)
        case .recipe(let old):
            root = try Edit.apply(replacements, to: old, length: currentLength, in: store).root
        }
        for replacement in replacements {
            currentLength -= replacement.range.upperBound - replacement.range.lowerBound
            currentLength += replacement.extents.reduce(0) { $0 + $1.length }
        }
        current = .recipe(root)
        replacements = []
        heldExtents = 0
    }
}
