/// # Folding: a file's content and changes become a new key; the layered view is read
///
/// Purpose: makes the canonical key of what a file holds after changes, at the cost of what lies
/// around them; reads what is stored, layer upon layer.
///
/// Words: a *key* names cut content; *pieces* lie on top of it (stored, not cut by content);
/// *patches* lie on top of both (in memory). A *cut* is an edge between two extents. A *region* is
/// what is cut anew around one change or several. To *meet* is to come, behind a change, to a cut
/// that the old content has as well, with equal bytes behind it.
///
/// Invariants:
/// 1. Canonical: the key that a fold gives is the key that cutting the same bytes and holes from
///    scratch gives. Whether zeros were written or allocated does not count: a run of zeros as long
///    as the chunker's `zeroRunMinimumBytes` is a `zeros` extent, a shorter one is data.
/// 2. A hole ends the chunk before it, and cutting begins anew behind it.
/// 3. A fold reads stored data only from the last cut that stands before a change to where it meets
///    the old cutting again; its memory is one window and a bounded number of extents.
/// 4. Nothing is written to the store but chunks and nodes; old ones are never changed. What a fold
///    that throws has put remains there unused.
///
/// Threads: a `Folder`, a `ContentReader` and a `RecipeCursor` belong to one thread at a time; any
/// number of them work side by side.
import DiskFormat
import Trees

/// What keeps chunks of data beside recipe nodes: the store, or a dictionary in tests.
public protocol ContentStore: NodeStore {
    /// Keeps a chunk (no longer than the chunker's maximum) and returns its name; one that is there
    /// already is not stored again. `bytes` are valid within the call only.
    func putData(_ bytes: UnsafeRawBufferPointer) throws(TreeError) -> ChunkName

    /// Fills `buffer` with the verified bytes of a chunk from its byte `offset` on. A chunk that is
    /// shorter than that is an error.
    func readData(
        _ name: ChunkName, from offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(TreeError)
}
