import Checking
import DiskFormat
import Hashing
import Pipeline
import Platform
import Trees

/// Compares and makes files of a directory as volumes have them. One thread.
///
/// What is written has a name of its own until it is whole and durable.
final class AppliedFiles {
    /// The name of what is not whole yet, in each directory; longer where a side of the difference has
    /// it.
    static let partialName = Array(".ashlar-apply-partial".utf8)

    /// Within a hole that begins and ends in blocks of so many bytes, filesystems can have one.
    private static let blockBytes: UInt64 = 4096

    private let hasher: ChunkHasher
    private let isCancelled: @Sendable () -> Bool

    init(
        _ parameters: StoreParameters, isCancelled: @escaping @Sendable () -> Bool
    ) throws(StreamError) {
        self.isCancelled = isCancelled
        do throws(HashingError) {
            hasher = try ChunkHasher(parameters.hash)
        } catch {
            throw .store(.hashing(error))
        }
    }

    /// A name in a directory, and its path for those who are told.
    struct Place {
        var directory: OpenDirectory
        var name: [UInt8]
        var path: [UInt8]
        /// What is not whole yet is called so there.
        var partialName = AppliedFiles.partialName

        /// Where it is made.
        var partial: Place { Place(directory: directory, name: partialName, path: path) }

        func run<Result>(
            _ call: String, _ body: () throws(Errno) -> Result
        ) throws(ApplyError) -> Result {
            do throws(Errno) {
                return try body()
            } catch {
                throw .system(path: path, call: call, error)
            }
        }

        /// nil where there is nothing.
        func facts() throws(ApplyError) -> FileFacts? {
            do throws(Errno) {
                return try directory.facts(name)
            } catch .noSuchFileOrDirectory {
                return nil
            } catch {
                throw .system(path: path, call: "look at", error)
            }
        }
    }

    // MARK: comparing

    /// What of a file is not as an image has it; nil where all is.
    ///
    /// - Parameter withContent: reads it, and its attributes.
    func difference(
        at place: Place, _ facts: FileFacts, from image: InodeImage, in volume: VolumeState,
        withContent: Bool
    ) throws(ApplyError) -> String? {
        if let what = InodeImage(facts: facts).difference(from: image) { return what }
        guard withContent else { return nil }
        if case .target(let target) = image.content,
            try place.run("read", { () throws(Errno) in try place.directory.target(place.name) })
                != target
        {
            return "where it leads"
        }
        let wanted = try ApplyError.reading { () throws(TreeError) in
            try volume.attributes(of: image)
        }
        if try attributes(at: place) != wanted { return "its extended attributes" }
        if facts.isRegular, try !hasBytes(at: place, of: image, in: volume) { return "its content" }
        return nil
    }

    private func attributes(at place: Place) throws(ApplyError) -> AttributeSet {
        var set = AttributeSet()
        let names = try place.run("read attributes of") { () throws(Errno) in
            try place.directory.attributeNames(place.name)
        }
        for name in names {
            let value = try place.run("read attributes of") { () throws(Errno) in
                try place.directory.attribute(place.name, name)
            }
            guard let value else { continue }
            do throws(FormatError) {
                try set.set(name, to: value)
            } catch {
                throw .isOther(path: place.path, what: "its extended attributes")
            }
        }
        return set
    }

    /// Whether something that is no directory, of the image's kind, has its content, target or device.
    func hasContent(
        at place: Place, _ facts: FileFacts, of image: InodeImage, in volume: VolumeState
    ) throws(ApplyError) -> Bool {
        if facts.isRegular {
            guard facts.sizeBytes == image.size else { return false }
            return try hasBytes(at: place, of: image, in: volume)
        }
        if case .target(let target) = image.content {
            let found = try place.run("read") { () throws(Errno) in
                try place.directory.target(place.name)
            }
            return found == target
        }
        guard let device = image.device else { return true }
        return device.major == facts.deviceMajor && device.minor == facts.deviceMinor
    }

    private func hasBytes(
        at place: Place, of image: InodeImage, in volume: VolumeState
    ) throws(ApplyError) -> Bool {
        try reading(place) { file throws(ApplyError) in
            try HeldContent(
                OpenFileContent(file: file, path: place.path), hasher, isCancelled: isCancelled
            ).isContent(of: image, in: volume)
        }
    }

