import Checking
import DiskFormat
import Platform
import Trees

/// What a difference says of one path.
public struct AppliedDifference: Sendable {
    /// Below the directory; empty for itself.
    public var path: [UInt8]
    public var old: InodeImage?
    public var new: InodeImage?

    public init(path: [UInt8], old: InodeImage?, new: InodeImage?) {
        self.path = path
        self.old = old
        self.new = new
    }
}

/// Makes of a directory that has one side of a difference the other side.
///
/// `check` looks at everything that the difference touches, and changes nothing: every file must be as
/// the one side has it, or already as the other has it, so that what was interrupted is finished by
/// the same command. `apply` then changes file by file: what is written appears under its name when it
/// is whole. What the difference does not touch is not looked at, and stays.
///
/// While it is applied the directory has a file, `ApplyMark`, that tells which difference it is: behind
/// an interruption directories, and files with the content of either side, may have attributes of
/// both, and what changes between a directory and something else may be nothing.
///
/// Memory: of one path, and of one file's chunk names. No symbolic link is followed. One thread.
public final class DifferenceApplication {
    /// The differences of both sides, in the order of paths.
    public typealias Source = () throws(TreeError) -> AppliedDifference?

    /// A directory on the way to what is being changed; the last one is the innermost.
    private struct Frame {
        var name: [UInt8]
        var directory: OpenDirectory
        /// What is not whole yet is called so in it.
        var partialName: [UInt8]
        /// What it becomes, in the other side.
        var image: InodeImage?
        /// It ends, when what is in it has.
        var isEnding = false
        /// Whether more than its time differs.
        var isChanged = false
        /// What comes in its place when it has ended.
        var successor: InodeImage?
    }

    private let root: OpenDirectory
    private let old: VolumeState
    private let new: VolumeState
    private let files: AppliedFiles
    private let isCancelled: @Sendable () -> Bool
    private var frames: [Frame] = []
    /// Where files with several names are: the path of the first.
    private var links: [UInt64: [UInt8]] = [:]
    private var untouched = UntouchedLinks()
    private let mark: ApplyMark
    /// Whether an earlier run of this difference was interrupted.
    private var isResumed = false
    public private(set) var count: UInt64 = 0
    /// Of them, what was as it should become.
    public private(set) var doneBefore: UInt64 = 0

