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
    private var leaf: RecipeLeaf?
    private var leafRange: Range<UInt64> = 0..<0
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
        let leaf = try self.leaf(at: offset, ListReader(store: store))
        for index in [latest, latest + 1] where index < leaf.extents.count {
            if range(of: index, in: leaf).contains(offset) {
                latest = index
                return (range(of: index, in: leaf), leaf.extents[index])
            }
        }
        let within = offset - leafRange.lowerBound
        latest = leaf.starts.firstIndex(from: 0) { $0 > within } - 1
        return (range(of: latest, in: leaf), leaf.extents[latest])
    }

    private func range(of index: Int, in leaf: RecipeLeaf) -> Range<UInt64> {
        let start = leafRange.lowerBound + leaf.starts[index]
        return start..<start + leaf.extents[index].length
    }

    /// The leaf that has `offset`: the remembered one, or from the lowest remembered node above it.
    private func leaf<Store: NodeStore>(
        at offset: UInt64, _ reader: ListReader<RecipeSchema, Store>
    ) throws(TreeError) -> RecipeLeaf {
        if let leaf, leafRange.contains(offset) { return leaf }
        guard let root else { throw .badEdit }
        leaf = nil
        leafRange = 0..<0
        latest = 0
        while let last = path.last, !last.range.contains(offset) { path.removeLast() }
        var (next, range) = path.last.map { child(of: $0, at: offset) } ?? (root, 0..<length)
        while next.level > 0 {
            guard case .inner(let level, let children) = try reader.node(next) else {
                throw .format(.badValue("node: level"), node: next.name)
            }
            let inner = Inner(
                range: range, level: level, children: children,
                starts: try starts(of: children, in: next, range))
            path.append(inner)
            (next, range) = child(of: inner, at: offset)
        }
        let found = try reader.leaf(next)
        guard found.length == range.upperBound - range.lowerBound else {
            throw .format(.badValue("recipe node: measure"), node: next.name)
        }
        leaf = found
        leafRange = range
        return found
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

    /// Where children begin, which make as many bytes together as the parent says. Decoding has checked
    /// that none is empty.
    private func starts(
        of children: [InnerEntry], in node: NodeReference, _ range: Range<UInt64>
    ) throws(TreeError) -> [UInt64] {
        var position = range.lowerBound
        var result: [UInt64] = []
        result.reserveCapacity(children.count)
        for child in children {
            guard child.measure <= range.upperBound - position else {
                throw .format(.badValue("recipe node: measure"), node: node.name)
            }
            result.append(position)
            position += child.measure
        }
        guard position == range.upperBound else {
            throw .format(.badValue("recipe node: measure"), node: node.name)
        }
        return result
    }
}