    /// Whether a file that has an image's bytes has its holes, as far as whole blocks can be ones.
    func hasHoles(
        at place: Place, of image: InodeImage, in volume: VolumeState
    ) throws(ApplyError) -> Bool {
        guard image.mode >> 12 == 8 else { return true }
        return try reading(place) { file throws(ApplyError) in
            let content = OpenFileContent(file: file, path: place.path)
            var hasAll = true
            var failure: ApplyError?
            try ApplyError.reading { () throws(TreeError) in
                try volume.forEachExtent(of: image) { extent in
                    guard case .hole = extent.source else { return true }
                    do throws(ApplyError) {
                        hasAll = try Self.isHole(extent.range, of: image.size, in: content)
                    } catch {
                        failure = error
                    }
                    return hasAll && failure == nil
                }
            }
            if let failure { throw failure }
            return hasAll
        }
    }

    private static func isHole(
        _ range: Range<UInt64>, of size: UInt64, in content: OpenFileContent
    ) throws(ApplyError) -> Bool {
        let isLast = range.upperBound == size
        let end = isLast ? size : range.upperBound / blockBytes * blockBytes
        let start = (range.lowerBound + blockBytes - 1) / blockBytes * blockBytes
        guard start < end, let data = try content.nextData(from: start) else { return true }
        return data >= end
    }

    private func reading<Result>(
        _ place: Place, _ body: (Descriptor) throws(ApplyError) -> Result
    ) throws(ApplyError) -> Result {
        let file = try place.run("open") { () throws(Errno) in
            try place.directory.file(place.name)
        }
        defer { _ = try? LinuxSystemCalls().close(file) }
        return try body(file)
    }

    // MARK: making

    /// Puts a file that is no directory at a place, over what is there and is no directory either.
    ///
    /// - Parameter old: what the directory has there, for content that only it has.
    func make(
        _ image: InodeImage, of volume: VolumeState, at place: Place,
        old: (image: InodeImage, volume: VolumeState)?
    ) throws(ApplyError) {
        let partial = place.partial
        try removePartial(partial)
        switch image.mode >> 12 {
        case 8: try write(image, of: volume, at: place, partial, old)
        case 10:
            guard case .target(let target) = image.content else {
                throw .tree(.format(.badValue("symlink target"), node: volume.rootName))
            }
            try partial.run("make") { () throws(Errno) in
                try partial.directory.makeLink(partial.name, to: target)
            }
        default:
            try partial.run("make") { () throws(Errno) in
                try partial.directory.makeNode(
                    partial.name, mode: image.mode & ~0o7777 | 0o600, device: image.device ?? (0, 0)
                )
            }
        }
        try setAttributes(of: partial, to: image, in: volume)
        try moveIn(partial, to: place)
    }

    /// Gives a file another name.
    func link(_ place: Place, to other: Place) throws(ApplyError) {
        let partial = place.partial
        try removePartial(partial)
        try place.run("link") { () throws(Errno) in
            try partial.directory.makeHardLink(
                partial.name, to: other.name, in: other.directory)
        }
        try moveIn(partial, to: place)
        // Where both were one file already, renaming did nothing.
        try removePartial(partial)
    }

    /// Removes what an interrupted run has left.
    func removePartial(_ partial: Place) throws(ApplyError) {
        guard let facts = try partial.facts(), !facts.isDirectory else { return }
        try partial.run("remove what was left of") { () throws(Errno) in
            try partial.directory.remove(partial.name, isDirectory: false)
        }
    }

    private func moveIn(_ partial: Place, to place: Place) throws(ApplyError) {
        try place.run("rename") { () throws(Errno) in
            try place.directory.rename(partial.name, to: place.name)
        }
    }