    /// - Parameters:
    ///   - root: the directory.
    ///   - old: the side that it has.
    ///   - new: the side that it becomes.
    public init(
        _ root: OpenDirectory, from old: VolumeState, to new: VolumeState,
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws(StreamError) {
        self.root = root
        self.old = old
        self.new = new
        self.isCancelled = isCancelled
        mark = ApplyMark(root, of: old.parameters.storeID)
        files = try AppliedFiles(old.parameters, isCancelled: isCancelled)
    }

    private static let slash = UInt8(ascii: "/")

    private static func parts(_ path: [UInt8]) -> [[UInt8]] {
        path.split(separator: slash).map(Array.init)
    }

    // MARK: checking

    /// Throws `isOther` for the first path that is neither as the one side nor as the other has it.
    public func check(_ next: Source) throws(ApplyError) {
        isResumed = try mark.isThere()
        while let found = try ApplyError.reading(next) {
            if isCancelled() { throw .cancelled }
            count += 1
            let place = try existingPlace(of: found.path)
            if place == nil { try checkIsMade(directoryOf: found) }
            guard let place, let facts = try place.facts() else {
                guard found.old == nil || found.new == nil || isBetweenKinds(found) else {
                    throw .isOther(path: found.path, what: "there is nothing")
                }
                // To be made; or ended already.
                if found.new == nil { doneBefore += 1 }
                continue
            }
            if try isDone(found, place, facts) {
                doneBefore += 1
                continue
            }
            if try !isInterrupted(found, place, facts) { try checkIsOld(found, place, facts) }
            if facts.isDirectory, (found.new?.mode ?? 0) >> 12 != 4, let image = found.old {
                try checkIsKnown(place, image)
            }
        }
        try checkLinks()
    }

    /// What new names are to be links to must be there.
    private func checkLinks() throws(ApplyError) {
        untouched = try UntouchedLinks(from: old, to: new, isCancelled: isCancelled)
        for path in untouched.paths {
            if isCancelled() { throw .cancelled }
            guard let place = try existingPlace(of: path), let facts = try place.facts() else {
                throw .isOther(path: path, what: "there is nothing")
            }
            let image = try ApplyError.reading { () throws(TreeError) in
                try old.resolve(bytes: path)
            }
            let found = AppliedDifference(path: path, old: image, new: image)
            try checkIsOld(found, place, facts)
        }
    }

    private func checkIsOld(
        _ found: AppliedDifference, _ place: AppliedFiles.Place, _ facts: FileFacts
    ) throws(ApplyError) {
        guard let image = found.old else {
            throw .isOther(path: found.path, what: "something is there")
        }
        if let what = try files.difference(
            at: place, facts, from: image, in: old, withContent: true)
        {
            throw .isOther(path: found.path, what: what)
        }
    }

    /// Whether a directory and something else change places: in between there is nothing.
    private func isBetweenKinds(_ found: AppliedDifference) -> Bool {
        guard isResumed, let before = found.old, let after = found.new else { return false }
        return (before.mode >> 12 == 4) != (after.mode >> 12 == 4)
    }

    /// Whether an interrupted run may have left it so: a directory, or the content of either side.
    private func isInterrupted(
        _ found: AppliedDifference, _ place: AppliedFiles.Place, _ facts: FileFacts
    ) throws(ApplyError) -> Bool {
        guard isResumed else { return false }
        for side in [(image: found.old, volume: old), (image: found.new, volume: new)] {
            guard let image = side.image, image.mode >> 12 == facts.kind else { continue }
            if facts.isDirectory { return true }
            if try files.hasContent(at: place, facts, of: image, in: side.volume) { return true }
        }
        return false
    }

    /// A directory that is missing is one that the difference makes, or ends.
    private func checkIsMade(directoryOf found: AppliedDifference) throws(ApplyError) {
        guard found.new != nil else { return }
        let parts = Self.parts(found.path).dropLast()
        let path = Array(parts.joined(separator: [Self.slash]))
        let before = try ApplyError.reading { () throws(TreeError) in try old.resolve(bytes: path) }
        if let before, before.mode >> 12 == 4 {
            throw .isOther(path: path, what: "there is no such directory")
        }
    }

    private func isDone(
        _ found: AppliedDifference, _ place: AppliedFiles.Place, _ facts: FileFacts
    ) throws(ApplyError) -> Bool {
        guard let image = found.new else { return false }
        guard try files.difference(at: place, facts, from: image, in: new, withContent: true) == nil
        else { return false }
        guard let before = found.old, image.mode >> 12 != 4, before.isSameBesideNames(as: image)
        else { return true }
        // Only its names tell the two sides apart; there may be more outside, of which nobody knows.
        return before.linkCount == image.linkCount || facts.links == image.linkCount
    }

    /// A directory that ends must not have anything that the difference does not know.
    private func checkIsKnown(
        _ place: AppliedFiles.Place, _ image: InodeImage
    ) throws(ApplyError) {
        let names = try place.run("list") { () throws(Errno) in
            try place.directory.directory(place.name).names()
        }
        for index in 0..<names.count {
            let name = names[index]
            let isKnown = try ApplyError.reading { () throws(TreeError) in
                try old.lookUp(name, in: image) != nil
            }
            if !isKnown, name != AppliedFiles.partialName {
                throw .isOther(
                    path: place.path + [Self.slash] + name,
                    what: "its directory ends, and it is not known")
            }
        }
    }

    /// Where a path is, by its open directory; nil where that does not exist.
    private func existingPlace(of path: [UInt8]) throws(ApplyError) -> AppliedFiles.Place? {
        var parts = Self.parts(path)
        guard let last = parts.popLast() else {
            return AppliedFiles.Place(directory: root, name: [], path: path)
        }
        var directory = root
        for part in parts {
            do throws(Errno) {
                directory = try directory.directory(part)
            } catch {
                // Also where a file, or a link, is in the directory's place.
                switch error {
                case .noSuchFileOrDirectory, .notDirectory, .tooManySymbolicLinkLevels: return nil
                default: throw .system(path: path, call: "open the directory of", error)
                }
            }
        }
        return AppliedFiles.Place(directory: directory, name: last, path: path)
    }

    // MARK: applying

    /// Makes the changes. Behind a `check` of the same directory.
    ///
    /// - Parameter onProgress: the number of differences that were dealt with.
    public func apply(
        _ next: Source, onProgress: (UInt64) -> Void = { _ in }
    ) throws(ApplyError) {
        try mark.set()
        frames = []
        try push(Frame(name: [], directory: root, partialName: [], image: new.directory), [])
        links = untouched.firstPaths
        var done: UInt64 = 0
        while let found = try ApplyError.reading(next) {
            if isCancelled() { throw .cancelled }
            try change(found)
            done += 1
            onProgress(done)
        }
        while !frames.isEmpty { try leave() }
        try mark.remove()
        let time = new.directory.modificationTime
        do throws(Errno) {
            try root.setModified([], (time.seconds, time.nanoseconds))
            try LinuxSystemCalls().synchronize(root.descriptor)
        } catch {
            throw .system(path: [], call: "make durable", error)
        }
    }

    private func change(_ found: AppliedDifference) throws(ApplyError) {
        var parts = Self.parts(found.path)
        guard let name = parts.popLast() else {
            frames[0].isChanged = true
            return
        }
        guard try enter(parts, found) else { return }
        let place = AppliedFiles.Place(
            directory: frames[frames.count - 1].directory, name: name, path: found.path,
            partialName: frames[frames.count - 1].partialName)
        let facts = try place.facts()
        guard let image = found.new else { return try end(place, facts, successor: nil) }
        if image.mode >> 12 == 4 { return try makeDirectory(place, facts, image) }
        if facts?.isDirectory == true { return try end(place, facts, successor: image) }
        try makeFile(place, facts, found, image)
    }

    /// Opens the directories on the way. Returns false where what ends has no directory any more.
    private func enter(
        _ parts: [[UInt8]], _ found: AppliedDifference
    ) throws(ApplyError) -> Bool {
        var common = 0
        while common < parts.count, common + 1 < frames.count,
            frames[common + 1].name == parts[common]
        {
            common += 1
        }
        while frames.count > common + 1 { try leave() }
        for index in common..<parts.count {
            let part = parts[index]
            let frame = frames[frames.count - 1]
            let directory: OpenDirectory
            do throws(Errno) {
                directory = try frame.directory.directory(part)
            } catch {
                if found.new == nil { return false }
                throw .system(path: found.path, call: "open the directory of", error)
            }
            var image: InodeImage?
            if let parent = frame.image {
                image = try ApplyError.reading { () throws(TreeError) in
                    guard let entry = try new.lookUp(part, in: parent) else { return nil }
                    return try new.image(of: entry)
                }
            }
            try push(
                Frame(name: part, directory: directory, partialName: [], image: image),
                Array(parts[...index].joined(separator: [Self.slash])))
        }
        return true
    }

    /// Removes what is there; a directory when what is in it has ended.
    private func end(
        _ place: AppliedFiles.Place, _ facts: FileFacts?, successor: InodeImage?
    ) throws(ApplyError) {
        guard let facts else { return }
        guard facts.isDirectory else {
            return try place.run("remove") { () throws(Errno) in
                try place.directory.remove(place.name, isDirectory: false)
            }
        }
        let directory = try place.run("open") { () throws(Errno) in
            try place.directory.directory(place.name)
        }
        try push(
            Frame(
                name: place.name, directory: directory, partialName: [], isEnding: true,
                successor: successor), place.path)
    }

    private func makeDirectory(
        _ place: AppliedFiles.Place, _ facts: FileFacts?, _ image: InodeImage
    ) throws(ApplyError) {
        if let facts, !facts.isDirectory {
            try place.run("remove") { () throws(Errno) in
                try place.directory.remove(place.name, isDirectory: false)
            }
        }
        if facts?.isDirectory != true {
            try place.run("make") { () throws(Errno) in
                try place.directory.makeDirectory(place.name)
            }
        }
        let directory = try place.run("open") { () throws(Errno) in
            try place.directory.directory(place.name)
        }
        try push(
            Frame(
                name: place.name, directory: directory, partialName: [], image: image,
                isChanged: true), place.path)
    }

    /// Goes into a directory, and removes what an interrupted run has left there.
    private func push(_ frame: Frame, _ path: [UInt8]) throws(ApplyError) {
        var frame = frame
        var name = AppliedFiles.partialName
        let base = path.isEmpty ? [] : path + [Self.slash]
        while try isNamed(base + name) { name.append(UInt8(ascii: "~")) }
        frame.partialName = name
        frames.append(frame)
        try files.removePartial(
            AppliedFiles.Place(directory: frame.directory, name: name, path: base + name))
    }

    /// Whether a side of the difference has the path.
    private func isNamed(_ path: [UInt8]) throws(ApplyError) -> Bool {
        try ApplyError.reading { () throws(TreeError) in
            if try old.resolve(bytes: path) != nil { return true }
            return try new.resolve(bytes: path) != nil
        }
    }

    private func makeFile(
        _ place: AppliedFiles.Place, _ facts: FileFacts?, _ found: AppliedDifference,
        _ image: InodeImage
    ) throws(ApplyError) {
        if image.isLinked, let first = links[image.inode], first != found.path,
            let other = try existingPlace(of: first)
        {
            return try files.link(place, to: other)
        }
        if image.isLinked { links[image.inode] = found.path }
        if let facts, !untouched.parting.contains(found.path),
            try files.difference(at: place, facts, from: image, in: new, withContent: true) == nil
        {
            if found.old?.content == image.content { return }
            if try files.hasHoles(at: place, of: image, in: new) { return }
        }
        // What it has other names for, which may be to stay as they are, is not changed in place.
        if let facts, facts.links <= 1, let before = found.old,
            before.mode >> 12 == image.mode >> 12, before.content == image.content,
            before.device?.major == image.device?.major,
            before.device?.minor == image.device?.minor
        {
            return try files.setAttributes(of: place, to: image, in: new)
        }
        try files.make(
            image, of: new, at: place,
            old: facts == nil ? nil : found.old.map { (image: $0, volume: old) })
    }

    /// What is in a directory is done.
    private func leave() throws(ApplyError) {
        guard let frame = frames.popLast() else { return }
        let path = Array(
            (frames.dropFirst().map(\.name) + [frame.name]).joined(separator: [Self.slash]))
        let place = AppliedFiles.Place(
            directory: frames.last?.directory ?? frame.directory, name: frame.name, path: path,
            partialName: frames.last?.partialName ?? frame.partialName)
        if frame.isEnding {
            // Where a whole tree ends, one that is left has what nobody knows: that is told.
            try place.run("remove") { () throws(Errno) in
                try place.directory.remove(place.name, isDirectory: true)
            }
            if let successor = frame.successor {
                try files.make(successor, of: new, at: place, old: nil)
            }
            return
        }
        guard let image = frame.image else { return }
        if frame.isChanged { return try files.setAttributes(of: place, to: image, in: new) }
        let time = image.modificationTime
        try place.run("set the time of") { () throws(Errno) in
            try place.directory.setModified(frame.name, (time.seconds, time.nanoseconds))
        }
    }
}
