/// Everything in a memory backend: a value, so that a copy is a frozen moment.
///
/// Names are changed in order, one entry at a time; a rename is two changes of one sequence number.
struct MemoryState {
    private(set) var names: [String: UInt64] = [:]
    private(set) var durableNames: [String: UInt64] = [:]
    private(set) var pendingNames: [NameChange] = []
    private(set) var inodes: [UInt64: MemoryInode] = [:]
    /// How many files lie in or below each folder.
    private var folders: [String: Int] = [:]
    private(set) var pagesUsed: UInt64 = 0
    let pagesMax: UInt64
    private var nextInode: UInt64 = 1
    private var nextSequence: UInt64 = 1

    struct NameChange {
        var sequence: UInt64
        var name: String
        /// nil: the name is removed.
        var inode: UInt64?
    }

    init(pagesMax: UInt64) {
        self.pagesMax = pagesMax
    }

    // MARK: names

    func isFolder(_ name: String) -> Bool { folders[name] != nil }

    /// Whether a file has the name of a folder on the way to `name`.
    func isBelowFile(_ name: String) -> Bool {
        BackendName.path(to: BackendName.folder(of: name)).contains { names[$0] != nil }
    }

    mutating func create(_ name: String) -> UInt64 {
        let inode = addInode(MemoryInode())
        let sequence = takeSequence()
        set(name, to: inode)
        pendingNames.append(NameChange(sequence: sequence, name: name, inode: inode))
        return inode
    }

    mutating func remove(_ name: String) {
        let sequence = takeSequence()
        pendingNames.append(NameChange(sequence: sequence, name: name, inode: nil))
        set(name, to: nil)
    }

    mutating func rename(_ from: String, _ inode: UInt64, to: String) {
        let sequence = takeSequence()
        pendingNames.append(NameChange(sequence: sequence, name: to, inode: inode))
        pendingNames.append(NameChange(sequence: sequence, name: from, inode: nil))
        set(to, to: inode)
        set(from, to: nil)
    }

    /// A file with these contents, durable at once with its name; nothing else becomes so.
    mutating func replace(_ name: String, contents: SparseBytes) {
        let inode = addInode(MemoryInode(contents: contents))
        pagesUsed += UInt64(contents.pageCount)
        pendingNames.removeAll { $0.name == name }
        durableNames[name] = inode
        set(name, to: inode)
        collect()
    }

    mutating func synchronizeNames() {
        durableNames = names
        pendingNames = []
        collect()
    }

    mutating func synchronizeNames(in folder: String) {
        for change in pendingNames where BackendName.folder(of: change.name) == folder {
            durableNames[change.name] = change.inode
        }
        pendingNames.removeAll { BackendName.folder(of: $0.name) == folder }
        collect()
    }

    /// How many changes of names are pending in each folder.
    var pendingCounts: [String: Int] {
        pendingNames.reduce(into: [:]) { $0[BackendName.folder(of: $1.name), default: 0] += 1 }
    }

    /// The sequence numbers of the first pending changes of each folder, so many as `counts` says.
    func pendingNames(_ counts: [String: Int]) -> Set<UInt64> {
        var left = counts
        var kept: Set<UInt64> = []
        for change in pendingNames {
            let folder = BackendName.folder(of: change.name)
            guard let count = left[folder], count > 0 else { continue }
            left[folder] = count - 1
            kept.insert(change.sequence)
        }
        return kept
    }

    /// Changes the live name only.
    private mutating func set(_ name: String, to inode: UInt64?) {
        let old = names[name]
        names[name] = inode
        guard (old == nil) != (inode == nil) else { return }
        for folder in BackendName.path(to: BackendName.folder(of: name)) {
            let count = folders[folder, default: 0] + (inode == nil ? -1 : 1)
            folders[folder] = count == 0 ? nil : count
        }
    }

    // MARK: contents

    /// Runs `body` with an inode and keeps count of the pages in use.
    mutating func withInode<Result>(
        _ number: UInt64, _ body: (inout MemoryInode) -> Result
    ) -> Result {
        // Every handle keeps its inode, and names are only given to inodes that exist.
        let before = inodes[number]?.live.pageCount ?? 0
        let result = body(&inodes[number, default: MemoryInode()])
        let after = inodes[number]?.live.pageCount ?? 0
        pagesUsed = pagesUsed + UInt64(after) - UInt64(before)
        return result
    }

    mutating func change(_ number: UInt64, _ kind: MemoryChange.Kind) {
        let sequence = takeSequence()
        withInode(number) { $0.change(kind, sequence: sequence) }
    }

    mutating func release(_ number: UInt64) {
        withInode(number) { $0.handles -= 1 }
        if inodes[number]?.handles == 0 && !names.values.contains(number) { collect() }
    }

    private mutating func addInode(_ inode: MemoryInode) -> UInt64 {
        defer { nextInode += 1 }
        inodes[nextInode] = inode
        return nextInode
    }

    private mutating func takeSequence() -> UInt64 {
        defer { nextSequence += 1 }
        return nextSequence
    }

    /// Forgets the inodes that no handle and no name, present, durable or pending, leads to.
    private mutating func collect() {
        var reachable = Set(names.values)
        reachable.formUnion(durableNames.values)
        reachable.formUnion(pendingNames.compactMap { $0.inode })
        for (number, inode) in inodes where inode.handles == 0 && !reachable.contains(number) {
            pagesUsed -= UInt64(inode.live.pageCount)
            inodes[number] = nil
        }
    }

    // MARK: power cut

    /// The sequence numbers of all changes that are not durable, rising.
    var unsynced: [UInt64] {
        var sequences = Set(pendingNames.map { $0.sequence })
        for inode in inodes.values { sequences.formUnion(inode.pending.map { $0.sequence }) }
        return sequences.sorted()
    }

    /// The state after a power cut: the pending names that `isKept` chooses, and of every inode what
    /// `cut` leaves. Nothing is open, and everything is durable. Names in `folders`, or below them, are
    /// not kept.
    func afterCut(
        withoutFolders folders: Set<String> = [], keepingNames isKept: (UInt64) -> Bool,
        cut: (MemoryInode) -> MemoryInode
    ) -> MemoryState {
        var kept = durableNames
        for change in pendingNames where isKept(change.sequence) {
            kept[change.name] = change.inode
        }
        if !folders.isEmpty {
            kept = kept.filter { name, _ in
                BackendName.path(to: BackendName.folder(of: name)).allSatisfy {
                    !folders.contains($0)
                }
            }
        }
        var state = MemoryState(pagesMax: pagesMax)
        state.nextInode = nextInode
        // In a fixed order: `cut` may draw from a seeded generator.
        for number in Set(kept.values).sorted() {
            guard let inode = inodes[number] else { continue }
            let survivor = cut(inode)
            state.inodes[number] = survivor
            state.pagesUsed += UInt64(survivor.live.pageCount)
        }
        for (name, number) in kept { state.set(name, to: number) }
        state.durableNames = state.names
        return state
    }
}
