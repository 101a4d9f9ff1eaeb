// One volume, or one snapshot of it: every name, every inode, every directory.
import DiskFormat
import NamespaceIndex
import Trees

/// Walks a volume at its newest state. Directories wait on a list, not on the stack, so that depth
/// costs memory only.
final class VolumeCheck {
    let check: Checker
    let volume: VolumeState
    private let loading: LoadingVolume?
    private var counts: CheckReport.Volume
    private var seen = InodeSet()
    private var links = LinkTable()
    /// Problems of inodes with several names, whose paths come as they are met.
    private var linkedProblems: [UInt64: [Int]] = [:]
    /// Problems that keep the table of linked inodes from being read.
    private var tableProblems: [Int] = []
    /// Whether some directory could not be read whole: what was not met may be there.
    private var isPartial = false
    private var inodesDone: UInt64 = 0
    private let problemsBefore: Int

    private struct Directory {
        var image: InodeImage
        /// Without the slash behind it; empty for the root.
        var path: [UInt8]
        /// Whether what is below is not in the index.
        var isUnloaded = false
    }

    /// - Parameter loading: what of the volume is not in the index.
    init(_ check: Checker, _ volume: VolumeState, loading: LoadingVolume? = nil) {
        self.check = check
        self.volume = volume
        self.loading = loading
        counts = CheckReport.Volume(id: volume.id, name: volume.name)
        problemsBefore = check.book.problems.count
    }

    func run() throws(CheckingError) {
        check.isInSnapshot = volume.isSnapshot
        defer {
            check.isInSnapshot = false
            check.isUnloaded = false
        }
        if volume.root.volumeID != volume.id {
            add(
                .volumeMismatch, .volume(volume.id), "its root is of volume \(volume.root.volumeID)"
            )
        }
        try checkLinked()
        try checkOrphans()
        try walk()
        if !isPartial {
            try checkLinkCounts()
            checkUnreachable()
            checkStatistics()
        }
        // What it owns is counted by its nodes: see SnapshotCheck.
        guard !volume.isSnapshot else { return }
        var trees = TreeCount(check, volume, loading: loading)
        try trees.run()
        check.summary.volumes.append(counts)
    }

    @discardableResult
    private func add(_ kind: Problem.Kind, _ place: Problem.Place, _ detail: String) -> Int? {
        check.contradict(kind, place, detail)
    }

    private func add(
        _ kind: Problem.Kind, inode: UInt64, _ path: [UInt8], _ detail: String
    ) {
        affect(add(kind, .inode(volume: volume.id, inode), detail), path)
    }

    private func affect(_ problem: Int?, _ path: [UInt8]) {
        guard let problem else { return }
        let shown = path.isEmpty ? Array("/".utf8) : path
        check.book.affect(problem, .init(volume: volume.name, bytes: shown))
    }

    private func step() throws(CheckingError) {
        inodesDone += 1
        if inodesDone % 1024 == 1 { try check.monitor.step(.volumes, inodesDone, 0) }
    }

    // MARK: inodes without a place of their own

    private func checkLinked() throws(CheckingError) {
        var failure: CheckingError?
        defer { check.isUnloaded = false }
        do throws(TreeError) {
            var place: UInt64 = 0
            try volume.forEachLinked { image in
                self.noteUnloaded(UnloadedRecord.linkedInodes, &place)
                do throws(CheckingError) {
                    try self.meetLinked(image)
                } catch {
                    failure = error
                    return false
                }
                return true
            }
        } catch {
            tableProblems = try check.culprits(error)
            isPartial = true
            for problem in tableProblems { affect(problem, Array("<linked inodes>".utf8)) }
        }
        if let failure { throw failure }
    }

    /// Whether what comes next in a list is in the index; moves the place.
    private func noteUnloaded(_ list: UInt64, _ place: inout UInt64, in unloaded: Bool = false) {
        guard let loading else { return }
        check.isUnloaded = unloaded || loading.isUnloaded(list, at: place)
        place += 1
    }

    private func meetLinked(_ image: InodeImage) throws(CheckingError) {
        try step()
        let label = Array("<inode \(image.inode)>".utf8)
        _ = seen.insert(image.inode)
        links.append(
            .init(
                inode: image.inode, linkCount: image.linkCount, kind: UInt8(image.mode >> 12 & 15)))
        counts.linkedInodes += 1
        count(image)
        checkNumber(image, label)
        if image.parent != nil || image.mode >> 12 == 4 {
            add(.linkedWrong, inode: image.inode, label, "a linked inode with a parent")
        }
        let problems = try check.checkContent(of: image, in: volume)
        if !problems.isEmpty { linkedProblems[image.inode] = problems }
    }

