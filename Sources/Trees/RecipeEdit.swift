import DiskFormat

/// Edits of recipes: ranges of a file replaced by other extents.
///
/// Keeps recipes canonical: neighbouring holes become one extent and so do neighbouring zeros, over
/// the edges of edits and nodes. For that the last hole or run of zeros is held back until it is
/// known what follows, and no subtree is taken over while one is held, or right before an edit.
public struct RecipeEdit<Store: NodeStore> {
    /// Bytes `range` of the old file become `extents` (of any length: files grow and shrink).
    public struct Replacement: Equatable, Sendable {
        public var range: Range<UInt64>
        public var extents: [Extent]

        public init(range: Range<UInt64>, extents: [Extent]) {
            self.range = range
            self.extents = extents
        }
    }

    private let reader: ListReader<RecipeSchema, Store>
    private var builder: ListBuilder<RecipeSchema, Store>
    private let replacements: [Replacement]
    private var next = 0
    /// Old bytes before this are dealt with.
    private var done: UInt64 = 0
    private var held: Extent?
    private var opened: [ChunkName] = []

    /// Applies `replacements` (ascending, apart) to the recipe below `root`, which makes `length`
    /// bytes. A range may begin and end within holes and zeros, but not within a chunk.
    public static func apply(
        _ replacements: [Replacement], to root: NodeReference?, length: UInt64, in store: Store
    ) throws(TreeError) -> ListEditResult {
        for (a, b) in zip(replacements, replacements.dropFirst())
        where a.range.upperBound > b.range.lowerBound {
            throw .badEdit
        }
        if let last = replacements.last, last.range.upperBound > length { throw .badEdit }
        var edit = RecipeEdit(store: store, replacements: replacements)
        if let root { try edit.walk(root, at: 0, length: length, endsList: true) }
        try edit.takeReplacements(upTo: length)
        try edit.flushHeld()
        let newRoot = try edit.builder.finish()
        return ListEditResult(
            root: newRoot, written: edit.builder.written, opened: edit.opened)
    }

    /// A recipe of these extents.
    public static func build(
        _ extents: [Extent], in store: Store
    ) throws(TreeError) -> NodeReference? {
        try apply([Replacement(range: 0..<0, extents: extents)], to: nil, length: 0, in: store)
            .root
    }

    private init(store: Store, replacements: [Replacement]) {
        reader = ListReader(store: store)
        builder = ListBuilder(store: store)
        self.replacements = replacements
    }

    private mutating func emit(_ extent: Extent) throws(TreeError) {
        switch (held, extent) {
        case (.hole(let a), .hole(let b)): held = .hole(length: a + b)
        case (.zeros(let a), .zeros(let b)): held = .zeros(length: a + b)
        case (_, .data):
            try flushHeld()
            try builder.append(extent)
        default:
            try flushHeld()
            held = extent
        }
    }

    private mutating func flushHeld() throws(TreeError) {
        guard let extent = held else { return }
        held = nil
        try builder.append(extent)
    }

    /// Emits all replacements that begin at or before old byte `position`.
    private mutating func takeReplacements(upTo position: UInt64) throws(TreeError) {
        while next < replacements.count, replacements[next].range.lowerBound <= position {
            let replacement = replacements[next]
            for extent in replacement.extents where extent.length > 0 { try emit(extent) }
            done = max(done, replacement.range.upperBound)
            next += 1
        }
    }

    private mutating func walk(
        _ reference: NodeReference, at start: UInt64, length: UInt64, endsList: Bool
    ) throws(TreeError) {
        opened.append(reference.name)
        var position = start
        switch try reader.node(reference) {
        case .leaf(let extents):
            for extent in extents {
                try copy(extent, at: position)
                position += extent.length
            }
        case .inner(let level, let children):
            for (index, child) in children.enumerated() {
                let end = position + child.measure
                let isLast = endsList && index == children.count - 1
                if end <= done, position < done {
                    // Wholly within a range that was replaced: never opened.
                    position = end
                    continue
                }
                let isUntouched =
                    position >= done
                    && (next == replacements.count || replacements[next].range.lowerBound > end)
                if isUntouched, !isLast, held == nil, builder.canAdopt(level: level - 1) {
                    try builder.adopt(child, level: level - 1)
                    done = end
                } else {
                    try walk(
                        NodeReference(name: child.child, level: level - 1), at: position,
                        length: child.measure, endsList: isLast)
                }
                position = end
            }
        }
        guard position - start == length else {
            throw .format(.badValue("recipe node: measure"), node: reference.name)
        }
    }

    /// Emits what the replacements leave of one old extent.
    private mutating func copy(_ extent: Extent, at start: UInt64) throws(TreeError) {
        let end = start + extent.length
        var position = start
        while true {
            try takeReplacements(upTo: max(position, min(done, end)))
            position = max(position, min(done, end))
            guard position < end else { return }
            let following = next < replacements.count ? replacements[next].range.lowerBound : end
            let stop = min(end, following)
            if position == stop { continue }
            try emitPart(of: extent, from: position - start, to: stop - start, at: position)
            position = stop
            done = max(done, stop)
            if stop == end { return }
        }
    }

    private mutating func emitPart(
        of extent: Extent, from: UInt64, to: UInt64, at offset: UInt64
    ) throws(TreeError) {
        switch extent {
        case .data:
            guard from == 0, to == extent.length else { throw .splitsChunk(offset: offset) }
            try emit(extent)
        case .hole: try emit(.hole(length: to - from))
        case .zeros: try emit(.zeros(length: to - from))
        }
    }
}
