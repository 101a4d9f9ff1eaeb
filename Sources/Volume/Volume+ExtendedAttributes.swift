// Extended attributes: a sorted set, in the inode when it is small, else a chunk.
import DiskFormat
import FileModel
import Pipeline

extension Volume {
    /// Longest value (XATTR_SIZE_MAX), in bytes.
    private static let valueBytesMax = 65_536
    private static let virtualPrefix = Array("user.ashlar.".utf8)
    /// The namespaces of xattr(7) in which names are free.
    private static let openPrefixes = ["user.", "trusted.", "security."].map { Array($0.utf8) }

    /// Whether a name is in a namespace that there is; else the answer is EOPNOTSUPP, as programs
    /// that copy attributes expect it.
    static func isInNamespace(_ name: [UInt8]) -> Bool {
        AccessList.isName(name) || openPrefixes.contains { name.starts(with: $0) }
    }

    /// The attributes of an inode, and how they were stored when they were read.
    func attributeSet(
        of inode: InodeNumber
    ) throws(FileError) -> (storage: AttributeStorage, set: AttributeSet) {
        let storage = try withNode(inode) { (_, node) throws(FileError) in node.image.attributes }
        return (storage, try attributeSet(storage))
    }

    private func attributeSet(_ storage: AttributeStorage) throws(FileError) -> AttributeSet {
        let bytes: [UInt8]
        switch storage {
        case .none: return AttributeSet()
        case .inline(let inline): bytes = inline
        case .chunk(let name, let byteCount):
            do throws(StoreError) {
                bytes = try store.bytes(of: name, domain: .data)
            } catch {
                throw fileError(error)
            }
            guard bytes.count == Int(byteCount) else { throw .damaged }
        }
        do throws(FormatError) {
            return try bytes.borrowing { (raw) throws(FormatError) in try AttributeSet(raw) }
        } catch {
            throw .damaged
        }
    }

    /// Stores a set where it belongs.
    func stored(_ set: AttributeSet) throws(FileError) -> AttributeStorage {
        let bytes = set.encoded()
        if bytes.isEmpty { return .none }
        if bytes.count <= DiskFormat.inlineAttributeBytesMax { return .inline(bytes) }
        do throws(StoreError) {
            let name = try bytes.borrowing { (raw) throws(StoreError) in
                try store.put(raw, domain: .data)
            }
            return .chunk(name, byteCount: UInt32(bytes.count))
        } catch {
            throw fileError(error)
        }
    }

    /// What a directory gives to what is made in it.
    func inheritance(of inode: InodeNumber) throws(FileError) -> Inheritance {
        let storage = try withNode(inode) { (_, node) throws(FileError) -> AttributeStorage in
            guard node.directory != nil else { throw .notDirectory }
            return node.image.attributes
        }
        guard storage != .none else { return Inheritance(storage: storage) }
        let set = try attributeSet(storage)
        return Inheritance(
            storage: storage, defaultList: set[AccessList.defaultName].flatMap { AccessList($0) })
    }

