import CFuseShim
import FileModel

/// What stat(2) calls the best size of a read or write, in bytes. Stdio reads so much around each place
/// that it seeks to.
private let blockBytes: UInt32 = 128 << 10
/// Of an empty file, which nobody seeks in and cp(1) is about to fill: its writes are the largest
/// requests that there are, an eighth as many.
private let emptyBlockBytes = UInt32(ASHLAR_FUSE_TRANSFER_BYTES_MAX)

extension AshlarFuseAttributes {
    init(_ a: FileAttributes) {
        self.init(
            inode: a.inode, generation: a.generation, size: a.size,
            blocks: a.allocatedBytes / 512 + (a.allocatedBytes % 512 == 0 ? 0 : 1),
            access_seconds: a.accessTime.seconds,
            modification_seconds: a.modificationTime.seconds,
            change_seconds: a.changeTime.seconds, birth_seconds: a.birthTime.seconds,
            access_nanoseconds: a.accessTime.nanoseconds,
            modification_nanoseconds: a.modificationTime.nanoseconds,
            change_nanoseconds: a.changeTime.nanoseconds,
            birth_nanoseconds: a.birthTime.nanoseconds, mode: a.mode, links: a.linkCount,
            user: a.owner, group: a.group, device_major: a.deviceMajor,
            device_minor: a.deviceMinor,
            block_bytes: a.size == 0 && a.mode & 0o170000 == 0o100000 ? emptyBlockBytes : blockBytes
        )
    }
}

extension AshlarFuseUsage {
    /// In blocks of the volume's size, rounded down.
    init(_ usage: FilesystemUsage) {
        let block = UInt64(max(usage.blockBytes, 512))
        self.init(
            blocks: usage.totalBytes / block, blocks_free: usage.freeBytes / block,
            blocks_available: usage.availableBytes / block, files: usage.totalFiles,
            files_free: usage.freeFiles, block_bytes: UInt32(block),
            name_bytes_max: usage.nameBytesMax)
    }
}

extension Caller {
    init(_ caller: AshlarFuseCaller) {
        self.init(
            user: caller.user, group: caller.group, process: caller.process, umask: caller.umask)
    }
}

extension AttributeChange {
    init(_ change: AshlarFuseAttributeChange) {
        self.init()
        func has(_ flag: some BinaryInteger) -> Bool { change.valid & UInt32(flag) != 0 }
        if has(ASHLAR_FUSE_SET_MODE) { permissions = change.mode & 0o7777 }
        if has(ASHLAR_FUSE_SET_USER) { owner = change.user }
        if has(ASHLAR_FUSE_SET_GROUP) { group = change.group }
        if has(ASHLAR_FUSE_SET_SIZE) { size = change.size }
        if has(ASHLAR_FUSE_SET_ACCESS_NOW) {
            accessTime = .now
        } else if has(ASHLAR_FUSE_SET_ACCESS_TIME) {
            accessTime = .set(
                Timestamp(
                    seconds: change.access_seconds, nanoseconds: change.access_nanoseconds))
        }
        if has(ASHLAR_FUSE_SET_MODIFICATION_NOW) {
            modificationTime = .now
        } else if has(ASHLAR_FUSE_SET_MODIFICATION_TIME) {
            modificationTime = .set(
                Timestamp(
                    seconds: change.modification_seconds,
                    nanoseconds: change.modification_nanoseconds))
        }
        if has(ASHLAR_FUSE_SET_CHANGE_TIME) {
            changeTime = Timestamp(
                seconds: change.change_seconds, nanoseconds: change.change_nanoseconds)
        }
        dropsPrivilegeBits = has(ASHLAR_FUSE_SET_DROP_PRIVILEGES)
    }

    /// Whether nothing is asked for.
    var isEmpty: Bool {
        permissions == nil && owner == nil && group == nil && size == nil && accessTime == nil
            && modificationTime == nil && changeTime == nil && !dropsPrivilegeBits
    }
}
