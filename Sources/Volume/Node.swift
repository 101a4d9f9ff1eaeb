// An inode in memory, and the names of a directory in memory.
import DiskFormat
import FileModel

/// An inode in memory. Everything is guarded by the volume's namespace lock, but for what `content`
/// guards itself: `@unchecked` by that rule.
final class Node: @unchecked Sendable {
    let inode: UInt64
    var image: InodeImage
    /// The cookie of the only name; 0 for linked inodes, orphans and the root.
    var cookie: UInt64
    /// How often the kernel was given this inode and has not given it back.
    var lookups: UInt64 = 0
    /// The generation of the last change; 0: as in the index when loaded.
    var generation: UInt64 = 0
    /// The generation in which it was last given a name by renaming or linking, and the last one of
    /// which a commit holds all its content.
    var movedGeneration: UInt64 = 0
    var heldGeneration: UInt64 = 0
    /// Names, of directories.
    let directory: DirectoryCache?
    /// Of regular files; made at first use.
    var content: FileContent?
    /// How many pieces the index had when the node was loaded.
    let storedPieces: [ExtentChange.Piece]
    /// `image.allocatedBytes` is to be counted anew: written into a file with holes.
    var allocatedIsStale = false
    /// Whether it waits in the list of nodes that may be forgotten.
    var isIdleListed = false

    init(image: InodeImage, cookie: UInt64, pieces: [ExtentChange.Piece] = [], isNew: Bool) {
        inode = image.inode
        self.image = image
        self.cookie = cookie
        storedPieces = pieces
        directory = image.mode >> 12 == 4 ? DirectoryCache(isComplete: isNew) : nil
    }

    /// The kind is fixed for an inode's life; the decoder accepts no other values.
    var kind: FileKind { FileKind(modeBits: image.mode) ?? .regular }

    var attributes: FileAttributes { FileAttributes(image) }
}

extension FileAttributes {
    /// The kind is fixed for an inode's life; the decoder accepts no other values.
    init(_ image: InodeImage) {
        self.init(
            inode: image.inode, generation: image.generation,
            kind: FileKind(modeBits: image.mode) ?? .regular, permissions: image.mode & 0o7777,
            linkCount: UInt32(clamping: image.linkCount), owner: image.owner, group: image.group,
            deviceMajor: image.device?.major ?? 0, deviceMinor: image.device?.minor ?? 0,
            size: image.size, allocatedBytes: image.allocatedBytes,
            accessTime: Timestamp(image.accessTime),
            modificationTime: Timestamp(image.modificationTime),
            changeTime: Timestamp(image.changeTime), birthTime: Timestamp(image.birthTime))
    }
}

extension Timestamp {
    init(_ time: DiskTime) {
        self.init(seconds: time.seconds, nanoseconds: time.nanoseconds)
    }
}

extension DiskTime {
    init(_ time: Timestamp) {
        self.init(seconds: time.seconds, nanoseconds: time.nanoseconds)
    }
}

/// A name in memory.
struct Dentry {
    /// 0: there is no such name.
    var inode: UInt64
    var kind: UInt8
    /// Where it stands in the directory. Of an absent name: of the entry that was removed and whose
    /// removal is not in the index yet, else 0.
    var cookie: UInt64
    /// The generation of its last change; 0: as in the index.
    var generation: UInt64 = 0
    /// Of a name that the index has not: which collisions of its hash are taken there.
    var takenCollisions: [UInt8] = []

    var isPresent: Bool { inode != 0 }
}

