import DiskFormat
import Trees

/// Remembers where in a recipe a reader was: the decoded leaf and the inner nodes above it, with
/// the offsets of their entries, so that reading on decodes each node once.
///
/// Invariants: `path` leads from the root to the leaf, each node's bytes within those of the one
/// before; each node's entries make as many bytes as its parent says, or the recipe is refused.
/// About 100 KiB a level. Belongs to one thread at a time; good for any content of one store, one
/// after the other.
public final class RecipeCursor {
    private struct Inner {
        var range: Range<UInt64>
        var level: UInt8
        var children: [InnerEntry]
        /// Where each child begins in the file.
        var starts: [UInt64]
    }

    private var root: NodeReference?
    private var length: UInt64 = 0
    private var path: [Inner] = []
    private var leafRange: Range<UInt64> = 0..<0
    private var extents: [Extent] = []
    private var starts: [UInt64] = []
    /// The entry that was asked for last: the one behind it likely comes next.
    private var latest = 0

    public init() {}

    /// The extent that has byte `offset` of the recipe below `root`, which makes `length` bytes;
    /// `offset` is below that.
    func extent<Store: NodeStore>(
        at offset: UInt64, of root: NodeReference, length: UInt64, in store: Store
    ) throws(TreeError) -> (range: Range<UInt64>, extent: Extent) {
        precondition(offset < length)
        if self.root != root || self.length != length {
            path = []
            leafRange = 0..<0
            self.root = root
            self.length = length
        }
        if !leafRange.contains(offset) { try load(offset, ListReader(store: store)) }
        for index in [latest, latest + 1] where index < starts.count {
            if range(of: index).contains(offset) {
                latest = index
                return (range(of: index), extents[index])
            }
        }
        latest = starts.firstIndex(from: 0) { $0 > offset } - 1
        return (range(of: latest), extents[latest])
    }

    private func range(of index: Int) -> Range<UInt64> {
        starts[index]..<starts[index] + extents[index].length
    }

    /// Decodes the leaf that has `offset`, from the lowest remembered node above it.
    private func load<Store: NodeStore>(
        _ offset: UInt64, _ reader: ListReader<RecipeSchema, Store>
    ) throws(TreeError) {
        guard let root else { return }
        leafRange = 0..<0
        latest = 0
        while let last = path.last, !last.range.contains(offset) { path.removeLast() }
        var (next, range) = path.last.map { child(of: $0, at: offset) } ?? (root, 0..<length)
        while true {
            switch try reader.node(next) {
            case .leaf(let entries):
                starts = try sums(entries.map(\.length), of: next, range)
                extents = entries
                leafRange = range
                return
            case .inner(let level, let children):
                let inner = Inner(
                    range: range, level: level, children: children,
                    starts: try sums(children.map(\.measure), of: next, range))
                path.append(inner)
                (next, range) = child(of: inner, at: offset)
            }
        }
    }

    private func child(
        of inner: Inner, at offset: UInt64
    ) -> (NodeReference, Range<UInt64>) {
        let index = inner.starts.firstIndex(from: 0) { $0 > offset } - 1
        let child = inner.children[index]
        let start = inner.starts[index]
        return (
            NodeReference(name: child.child, level: inner.level - 1), start..<start + child.measure
        )
    }

    /// Where entries of these lengths begin. Decoding has checked that their sum does not overflow
    /// and that none is empty.
    private func sums(
        _ lengths: [UInt64], of node: NodeReference, _ range: Range<UInt64>
    ) throws(TreeError) -> [UInt64] {
        var position = range.lowerBound
        var result: [UInt64] = []
        result.reserveCapacity(lengths.count)
        for length in lengths {
            guard length <= range.upperBound - position else {
                throw .format(.badValue("recipe node: measure"), node: node.name)
            }
            result.append(position)
            position += length
        }
        guard position == range.upperBound else {
            throw .format(.badValue("recipe node: measure"), node: node.name)
        }
        return result
    }
}