    private func checkOrphans() throws(CheckingError) {
        for image in volume.orphans {
            try step()
            let label = Array("<inode \(image.inode)>".utf8)
            counts.orphans += 1
            if !seen.insert(image.inode) {
                add(.inodeTwice, inode: image.inode, label, "an orphan that has a name")
            }
            checkNumber(image, label)
            if image.linkCount != 0 {
                add(.linkCountWrong, inode: image.inode, label, "an orphan with links")
            }
            for problem in try check.checkContent(of: image, in: volume) { affect(problem, label) }
        }
    }

    private func checkNumber(_ image: InodeImage, _ path: [UInt8]) {
        guard image.inode >= volume.nextInode else { return }
        add(
            .inodeLimit, inode: image.inode, path,
            "all inodes are said to be below \(volume.nextInode)")
    }

    private func count(_ image: InodeImage) {
        switch image.mode >> 12 {
        case 8:
            counts.files += 1
            counts.logicalBytes = counts.logicalBytes &+ image.size
        case 4: counts.directories += 1
        default: counts.others += 1
        }
    }

    // MARK: directories

    private func walk() throws(CheckingError) {
        let root = volume.directory
        _ = seen.insert(root.inode)
        count(root)
        if root.parent != nil {
            add(.parentWrong, inode: root.inode, [], "the root has a parent")
        }
        for problem in try check.checkContent(of: root, in: volume) { affect(problem, []) }
        var pending = [Directory(image: root, path: [])]
        while let directory = pending.popLast() { try check(directory, &pending) }
    }

    private func check(
        _ directory: Directory, _ pending: inout [Directory]
    ) throws(CheckingError) {
        var failure: CheckingError?
        var cookies: [UInt64] = []
        let before = pending.count
        var subdirectories: UInt64 = 0
        let secret = check.inventory.parameters.secret
        defer { check.isUnloaded = false }
        do throws(TreeError) {
            var place: UInt64 = 0
            try volume.forEachEntry(of: directory.image) { entry in
                self.noteUnloaded(
                    directory.image.inode, &place, in: directory.isUnloaded)
                cookies.append(
                    entry.name.withUnsafeBytes {
                        DirectoryCookie.cookie(
                            of: $0, collision: entry.collision, secret: secret)
                    })
                if entry.kind == 4 { subdirectories += 1 }
                do throws(CheckingError) {
                    if let below = try self.check(entry, in: directory) { pending.append(below) }
                } catch {
                    failure = error
                    return false
                }
                return true
            }
        } catch {
            isPartial = true
            for problem in try check.culprits(error) { affect(problem, directory.path) }
            return
        }
        if let failure { throw failure }
        assert(pending.count >= before)
        checkCookies(&cookies, directory)
        let links = directory.image.linkCount
        if links != 1, links != 2 + subdirectories {
            add(
                .linkCountWrong, inode: directory.image.inode, directory.path,
                "\(links), with \(subdirectories) directories in it")
        }
    }

    private func checkCookies(_ cookies: inout [UInt64], _ directory: Directory) {
        guard let cookie = VolumeCheck.firstTwice(&cookies) else { return }
        add(
            .cookieTwice, inode: directory.image.inode, directory.path,
            "two names have the cookie \(cookie)")
    }

    /// The smallest number that is there more than once; sorts them.
    static func firstTwice(_ numbers: inout [UInt64]) -> UInt64? {
        numbers.sort()
        return zip(numbers, numbers.dropFirst()).first { $0 == $1 }?.0
    }

    /// Checks a name and, if it is the only one, its inode. Returns a directory to be walked.
    private func check(
        _ entry: VolumeState.Entry, in directory: Directory
    ) throws(CheckingError) -> Directory? {
        let path = directory.path + [UInt8(ascii: "/")] + entry.name
        switch entry.target {
        case .nothing(let inode):
            dangling(entry, directory, path, inode)
            return nil
        case .linked(let inode):
            guard let row = links.meet(inode) else {
                if tableProblems.isEmpty { dangling(entry, directory, path, inode) }
                for problem in tableProblems { affect(problem, path) }
                return nil
            }
            if row.kind != entry.kind { wrongKind(entry, directory, path, row.kind) }
            for problem in linkedProblems[inode] ?? [] { affect(problem, path) }
            return nil
        case .only(let image):
            try step()
            return try check(image, entry, in: directory, path)
        }
    }