/// What is in memory of a directory's names. Guarded by the namespace lock.
///
/// Invariants:
/// 1. `byCookie` has every present dentry, and every absent one with a cookie.
/// 2. No clean absent dentry stays when clean present ones are forgotten, so that what an absent one
///    knows of its collisions (`takenCollisions`) is never older than what was forgotten beside it.
final class DirectoryCache {
    var entries: [[UInt8]: Dentry] = [:]
    var byCookie: [UInt64: [UInt8]] = [:]
    /// Every name that exists is in `entries`: nothing has to be looked for in the index.
    var isComplete: Bool
    /// Names whose change is not in the index yet.
    var dirtyCount = 0
    /// Names in `entries` that exist.
    private(set) var presentCount = 0
    /// Keys of `byCookie` in order, and perhaps some that are not there any more; nil: to be sorted.
    /// Whoever lists a big directory while others change it would otherwise sort it with each call.
    private var sorted: [UInt64]?
    /// Keys that came since, and how many of the sorted ones went.
    private var added: [UInt64] = []
    private var goneCount = 0

    init(isComplete: Bool) {
        self.isComplete = isComplete
    }

    /// What is known of a name; nil: the index has to be asked.
    func known(_ name: [UInt8]) -> Dentry? {
        if let dentry = entries[name] { return dentry }
        return isComplete ? Dentry(inode: 0, kind: 0, cookie: 0) : nil
    }

    func set(_ name: [UInt8], _ dentry: Dentry) {
        let old = entries.updateValue(dentry, forKey: name)
        presentCount += (dentry.isPresent ? 1 : 0) - (old?.isPresent ?? false ? 1 : 0)
        if let old, old.cookie != 0, old.cookie != dentry.cookie { removeCookie(old.cookie) }
        if dentry.cookie != 0, byCookie.updateValue(name, forKey: dentry.cookie) == nil,
            sorted != nil
        {
            added.append(dentry.cookie)
            sortAnewAfterMuch()
        }
    }

    private func removeCookie(_ cookie: UInt64) {
        byCookie[cookie] = nil
        goneCount += 1
        sortAnewAfterMuch()
    }

    /// Keeps what has to be merged, or passed over, to a part of what is sorted.
    private func sortAnewAfterMuch() {
        guard let sorted, added.count + goneCount > 64 + sorted.count / 4 else { return }
        self.sorted = nil
    }

    func remove(_ name: [UInt8]) {
        guard let old = entries.removeValue(forKey: name) else { return }
        if old.isPresent { presentCount -= 1 }
        if old.cookie != 0 { removeCookie(old.cookie) }
    }

    /// Forgets what is in the index as well, and with it that the cache was complete. Names that
    /// exist and that `keeps` wants stay: they know nothing of other names.
    func forgetClean(appliedGeneration: UInt64, keeps: (Dentry) -> Bool) {
        let clean = entries.filter {
            $0.value.generation <= appliedGeneration
                && !($0.value.isPresent && keeps($0.value))
        }
        guard !clean.isEmpty else { return }
        for name in clean.keys { remove(name) }
        isComplete = false
    }

    /// The cookies behind `cookie`, ascending, each once; some may not be in `byCookie` any more.
    func cookies(after cookie: UInt64) -> ArraySlice<UInt64> {
        let all: [UInt64]
        if let sorted {
            all = added.isEmpty ? sorted : DirectoryCache.merged(sorted, added.sorted())
        } else {
            all = byCookie.keys.sorted()
            goneCount = 0
        }
        sorted = all
        added = []
        var low = 0
        var high = all.count
        while low < high {
            let middle = (low + high) / 2
            if all[middle] <= cookie { low = middle + 1 } else { high = middle }
        }
        return all[low...]
    }
    /// Two ascending lists as one; what both have, or one has twice, is there once.
    private static func merged(_ a: [UInt64], _ b: [UInt64]) -> [UInt64] {
        var result: [UInt64] = []
        result.reserveCapacity(a.count + b.count)
        var (i, j) = (0, 0)
        while i < a.count || j < b.count {
            let takesFirst = j == b.count || (i < a.count && a[i] <= b[j])
            let next = takesFirst ? a[i] : b[j]
            if takesFirst { i += 1 } else { j += 1 }
            if result.last != next { result.append(next) }
        }
        return result
    }
}
