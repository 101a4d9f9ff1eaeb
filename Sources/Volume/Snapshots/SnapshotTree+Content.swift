// Bytes, targets and attributes of a snapshot's inodes.
import DiskFormat
import FileModel
import Folding
import Pipeline
import Trees

extension SnapshotTree {
    private func content(_ image: InodeImage) throws(FileError) -> StoredContent {
        switch image.mode >> 12 {
        case 8: break
        case 4: throw .isDirectory
        default: throw .invalid
        }
        return StoredContent(
            key: image.content, size: image.size, keyAllocatedBytes: image.allocatedBytes)
    }

    func read(
        _ inode: InodeNumber, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(FileError) -> Int {
        let image = try image(of: inode)
        let stored = try content(image)
        guard offset < image.size else { return 0 }
        let count = Int(min(UInt64(buffer.count), image.size - offset))
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        // One reader at a time has the cursor; others begin anew.
        let cursor = nodes.withLock { $0.known[image.inode]?.cursor.take() } ?? RecipeCursor()
        try reading { (access) throws(TreeError) in
            try ContentReader(store: access, cursor: cursor).read(
                of: stored, at: offset, into: part)
        }
        nodes.withLock { $0.known[image.inode]?.cursor = cursor }
        return count
    }

    func seek(
        _ inode: InodeNumber, _ target: SeekTarget, from offset: UInt64
    ) throws(FileError) -> UInt64 {
        let image = try image(of: inode)
        let stored = try content(image)
        guard offset < image.size else { throw .noSuchPosition }
        let found = try reading { (access) throws(TreeError) in
            let reader = ContentReader(store: access, cursor: RecipeCursor())
            switch target {
            case .data: return try reader.nextData(of: stored, from: offset, size: image.size)
            case .hole:
                return try reader.nextHole(of: stored, from: offset, size: image.size)
                    ?? image.size
            }
        }
        guard let found else { throw .noSuchPosition }
        return found
    }

    func target(of inode: InodeNumber) throws(FileError) -> [UInt8] {
        guard case .target(let bytes) = try image(of: inode).content else { throw .invalid }
        return bytes
    }

    func attributeSet(of inode: InodeNumber) throws(FileError) -> AttributeSet {
        let bytes: [UInt8]
        switch try image(of: inode).attributes {
        case .none: return AttributeSet()
        case .inline(let inline): bytes = inline
        case .chunk(let name, let byteCount):
            do throws(StoreError) {
                bytes = try store.bytes(of: name, domain: .data)
            } catch {
                throw posixError(error)
            }
            guard bytes.count == Int(byteCount) else { throw .damaged }
        }
        do throws(FormatError) {
            return try bytes.borrowing { (raw) throws(FormatError) in try AttributeSet(raw) }
        } catch {
            throw .damaged
        }
    }

    func extendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) -> [UInt8] {
        let name = [UInt8](name)
        guard let value = try attributeSet(of: inode)[name] else {
            throw Volume.isInNamespace(name) ? .noAttribute : .notSupported
        }
        return value
    }

    func extendedAttributeNames(of inode: InodeNumber) throws(FileError) -> [UInt8] {
        try attributeSet(of: inode).attributes.flatMap { $0.name + [0] }
    }
}
