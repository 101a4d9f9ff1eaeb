import Checking
import DiskFormat
import Glibc
import Platform
import Trees

/// One restore into one directory.
///
///     restore … (any number of them)   everything below a path of the source
///     finish                           what is too much is deleted
///
/// Directories are left in the order in which they are done: their attributes come last, since what is
/// made in them changes their times. Memory: the directories that wait, and the inodes with several
/// names of which some are still to come.
public final class Restorer {
    /// Of files that are being written. One of these that is found was left by a run that was killed.
    public static let partialName = Array(".ashlar-restore-partial".utf8)

    /// A directory whose names are being restored.
    struct Frame {
        /// Below the destination; empty for itself.
        var path: [UInt8]
        var image: InodeImage
        /// nil in a dry run where there is no such directory.
        var directory: DestinationDirectory?
        var outcome: RestoreOutcome
        /// Files are written under this name, which the source does not have there.
        var partialName: [UInt8]
        /// Directories that are still to come, the next last.
        var waiting: [(name: [UInt8], image: InodeImage)] = []
    }

    /// Where an inode with several names was restored.
    struct LinkTarget {
        var parent: [UInt8]
        var name: [UInt8]
        /// Names that are still to come.
        var left: UInt64
    }

    let volume: VolumeState
    let options: RestoreOptions
    let attributes: AttributeWriter
    let root: DestinationDirectory?
    private let onEvent: (RestoreEvent) -> Void
    let isCancelled: () -> Bool
    public private(set) var summary = RestoreSummary()
    var links: [UInt64: LinkTarget] = [:]
    var unsettled = UnsettledFiles()
    /// What was restored, for what is deleted in the end.
    private var restored: [(path: [UInt8], image: InodeImage)] = []

    /// - Parameters:
    ///   - path: an existing directory; in a dry run it may be missing.
    ///   - onEvent: called on this thread.
    ///   - isCancelled: asked between two steps.
    /// - Throws: `system` where the directory cannot be opened, `busy`.
    public init(
        _ volume: VolumeState, into path: String, options: RestoreOptions,
        onEvent: @escaping (RestoreEvent) -> Void = { _ in },
        isCancelled: @escaping () -> Bool = { false }
    ) throws(RestoreError) {
        self.volume = volume
        self.options = options
        self.onEvent = onEvent
        self.isCancelled = isCancelled
        attributes = AttributeWriter(isPrivileged: options.isPrivileged)
        do throws(RestoreError) {
            root = try DestinationDirectory.open(path: path)
        } catch .system(.noSuchFileOrDirectory, _) where options.isDryRun {
            root = nil
        }
        if !options.isDryRun { try root?.lock() }
    }

    // MARK: telling

    func tell(_ outcome: RestoreOutcome, _ path: [UInt8]) {
        summary.outcomes[outcome, default: 0] += 1
        onEvent(.done(outcome, path: path))
    }

    /// - Throws: the error itself, where going on makes no sense.
    func fail(_ error: RestoreError, _ path: [UInt8]) throws(RestoreError) {
        if error.endsAll { throw error }
        summary.failureCount += 1
        if case .source = error { summary.damagedCount += 1 }
        onEvent(.failed(error, path: path))
    }

    func noteOtherOwner() { summary.otherOwnerCount += 1 }
    func noteCopiedLink() { summary.copiedLinkCount += 1 }

    func progress(doneBytes: UInt64, writtenBytes: UInt64 = 0) throws(RestoreError) {
        summary.doneBytes += doneBytes
        summary.writtenBytes += writtenBytes
        onEvent(.progressed(doneBytes: summary.doneBytes))
        if isCancelled() { throw .cancelled }
    }

    // MARK: a source

    /// Restores an inode of the source, and all below it.
    ///
    /// - Parameters:
    ///   - name: what it gets in the destination; nil: it is a directory, and the destination is it.
    ///   - keepsAttributes: of a directory without a name: whether the destination keeps its own.
    /// - Throws: what ends all; anything else is told.
    public func restore(
        _ image: InodeImage, as name: [UInt8]?, keepsAttributes: Bool = false
    ) throws(RestoreError) {
        restored.append((name ?? [], image))
        do throws(RestoreError) {
            try restoreAll(image, as: name, keepsAttributes: keepsAttributes)
        } catch {
            // What was written counts when the command is run again. The first error is the one to
            // report.
            try? settle()
            throw error
        }
    }

    private func restoreAll(
        _ image: InodeImage, as name: [UInt8]?, keepsAttributes: Bool
    ) throws(RestoreError) {
        guard let name else {
            return try walk(
                Frame(
                    path: [], image: image, directory: root,
                    outcome: keepsAttributes ? .kept : .same,
                    partialName: try partialName(image)))
        }
        let base = Frame(
            path: [], image: image, directory: root, outcome: .kept,
            partialName: Self.partialName + (name == Self.partialName ? [0x7e] : []))
        try removePartial(base)
        if image.isDirectory {
            if let frame = try enter(name, image, in: base) { try walk(frame) }
        } else {
            try restoreFile(name, image, in: base)
        }
    }

    /// Deletes what the source does not have, where that is wanted and everything else succeeded, and
    /// makes all durable, where that is.
    public func finish() throws(RestoreError) {
        try settle()
        if options.deletes, summary.failureCount == 0 {
            for (path, image) in restored where image.isDirectory { try prune(path, image) }
        }
        guard options.synchronizes, !options.isDryRun, let root else { return }
        try synchronize(root)
    }

