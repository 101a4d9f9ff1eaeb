// Everything that is no directory.
//
//     partial name: made, filled, given its attributes ─▶ renamed over the name
import Checking
import DiskFormat
import Glibc
import Platform
import Trees

extension Restorer {
    /// - Throws: what the caller tells, or what ends all.
    func restoreFile(
        _ name: [UInt8], _ image: InodeImage, in frame: Frame
    ) throws(RestoreError) {
        let path = Self.join(frame.path, name)
        let existing = try frame.directory?.status(name)
        if let existing, existing.st_mode & S_IFMT == S_IFDIR { throw .inTheWay }
        if try restoreLink(name, image, existing, in: frame) { return }
        if let existing, try keeps(existing, name, image, in: frame) {
            return
        }
        let before = summary.doneBytes
        if !options.isDryRun, let directory = frame.directory {
            try write(name, image, into: directory, frame)
        }
        tell(existing == nil ? .made : .replaced, path)
        remember(name, image, in: frame)
        // Holes are done without having been written.
        let written = summary.doneBytes - before
        try progress(doneBytes: image.isRegular ? image.size - min(written, image.size) : 0)
    }

    /// Whether what is there stays. What is right gets its attributes.
    private func keeps(
        _ existing: stat, _ name: [UInt8], _ image: InodeImage, in frame: Frame
    ) throws(RestoreError) -> Bool {
        let path = Self.join(frame.path, name)
        let isRight: Bool
        switch options.overwriting {
        case .always: return false
        case .never:
            tell(.kept, path)
            try progress(doneBytes: image.isRegular ? image.size : 0)
            return true
        case .ifChanged, .ifNewer:
            isRight = try looksRight(existing, name, image, in: frame)
        }
        guard isRight else {
            let isNewer =
                (Int64(existing.st_mtim.tv_sec), existing.st_mtim.tv_nsec) > (
                    image.modificationTime.seconds, Int(image.modificationTime.nanoseconds)
                )
            guard options.overwriting == .ifNewer, isNewer else { return false }
            tell(.kept, path)
            try progress(doneBytes: image.isRegular ? image.size : 0)
            return true
        }
        guard let node = try frame.directory?.openNode(name) else { return false }
        let hasChanged = try setAttributes(image, node)
        tell(hasChanged ? .attributes : .same, path)
        remember(name, image, in: frame)
        try progress(doneBytes: image.isRegular ? image.size : 0)
        return true
    }

    private func looksRight(
        _ existing: stat, _ name: [UInt8], _ image: InodeImage, in frame: Frame
    ) throws(RestoreError) -> Bool {
        guard existing.st_mode & S_IFMT == mode_t(image.mode) & S_IFMT else { return false }
        switch image.content {
        case .target(let target):
            var bytes = [CChar](repeating: 0, count: target.count + 1)
            let descriptor = frame.directory?.file.descriptor ?? -1
            let count = Calls.withName(name) {
                readlinkat(descriptor, $0, &bytes, bytes.count)
            }
            return count == target.count
                && bytes.prefix(count).elementsEqual(target.map { CChar(bitPattern: $0) })
        default: break
        }
        if let device = image.device { return existing.st_rdev == Self.deviceNumber(device) }
        guard image.isRegular else { return true }
        guard UInt64(existing.st_size) == image.size, AttributeWriter.hasTime(existing, image)
        else { return false }
        guard options.verifies, let file = try frame.directory?.openForReading(name) else {
            return true
        }
        return try hasContent(image, file)
    }

    // MARK: names of one inode

