/// # Streams: directories of the machine as snapshots
///
/// Purpose: scans a directory into a store, as a tree that a snapshot can name.
///
/// Words: a *source* is the directory that is scanned. The *base* is an earlier snapshot of it. A
/// file is *unchanged* when size, time of modification, time of change (ctime) and inode number are
/// those of the base, and that time of change lies before the base's scan began: then its key is
/// taken over, and it is not opened. A *link* is one of several names of a file, found by device and
/// inode.
///
/// What of a file is kept: kind, permissions, owner, group, device numbers, size, times of
/// modification, change and birth, extended attributes (access control lists are among them), a
/// symbolic link's target, content with its holes, and which names are of one file. The time of
/// access is not: it is set to that of modification, since looking at a file would make it another.
/// The *generation* of a scanned inode is its number in the source, its own number is the volume's:
/// files that the base has at the same path keep theirs, so that what is unchanged makes equal nodes.
///
/// Invariants:
/// 1. Memory does not grow with the tree: there is one open node for each level of the tree on the
///    way to where the scan is, the names of the directories on that way, a bounded window of files
///    that are being read, and the files whose other names have not been met yet.
/// 2. Nothing in the source can make a scan wait, follow a link, or leave the source: FIFOs and
///    devices are never opened, and every name is looked up in an open directory.
/// 3. Nothing names what is not in the store: a tree's nodes are put before what refers to them.
/// 4. A scan that ends early leaves chunks that nobody owns, and nothing else.
///
/// Threads: a scan belongs to one thread, and has workers of its own that read and cut.
import DiskFormat
import FileModel
import Pipeline
import Platform
import Trees

/// Why a scan has no result.
public enum StreamError: Error, Sendable {
    /// The caller's `isCancelled` said so.
    case cancelled
    /// A file of the source, where the scan is to stop at the first that cannot be read.
    case source(ScanProblem)
    /// Chunks or nodes could not be stored, or read.
    case store(StoreError)
    case tree(TreeError)
    case commit(FileError)
    /// No thread could be made.
    case threads(Errno)
}