    // MARK: directories

    private func walk(_ top: Frame) throws(RestoreError) {
        var frames = [top]
        try restoreNames(&frames[0])
        while var frame = frames.popLast() {
            if isCancelled() { throw .cancelled }
            guard let (name, image) = frame.waiting.popLast() else {
                try leave(frame)
                continue
            }
            frames.append(frame)
            guard var below = try enter(name, image, in: frame) else { continue }
            try restoreNames(&below)
            frames.append(below)
        }
    }

    /// Restores the files of a directory; its directories come later.
    private func restoreNames(_ frame: inout Frame) throws(RestoreError) {
        if frame.outcome != .made { try removePartial(frame) }
        var waiting: [(name: [UInt8], image: InodeImage)] = []
        var ending: RestoreError?
        let image = frame.image
        let current = frame
        do throws(TreeError) {
            try volume.forEachEntry(of: image) { entry throws(TreeError) in
                do throws(RestoreError) {
                    try restore(entry, in: current, &waiting)
                    return true
                } catch {
                    ending = error
                    return false
                }
            }
        } catch {
            try fail(.source(error), frame.path)
        }
        if let ending { throw ending }
        frame.waiting = waiting.reversed()
    }

    private func restore(
        _ entry: VolumeState.Entry, in frame: Frame,
        _ waiting: inout [(name: [UInt8], image: InodeImage)]
    ) throws(RestoreError) {
        let path = Self.join(frame.path, entry.name)
        if isCancelled() { throw .cancelled }
        do throws(RestoreError) {
            let isName =
                !entry.name.isEmpty && entry.name != [0x2e] && entry.name != [0x2e, 0x2e]
                && !entry.name.contains(0) && !entry.name.contains(UInt8(ascii: "/"))
            guard isName else { throw .badName }
            let image = try source { () throws(TreeError) in
                guard let image = try volume.image(of: entry) else {
                    throw .format(.badValue("entry without an inode"), node: volume.rootName)
                }
                return image
            }
            if image.isDirectory {
                waiting.append((entry.name, image))
            } else {
                try restoreFile(entry.name, image, in: frame)
            }
        } catch {
            try fail(error, path)
        }
    }

    /// The directory, there or made; nil where that failed, which is told.
    private func enter(
        _ name: [UInt8], _ image: InodeImage, in parent: Frame
    ) throws(RestoreError) -> Frame? {
        let path = Self.join(parent.path, name)
        do throws(RestoreError) {
            var frame = Frame(
                path: path, image: image, directory: nil, outcome: .made,
                partialName: try partialName(image))
            if let status = try parent.directory?.status(name) {
                guard status.st_mode & S_IFMT == S_IFDIR else { throw .inTheWay }
                frame.outcome = .same
            } else if options.isDryRun {
                return frame
            } else {
                try parent.directory?.makeDirectory(name)
            }
            frame.directory = try parent.directory?.openDirectory(name)
            return frame
        } catch {
            try fail(error, path)
            return nil
        }
    }

    /// Everything below is done: now the attributes.
    private func leave(_ frame: Frame) throws(RestoreError) {
        if frame.outcome == .kept { return }
        do throws(RestoreError) {
            guard let directory = frame.directory else { return tell(.made, frame.path) }
            let hasChanged = try setAttributes(frame.image, directory.file)
            let isNew = frame.outcome == .made
            tell(isNew ? .made : hasChanged ? .attributes : .same, frame.path)
        } catch {
            try fail(error, frame.path)
        }
    }

    // MARK: what all use

    /// Makes the attributes of an inode the source's; in a dry run says whether they are not.
    func setAttributes(
        _ image: InodeImage, _ file: OpenFile, withTimes: Bool = true
    ) throws(RestoreError) -> Bool {
        let set = try source { () throws(TreeError) in try volume.attributes(of: image) }
        let wanted = AttributeWriter.Wanted(image: image, attributes: set)
        if options.isDryRun { return try attributes.differs(wanted, from: file) }
        let outcome = try attributes.apply(wanted, to: file, withTimes: withTimes)
        if outcome.hasOtherOwner { noteOtherOwner() }
        return outcome.hasChanged
    }

    func source<Result>(
        _ body: () throws(TreeError) -> Result
    ) throws(RestoreError) -> Result {
        do throws(TreeError) {
            return try body()
        } catch {
            throw .source(error)
        }
    }

    /// A name for files being written that the source's directory does not have.
    private func partialName(_ image: InodeImage) throws(RestoreError) -> [UInt8] {
        var name = Self.partialName
        guard image.isDirectory else { return name }
        // What cannot be read is told when the names are.
        while let entry = try? volume.lookUp(name, in: image), !entry.name.isEmpty {
            name.append(UInt8(ascii: "~"))
        }
        return name
    }

    private func removePartial(_ frame: Frame) throws(RestoreError) {
        guard !options.isDryRun, let directory = frame.directory else { return }
        do throws(RestoreError) {
            guard let status = try directory.status(frame.partialName),
                status.st_mode & S_IFMT != S_IFDIR
            else { return }
            try directory.remove(frame.partialName)
        } catch {
            try fail(error, Self.join(frame.path, frame.partialName))
        }
    }

    static func join(_ path: [UInt8], _ name: [UInt8]) -> [UInt8] {
        path.isEmpty ? name : path + [UInt8(ascii: "/")] + name
    }
}
