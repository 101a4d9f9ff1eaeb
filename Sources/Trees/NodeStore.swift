/// # Trees: recipes, directories and tables as Merkle lists
///
/// Purpose: builds, edits and reads the lists that files and directories consist of, whatever keeps
/// their nodes.
///
/// Words: a *list* is a sequence of entries; *leaves* hold entries, *inner nodes* hold children with
/// the *measure* (bytes of file, or number of entries) and first *key* below each; a list's *root*
/// is one node. An empty list has no root. A node *ends naturally* when `NodeBoundary` says so, not
/// because its list ended.
///
/// Invariants:
/// 1. Canonical: a list's root depends on its entries alone, not on the edits that led to it.
/// 2. An edit reads and writes the nodes on the paths to what it changes, and the list's last nodes.
/// 3. Nodes come from outside: the level of each child is checked to be one below its parent's, so a
///    hostile list cannot make a reader run forever.
///
/// Threads: readers and builders belong to one thread; any number of them work side by side.
import DiskFormat

/// What keeps the nodes of lists: a store of chunks, or a dictionary in tests.
public protocol NodeStore {
    /// The verified bytes of a node.
    func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8]
    /// Keeps a node and returns its name; a node that is there already is not stored again.
    func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName
    /// Where leaves of recipes are kept that were decoded; nil: nowhere.
    var leaves: RecipeLeaves? { get }
}

extension NodeStore {
    public var leaves: RecipeLeaves? { nil }
}

public enum TreeError: Error, Equatable, Sendable {
    /// The node is not in the store.
    case missing(ChunkName)
    /// The node's bytes are not what they should be.
    case format(FormatError, node: ChunkName)
    /// The node could be read or written neither now nor, perhaps, later.
    case storage(node: ChunkName?)
    /// An edit of a recipe would cut a chunk in two at this byte of the file.
    case splitsChunk(offset: UInt64)
    /// The edits are not in ascending order, or reach past the end.
    case badEdit
}
