import FileModel
import Foundation

/// A filesystem of one read-only directory with one file: enough to be mounted.
final class TinyFilesystem: FilesystemOperations, @unchecked Sendable {
    static let text = Array("squared stones\n".utf8)

    let isReadOnly = false

    private func attributes(_ inode: InodeNumber) throws(FileError) -> FileAttributes {
        switch inode {
        case 1:
            FileAttributes(
                inode: 1, generation: 1, kind: .directory, permissions: 0o755, linkCount: 2)
        case 2:
            FileAttributes(
                inode: 2, generation: 1, kind: .regular, permissions: 0o644,
                size: UInt64(Self.text.count))
        default: throw .stale
        }
    }

    func lookup(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes? {
        name.elementsEqual("file".utf8) ? try attributes(2) : nil
    }

    func forget(_ inode: InodeNumber, count: UInt64) {}
    func lookupSelf(_ inode: InodeNumber) throws(FileError) -> FileAttributes {
        try attributes(inode)
    }
    func lookupParent(of inode: InodeNumber) throws(FileError) -> FileAttributes {
        try attributes(1)
    }

    func makeNode(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, deviceMajor: UInt32,
        deviceMinor: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes { throw .readOnly }

    func makeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes { throw .readOnly }

    func makeSymbolicLink(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, target: UnsafeRawBufferPointer,
        caller: Caller
    ) throws(FileError) -> FileAttributes { throw .readOnly }

    func link(
        _ inode: InodeNumber, to name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes { throw .readOnly }

    func unlink(_ name: UnsafeRawBufferPointer, in parent: InodeNumber) throws(FileError) {
        throw .readOnly
    }

    func removeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) { throw .readOnly }

    func rename(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber,
        to newName: UnsafeRawBufferPointer, in newParent: InodeNumber, flags: RenameFlags,
        caller: Caller
    ) throws(FileError) { throw .readOnly }

    func readSymbolicLink(_ inode: InodeNumber) throws(FileError) -> [UInt8] { throw .invalid }

    func readDirectory(
        _ inode: InodeNumber, after cookie: UInt64, withAttributes: Bool,
        _ emit: (
            _ name: UnsafeRawBufferPointer, _ inode: InodeNumber, _ kind: FileKind,
            _ nextCookie: UInt64, _ attributes: FileAttributes?
        ) -> Bool
    ) throws(FileError) {
        let entries: [(String, InodeNumber)] = [(".", 1), ("..", 1), ("file", 2)]
        for (index, (name, inode)) in entries.enumerated() where cookie <= UInt64(index) {
            let attributes = try attributes(inode)
            let goesOn = Array(name.utf8).withUnsafeBytes {
                emit(
                    $0, inode, attributes.kind, UInt64(index) + 1,
                    withAttributes ? attributes : nil)
            }
            if !goesOn { return }
        }
    }

    func attributes(of inode: InodeNumber) throws(FileError) -> FileAttributes {
        try attributes(inode)
    }

    func setAttributes(
        of inode: InodeNumber, _ change: AttributeChange, caller: Caller
    ) throws(FileError) -> FileAttributes { throw .readOnly }

    func extendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) -> [UInt8] { throw .noAttribute }

    func extendedAttributeNames(of inode: InodeNumber) throws(FileError) -> [UInt8] { [] }

    func setExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber, to value: UnsafeRawBufferPointer,
        _ mode: AttributeWrite, clearsSetGroup: Bool
    ) throws(FileError) { throw .readOnly }

    func removeExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) { throw .readOnly }

    func read(
        _ inode: InodeNumber, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(FileError) -> Int {
        guard inode == 2 else { throw .isDirectory }
        guard offset < UInt64(Self.text.count) else { return 0 }
        let rest = Self.text[Int(offset)...].prefix(buffer.count)
        buffer.copyBytes(from: rest)
        return rest.count
    }

    func write(
        _ inode: InodeNumber, at offset: UInt64, _ bytes: UnsafeRawBufferPointer,
        dropsPrivilegeBits: Bool
    ) throws(FileError) { throw .readOnly }

    func allocate(
        _ inode: InodeNumber, mode: AllocateMode, at offset: UInt64, length: UInt64,
        caller: Caller
    ) throws(FileError) { throw .readOnly }

    func seek(
        _ inode: InodeNumber, _ target: SeekTarget, from offset: UInt64
    ) throws(FileError) -> UInt64 { throw .notSupported }

    func copyRange(
        from source: InodeNumber, at offset: UInt64, to target: InodeNumber,
        at targetOffset: UInt64, length: UInt64, caller: Caller
    ) throws(FileError) -> UInt64 { throw .notSupported }

    func synchronize(_ inode: InodeNumber, dataOnly: Bool) throws(FileError) {}
    func synchronizeAll() throws(FileError) {}

    func usage() throws(FileError) -> FilesystemUsage {
        FilesystemUsage(
            blockBytes: 4096, totalBytes: 1 << 30, freeBytes: 1 << 29, availableBytes: 1 << 29,
            totalFiles: 100, freeFiles: 98, nameBytesMax: 255, identifier: 7)
    }
}