    /// Gives a file everything but its content.
    func setAttributes(
        of place: Place, to image: InodeImage, in volume: VolumeState
    ) throws(ApplyError) {
        let directory = place.directory
        let name = place.name
        guard let facts = try place.facts() else {
            throw .system(path: place.path, call: "look at", .noSuchFileOrDirectory)
        }
        if facts.owner != image.owner || facts.group != image.group {
            try place.run("give away") { () throws(Errno) in
                try directory.setOwner(name, owner: image.owner, group: image.group)
            }
        }
        let wanted = try ApplyError.reading { () throws(TreeError) in
            try volume.attributes(of: image)
        }
        let found = try attributes(at: place)
        if found != wanted {
            for attribute in found.attributes where wanted[attribute.name] == nil {
                try place.run("take an attribute from") { () throws(Errno) in
                    try directory.removeAttribute(name, attribute.name)
                }
            }
            for attribute in wanted.attributes where found[attribute.name] != attribute.value {
                try place.run("give an attribute to") { () throws(Errno) in
                    try directory.setAttribute(name, attribute.name, attribute.value)
                }
            }
        }
        if image.mode >> 12 != 10 {
            try place.run("set the mode of") { () throws(Errno) in
                try directory.setMode(name, image.mode)
            }
        }
        let time = image.modificationTime
        try place.run("set the time of") { () throws(Errno) in
            try directory.setModified(name, (time.seconds, time.nanoseconds))
        }
    }

    // MARK: content

    private func write(
        _ image: InodeImage, of volume: VolumeState, at place: Place, _ partial: Place,
        _ old: (image: InodeImage, volume: VolumeState)?
    ) throws(ApplyError) {
        let file = try partial.run("make") { () throws(Errno) in
            try partial.directory.createFile(partial.name)
        }
        let calls = LinuxSystemCalls()
        defer { _ = try? calls.close(file) }
        try place.run("write") { () throws(Errno) in
            try calls.truncate(file, to: image.size)
        }
        guard let old, old.image.mode >> 12 == 8 else {
            try write(image, of: volume, to: file, at: place, nil)
            return try place.run("write") { () throws(Errno) in try calls.synchronize(file) }
        }
        try reading(place) { held throws(ApplyError) in
            var base = HeldContent(
                OpenFileContent(file: held, path: place.path), hasher, isCancelled: isCancelled)
            try base.look(for: old.image, in: old.volume)
            // Where it has the bytes already, and not the holes.
            try base.look(for: image, in: volume)
            try write(image, of: volume, to: file, at: place, base)
        }
        try place.run("write") { () throws(Errno) in try calls.synchronize(file) }
    }

    private func write(
        _ image: InodeImage, of volume: VolumeState, to file: Descriptor, at place: Place,
        _ base: HeldContent?
    ) throws(ApplyError) {
        var failure: ApplyError?
        try ApplyError.reading { () throws(TreeError) in
            try volume.forEachExtent(of: image) { extent throws(TreeError) in
                do throws(ApplyError) {
                    if isCancelled() { throw ApplyError.cancelled }
                    try write(extent, of: volume, to: file, at: place, base)
                } catch {
                    failure = error
                }
                return failure == nil
            }
        }
        if let failure { throw failure }
    }

    private func write(
        _ extent: VolumeState.LiveExtent, of volume: VolumeState, to file: Descriptor,
        at place: Place, _ base: HeldContent?
    ) throws(ApplyError) {
        switch extent.source {
        case .hole: return
        case .zeros:
            // They read as zeros anyhow: not every filesystem can allocate them.
            _ = try? LinuxSystemCalls().allocate(file, .reserve, extent.range)
        case .data(let name, let chunkBytes, _):
            let bytes: [UInt8]
            do throws(TreeError) {
                bytes = try volume.readNode(name, domain: .data)
            } catch {
                guard case .missing = error else { throw .tree(error) }
                guard let known = try base?.bytes(of: name) else {
                    throw .lacksContent(path: place.path)
                }
                bytes = known
            }
            guard bytes.count == Int(chunkBytes), bytes.count == extent.range.count else {
                throw .tree(.format(.badValue("chunk: length"), node: name))
            }
            try place.run("write") { () throws(Errno) in
                try LinuxSystemCalls().writeAll(file, bytes, at: extent.range.lowerBound)
            }
        }
    }
}

extension LinuxSystemCalls {
    func writeAll(_ file: Descriptor, _ bytes: [UInt8], at offset: UInt64) throws(Errno) {
        var done = 0
        while done < bytes.count {
            done += try bytes.borrowing { (raw) throws(Errno) in
                let vector = IOVector(
                    iov_base: UnsafeMutableRawPointer(mutating: raw.baseAddress.map { $0 + done }),
                    iov_len: raw.count - done)
                return try withUnsafePointer(to: vector) { (pointer) throws(Errno) in
                    try write(
                        file, UnsafeBufferPointer(start: pointer, count: 1),
                        at: offset + UInt64(done))
                }
            }
        }
    }
}