    private func check(
        _ image: InodeImage, _ entry: VolumeState.Entry, in directory: Directory, _ path: [UInt8]
    ) throws(CheckingError) -> Directory? {
        guard seen.insert(image.inode) else {
            add(.inodeTwice, inode: image.inode, path, "another name leads to it")
            return nil
        }
        count(image)
        checkNumber(image, path)
        if image.isLinked {
            add(.linkedWrong, inode: image.inode, path, "marked as linked, not in the table")
        }
        let kind = UInt8(image.mode >> 12 & 15)
        if kind != entry.kind { wrongKind(entry, directory, path, kind) }
        if image.parent != directory.image.inode {
            let parent = image.parent.map { "\($0)" } ?? "none"
            add(
                .parentWrong, inode: image.inode, path,
                "parent \(parent), lies in \(directory.image.inode)")
        }
        if kind != 4, image.linkCount != 1 {
            add(.linkCountWrong, inode: image.inode, path, "\(image.linkCount), with one name")
        }
        for problem in try check.checkContent(of: image, in: volume) { affect(problem, path) }
        guard kind == 4 else { return nil }
        return Directory(image: image, path: path, isUnloaded: check.isUnloaded)
    }

    private func dangling(
        _ entry: VolumeState.Entry, _ directory: Directory, _ path: [UInt8], _ inode: UInt64
    ) {
        let place = Problem.Place.name(
            volume: volume.id, directory: directory.image.inode, entry.name)
        affect(add(.nameDangling, place, "there is no inode \(inode)"), path)
    }

    private func wrongKind(
        _ entry: VolumeState.Entry, _ directory: Directory, _ path: [UInt8], _ kind: UInt8
    ) {
        let place = Problem.Place.name(
            volume: volume.id, directory: directory.image.inode, entry.name)
        affect(add(.nameKind, place, "kind \(entry.kind), its inode's is \(kind)"), path)
    }

    // MARK: what the walk has counted

    /// Link counts that are wrong; a second walk finds the names.
    private func checkLinkCounts() throws(CheckingError) {
        var wrong: [UInt64: Int] = [:]
        for row in links.rows where UInt64(row.seen) != row.linkCount {
            let place = Problem.Place.inode(volume: volume.id, row.inode)
            wrong[row.inode] = add(
                .linkCountWrong, place, "\(row.linkCount), with \(row.seen) names")
        }
        guard !wrong.isEmpty else { return }
        var visited = InodeSet()
        var pending = [Directory(image: volume.directory, path: [])]
        while let directory = pending.popLast() {
            guard visited.insert(directory.image.inode) else { continue }
            do throws(TreeError) {
                try volume.forEachEntry(of: directory.image) { entry in
                    let path = directory.path + [UInt8(ascii: "/")] + entry.name
                    if case .only(let image) = entry.target, image.mode >> 12 == 4 {
                        pending.append(Directory(image: image, path: path))
                    }
                    if let problem = wrong[entry.inode] { self.affect(problem, path) }
                    return true
                }
            } catch .storage(let node) {
                throw .tree(.storage(node: node))
            } catch {
                // Damage, of which the first walk has told.
                continue
            }
        }
    }

    /// Changed inodes that no name leads to.
    private func checkUnreachable() {
        for (inode, change) in volume.overlay.inodes.sorted(by: { $0.key < $1.key }) {
            guard case .put(let image) = change, image.linkCount > 0, !seen.contains(inode) else {
                continue
            }
            add(
                .inodeUnreachable, inode: inode, Array("<inode \(inode)>".utf8),
                "no name leads to it")
        }
    }

    private func checkStatistics() {
        // Any other contradiction has likely caused this one too.
        guard volume.overlay.isEmpty, check.book.problems.count == problemsBefore else { return }
        let told = volume.root.statistics
        if told.files != counts.files || told.directories != counts.directories
            || told.others != counts.others || told.logicalBytes != counts.logicalBytes
        {
            add(
                .statisticsWrong, .volume(volume.id),
                "\(told.files) files, \(told.directories) directories, \(told.others) others, "
                    + "\(told.logicalBytes) bytes; counted \(counts.files), \(counts.directories), "
                    + "\(counts.others), \(counts.logicalBytes)")
        }
    }
}