    public func extendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) -> [UInt8] {
        let name = [UInt8](name)
        if name.starts(with: Volume.virtualPrefix) {
            return try virtualAttribute(name, of: inode)
        }
        let (_, set) = try attributeSet(of: inode)
        guard let value = set[name] else {
            throw Volume.isInNamespace(name) ? .noAttribute : .notSupported
        }
        return value
    }

    public func extendedAttributeNames(of inode: InodeNumber) throws(FileError) -> [UInt8] {
        let (_, set) = try attributeSet(of: inode)
        return set.attributes.flatMap { $0.name + [0] }
    }

    public func setExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber, to value: UnsafeRawBufferPointer,
        _ mode: AttributeWrite, clearsSetGroup: Bool
    ) throws(FileError) {
        try checkWritable()
        let name = [UInt8](name)
        guard !name.isEmpty, name.count <= DiskFormat.nameBytesMax else { throw .rangeTooSmall }
        guard !name.starts(with: Volume.virtualPrefix) else { throw .notPermitted }
        guard value.count <= Volume.valueBytesMax else { throw .tooBig }
        guard Volume.isInNamespace(name) else { throw .notSupported }
        guard !Volume.openPrefixes.contains(name) else { throw .invalid }
        let value = [UInt8](value)
        try change(inode) { (set, image) throws(FileError) in
            switch mode {
            case .createOnly where set[name] != nil: throw .exists
            case .replaceOnly where set[name] == nil: throw .noAttribute
            default: break
            }
            try set.put(name, value)
            if name == AccessList.accessName {
                guard let list = AccessList(value) else { throw .invalid }
                image.mode = image.mode & ~0o777 | list.permissions
                if list.isMinimal { set.remove(name) }
                if clearsSetGroup { image.mode &= ~0o2000 }
            }
            if name == AccessList.defaultName {
                guard image.mode >> 12 == 4 else { throw .accessDenied }
                guard AccessList(value) != nil else { throw .invalid }
            }
        }
    }

    public func removeExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) {
        try checkWritable()
        let name = [UInt8](name)
        guard !name.starts(with: Volume.virtualPrefix) else { throw .notPermitted }
        try change(inode) { (set, _) throws(FileError) in
            guard set[name] != nil else {
                // That there is no list is what was wanted, as on other filesystems.
                if AccessList.isName(name) { return }
                throw Volume.isInNamespace(name) ? .noAttribute : .notSupported
            }
            set.remove(name)
        }
    }

    /// Changes a set, stored outside the lock, if nobody else has changed it meanwhile.
    private func change(
        _ inode: InodeNumber,
        _ body: (inout AttributeSet, inout InodeImage) throws(FileError) -> Void
    ) throws(FileError) {
        while true {
            let (storage, before) = try attributeSet(of: inode)
            let old = try withNode(inode) { (_, node) throws(FileError) in node.image }
            var set = before
            var image = old
            try body(&set, &image)
            let newStorage = try stored(set)
            let isDone = try withNode(inode) { (space, node) throws(FileError) -> Bool in
                guard node.image.attributes == storage, node.image.mode == old.mode else {
                    return false
                }
                node.image.attributes = newStorage
                node.image.mode = image.mode
                node.image.changeTime = Volume.now()
                space.markDirty(node)
                return true
            }
            if isDone { return }
        }
    }

    // MARK: what Ashlar tells of a file

    /// `user.ashlar.key`: the backing-storage key, after folding what is buffered.
    /// `user.ashlar.inode`, `user.ashlar.volume`: where the file is.
    private func virtualAttribute(
        _ name: [UInt8], of inode: InodeNumber
    ) throws(FileError) -> [UInt8] {
        switch String(decoding: name.dropFirst(Volume.virtualPrefix.count), as: UTF8.self) {
        case "inode":
            _ = try withNode(inode) { (_, _) throws(FileError) in }
            return Array(String(inode).utf8)
        case "volume":
            return Array(self.name.utf8)
        case "key":
            let kind = try withNode(inode) { (_, node) throws(FileError) in node.kind }
            guard kind == .regular else { throw .noAttribute }
            return Array(Volume.keyText(try foldedKey(of: inode)).utf8)
        default:
            throw .noAttribute
        }
    }

    /// The key of the whole content; pieces are folded too.
    private func foldedKey(of inode: InodeNumber) throws(FileError) -> ContentKey {
        let (node, content) = try content(of: inode)
        let stored = try fold(node, content)
        guard !stored.pieces.isEmpty else { return stored.key }
        try checkWritable()
        let result = try fold(content.beginFoldOfPieces(), content, mode: .complete)
        noteAllocation(node, content, result.content)
        namespace.withLock { $0.markDirty(node) }
        return result.content.key
    }

    static func keyText(_ key: ContentKey) -> String {
        switch key {
        case .none, .target: "none"
        case .chunk(let name): "chunk:\(name.hexadecimal)"
        case .recipe(let node): "recipe:\(node.name.hexadecimal)"
        case .directory(let node): "tree:\(node.name.hexadecimal)"
        }
    }
}

extension AttributeSet {
    /// Sets an attribute whose name is one; `noSpace` where all of them together become too long.
    mutating func put(_ name: [UInt8], _ value: [UInt8]) throws(FileError) {
        guard AttributeSet.isAcceptable(name) else { throw .invalid }
        do throws(FormatError) {
            try set(name, to: value)
        } catch {
            throw .noSpace
        }
    }
}