    /// Whether the inode has been restored under another name already, and this is one of it now.
    private func restoreLink(
        _ name: [UInt8], _ image: InodeImage, _ existing: stat?, in frame: Frame
    ) throws(RestoreError) -> Bool {
        guard image.isLinked, image.linkCount > 1, let target = links[image.inode] else {
            return false
        }
        let path = Self.join(frame.path, name)
        links[image.inode]?.left -= 1
        if target.left <= 1 { links[image.inode] = nil }
        guard let root, let directory = frame.directory else {
            tell(.made, path)
            return true
        }
        // In a dry run the first name may not be there.
        let parent = try? self.directory(at: target.parent, below: root)
        let first = try parent?.status(target.name)
        if let existing, let first, existing.st_ino == first.st_ino,
            existing.st_dev == first.st_dev
        {
            tell(.same, path)
            return true
        }
        if existing != nil, options.overwriting == .never { return false }
        if options.isDryRun {
            tell(existing == nil ? .made : .replaced, path)
            return true
        }
        guard let parent, first != nil else { return false }
        let result = Calls.withName(target.name) { old in
            Calls.withName(frame.partialName) { new in
                linkat(parent.file.descriptor, old, directory.file.descriptor, new, 0)
            }
        }
        if result != 0 {
            // The destination has no such links, or not so many: a file of its own, then.
            guard [EMLINK, EPERM, EXDEV, EOPNOTSUPP].contains(errno) else {
                throw .system(Errno(rawValue: errno), call: "linkat")
            }
            noteCopiedLink()
            links[image.inode] = nil
            return false
        }
        try put(name, in: directory, frame)
        tell(existing == nil ? .made : .replaced, path)
        return true
    }

    private func remember(_ name: [UInt8], _ image: InodeImage, in frame: Frame) {
        guard image.isLinked, image.linkCount > 1, links[image.inode] == nil else { return }
        links[image.inode] = LinkTarget(
            parent: frame.path, name: name, left: image.linkCount - 1)
    }

    /// A directory that was restored before, found again part by part.
    func directory(
        at path: [UInt8], below root: DestinationDirectory
    ) throws(RestoreError) -> DestinationDirectory {
        var directory = root
        for part in path.split(separator: UInt8(ascii: "/")) {
            directory = try directory.openDirectory(Array(part))
        }
        return directory
    }

    // MARK: making

    private func write(
        _ name: [UInt8], _ image: InodeImage, into directory: DestinationDirectory, _ frame: Frame
    ) throws(RestoreError) {
        do throws(RestoreError) {
            if image.isRegular {
                let file = try directory.createFile(frame.partialName)
                try writeContent(image, to: file)
                if options.verifies { try verify(image, file) }
                let waits = settlesLater(image)
                try complete(image, file, Self.join(frame.path, name), withTimes: !waits)
                try put(name, in: directory, frame)
                if waits { try settleLater(name, image, file, in: frame.path) }
            } else {
                try makeNode(image, frame.partialName, in: directory)
                let node = try directory.openNode(frame.partialName)
                try complete(image, node, Self.join(frame.path, name))
                try put(name, in: directory, frame)
            }
        } catch {
            // What is left is found by the next run.
            try? directory.remove(frame.partialName)
            throw error
        }
    }

    /// A file without all of its attributes is better than none: told, and put in its place.
    private func complete(
        _ image: InodeImage, _ file: OpenFile, _ path: [UInt8], withTimes: Bool = true
    ) throws(RestoreError) {
        do throws(RestoreError) {
            _ = try setAttributes(image, file, withTimes: withTimes)
        } catch {
            if case .source = error { throw error }
            try fail(error, path)
        }
    }

    private func put(
        _ name: [UInt8], in directory: DestinationDirectory, _ frame: Frame
    ) throws(RestoreError) {
        try directory.rename(frame.partialName, to: name)
    }

    private func makeNode(
        _ image: InodeImage, _ name: [UInt8], in directory: DestinationDirectory
    ) throws(RestoreError) {
        let descriptor = directory.file.descriptor
        if case .target(let target) = image.content {
            guard !target.contains(0) else { throw .badName }
            let result = Calls.withName(target) { target in
                Calls.withName(name) { symlinkat(target, descriptor, $0) }
            }
            try Calls.check(result, "symlinkat")
            return
        }
        let kind = mode_t(image.mode) & S_IFMT
        let device = image.device.map(Self.deviceNumber) ?? 0
        try Calls.check(
            Calls.withName(name) { mknodat(descriptor, $0, kind | 0o600, device) }, "mknodat")
    }

    /// As glibc's makedev(3).
    static func deviceNumber(_ device: (major: UInt32, minor: UInt32)) -> dev_t {
        let major = UInt64(device.major)
        let minor = UInt64(device.minor)
        return dev_t(
            minor & 0xff | (major & 0xfff) << 8 | (minor & ~0xff) << 12 | (major & ~0xfff) << 32)
    }
}
