import DiskFormat
import Platform
import Trees

/// The walk of one scan: names in the order of their bytes, each directory with all below it.
///
/// Directories are a stack in memory, and an open descriptor each. One thread.
struct ScanWalk {
    private struct Frame {
        var directory: OpenDirectory
        var names: NameList
        var next = 0
        var base: ScanBase.Cursor?
        /// Of the path to it, the slash behind it included.
        var pathBytes: Int
    }

    private let scan: DirectoryScan
    /// The filesystem of the source.
    private let device: UInt64
    private var frames: [Frame] = []
    private var path: [UInt8] = []
    /// Files of which a name was met and others are to come: how many.
    private var namesToCome: [FileIdentity: UInt64] = [:]

    init(_ scan: DirectoryScan, device: UInt64) {
        self.scan = scan
        self.device = device
    }

    mutating func run(_ source: OpenDirectory, _ facts: FileFacts) throws(StreamError) {
        let isOpen = try enter(
            source, name: [], facts, previous: scan.base?.root.directory, in: source)
        guard isOpen else {
            // Told: there is nothing to be scanned.
            throw .source(ScanProblem(path: [], kind: .failed("read", .permissionDenied)))
        }
        while !frames.isEmpty {
            let last = frames.count - 1
            guard frames[last].next < frames[last].names.count else {
                frames.removeLast()
                try scan.push(.end)
                continue
            }
            let name = frames[last].names[frames[last].next]
            frames[last].next += 1
            path.removeSubrange(frames[last].pathBytes...)
            path += name
            try meet(name, in: last)
        }
    }

    private mutating func meet(_ name: [UInt8], in frame: Int) throws(StreamError) {
        scan.tell(path)
        let directory = frames[frame].directory
        let previous = frames[frame].base?.image(of: name)
        let facts: FileFacts
        do throws(Errno) {
            facts = try directory.facts(name)
        } catch {
            return try scan.report(ScanProblem(path: path, kind: .failed("look at", error)))
        }
        guard !scan.options.omitted.contains(FileIdentity(facts)),
            !scan.options.isExcluded(path, facts.isDirectory)
        else {
            scan.counts.excluded += 1
            return
        }
        if facts.isDirectory { return try meetDirectory(name, facts, previous, directory) }
        var file = ScanWindow.File(
            name: name, image: InodeImage(facts: facts), previous: previous, namesTotal: facts.links
        )
        if facts.links > 1 {
            let link = FileIdentity(facts)
            if let more = namesToCome[link] {
                namesToCome[link] = more > 1 ? more - 1 : nil
                scan.counts.entries += 1
                return try scan.push(.again(name: name, link))
            }
            namesToCome[link] = facts.links - 1
            file.link = link
        }
        try meetFile(&file, facts, directory)
    }

    private mutating func meetFile(
        _ file: inout ScanWindow.File, _ facts: FileFacts, _ directory: OpenDirectory
    ) throws(StreamError) {
        if facts.isRegular {
            if try !takeOver(&file) {
                file.slot = scan.readers.read(
                    FileReaders.Job(directory: directory, name: file.name, path: path))
            }
            return try scan.push(.file(file))
        }
        do throws(Errno) {
            if facts.kind == 10 {
                let target = try directory.target(file.name)
                file.image.content = .target(target)
                file.image.size = UInt64(target.count)
            }
        } catch {
            return try scan.report(ScanProblem(path: path, kind: .failed("read", error)))
        }
        guard let attributes = try attributes(of: file.name, in: directory) else { return }
        file.image.attributes = attributes
        try scan.push(.file(file))
    }

    /// Gives an unchanged file the content that the base has. Returns false where it is to be read.
    private mutating func takeOver(_ file: inout ScanWindow.File) throws(StreamError) -> Bool {
        guard let base = scan.base, !scan.options.verifiesAll, let previous = file.previous,
            base.hasUnchanged(previous, file.image)
        else { return false }
        if let carry = base.carry {
            // What the base cannot give any more is read.
            do throws(TreeError) {
                try carry(previous)
            } catch {
                return false
            }
        }
        file.image.content = previous.content
        file.image.allocatedBytes = previous.allocatedBytes
        file.image.attributes = previous.attributes
        scan.counts.unchangedFiles += 1
        scan.counts.unchangedBytes &+= file.image.size
        return true
    }

    /// nil where they cannot be read, which was told.
    private func attributes(
        of name: [UInt8], in directory: OpenDirectory
    ) throws(StreamError) -> AttributeStorage? {
        do throws(FileReaders.Failure) {
            return try AttributeReader(directory, scan.sink).read(name, path)
        } catch {
            switch error {
            case .cancelled: throw .cancelled
            case .problem(let problem): try scan.report(problem)
            case .store(let reason): throw .store(reason)
            case .tree(let reason): throw .tree(reason)
            }
            return nil
        }
    }

    // MARK: directories

    private mutating func meetDirectory(
        _ name: [UInt8], _ facts: FileFacts, _ previous: InodeImage?, _ parent: OpenDirectory
    ) throws(StreamError) {
        let isFarther =
            scan.options.staysOnFilesystem && facts.device != device
            || scan.options.depthMax.map { frames.count >= $0 } ?? false
        if isFarther {
            guard let attributes = try attributes(of: name, in: parent) else { return }
            var image = InodeImage(facts: facts)
            image.attributes = attributes
            scan.counts.excluded += 1
            scan.counts.entries += 1
            scan.counts.directories += 1
            try scan.push(.begin(name: name, image, previous: previous))
            return try scan.push(.end)
        }
        let directory: OpenDirectory
        do throws(Errno) {
            directory = try parent.directory(name)
        } catch {
            return try scan.report(ScanProblem(path: path, kind: .failed("open", error)))
        }
        _ = try enter(directory, name: name, facts, previous: previous, in: parent)
    }

    /// Begins a directory. Returns false where it cannot be read, which was told.
    private mutating func enter(
        _ directory: OpenDirectory, name: [UInt8], _ facts: FileFacts, previous: InodeImage?,
        in parent: OpenDirectory
    ) throws(StreamError) -> Bool {
        let names: NameList
        do throws(Errno) {
            names = try directory.names().sorted()
        } catch {
            try scan.report(ScanProblem(path: path, kind: .failed("list", error)))
            return false
        }
        guard let attributes = try attributes(of: [], in: directory) else { return false }
        var image = InodeImage(facts: facts)
        image.attributes = attributes
        if !name.isEmpty { path.append(UInt8(ascii: "/")) }
        frames.append(
            Frame(
                directory: directory, names: names, base: scan.base?.cursor(previous),
                pathBytes: path.count))
        scan.counts.entries += 1
        scan.counts.directories += 1
        try scan.push(.begin(name: name, image, previous: previous))
        return true
    }
}
