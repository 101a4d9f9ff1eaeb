// Changing what is in a directory: what a copied tree is made of.
import CLinux
import Glibc

extension OpenDirectory {
    /// A new file, open for writing; the caller closes it.
    public func createFile(_ name: [UInt8], mode: UInt32 = 0o600) throws(Errno) -> Descriptor {
        Descriptor(
            number: try withName(name) { (name) throws(Errno) in
                try checked {
                    openat(
                        descriptor.number, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(mode)
                    )
                }
            })
    }

    public func makeDirectory(_ name: [UInt8], mode: UInt32 = 0o700) throws(Errno) {
        try withName(name) { (name) throws(Errno) in
            _ = try checked { mkdirat(descriptor.number, name, mode_t(mode)) }
        }
    }

    public func makeLink(_ name: [UInt8], to target: [UInt8]) throws(Errno) {
        try withName(name) { (name) throws(Errno) in
            try withName(target) { (target) throws(Errno) in
                _ = try checked { symlinkat(target, descriptor.number, name) }
            }
        }
    }

    /// A FIFO, socket or device.
    ///
    /// - Parameter mode: with the kind.
    public func makeNode(
        _ name: [UInt8], mode: UInt32, device: (major: UInt32, minor: UInt32)
    ) throws(Errno) {
        try withName(name) { (name) throws(Errno) in
            _ = try checked {
                ashlar_make_node(descriptor.number, name, mode, device.major, device.minor)
            }
        }
    }

    /// Another name, here, of a file in another directory.
    public func makeHardLink(
        _ name: [UInt8], to other: [UInt8], in directory: OpenDirectory
    ) throws(Errno) {
        try withName(name) { (name) throws(Errno) in
            try withName(other) { (other) throws(Errno) in
                _ = try checked {
                    linkat(directory.descriptor.number, other, descriptor.number, name, 0)
                }
            }
        }
    }

    /// Within the directory, over what is there.
    public func rename(_ from: [UInt8], to: [UInt8]) throws(Errno) {
        try withName(from) { (from) throws(Errno) in
            try withName(to) { (to) throws(Errno) in
                _ = try checked {
                    renameat(descriptor.number, from, descriptor.number, to)
                }
            }
        }
    }

    public func remove(_ name: [UInt8], isDirectory: Bool) throws(Errno) {
        try withName(name) { (name) throws(Errno) in
            _ = try checked { unlinkat(descriptor.number, name, isDirectory ? AT_REMOVEDIR : 0) }
        }
    }

    // MARK: attributes

    public func setOwner(_ name: [UInt8], owner: UInt32, group: UInt32) throws(Errno) {
        try withName(name) { (name) throws(Errno) in
            let flags = AT_SYMLINK_NOFOLLOW | (name[0] == 0 ? OpenDirectory.emptyPath : 0)
            _ = try checked { fchownat(descriptor.number, name, owner, group, flags) }
        }
    }

    /// AT_EMPTY_PATH.
    private static let emptyPath: Int32 = 0x1000

    /// Sets the permissions of what is no symbolic link; of the directory itself where the name is
    /// empty.
    public func setMode(_ name: [UInt8], _ mode: UInt32) throws(Errno) {
        try withName(name) { (name) throws(Errno) in
            if name[0] == 0 {
                _ = try checked { fchmod(descriptor.number, mode & 0o7777) }
            } else {
                _ = try checked { ashlar_set_mode(descriptor.number, name, mode) }
            }
        }
    }

    /// Sets the time of modification; of the directory itself where the name is empty.
    public func setModified(_ name: [UInt8], _ time: FileFacts.Time) throws(Errno) {
        let stamp = ashlar_time(seconds: time.seconds, nanoseconds: time.nanoseconds)
        try withName(name) { (name) throws(Errno) in
            if name[0] == 0 {
                _ = try checked { ashlar_set_modified(descriptor.number, ".", stamp) }
            } else {
                _ = try checked { ashlar_set_modified(descriptor.number, name, stamp) }
            }
        }
    }

    public func setAttribute(
        _ name: [UInt8], _ attribute: [UInt8], _ value: [UInt8]
    ) throws(Errno) {
        try withName(name) { (name) throws(Errno) in
            try withName(attribute) { (attribute) throws(Errno) in
                _ = try checked {
                    ashlar_attribute_set(
                        descriptor.number, name, attribute, value, value.count)
                }
            }
        }
    }

    public func removeAttribute(_ name: [UInt8], _ attribute: [UInt8]) throws(Errno) {
        try withName(name) { (name) throws(Errno) in
            try withName(attribute) { (attribute) throws(Errno) in
                _ = try checked {
                    ashlar_attribute_remove(descriptor.number, name, attribute)
                }
            }
        }
    }
}

/// Raises the soft limit of open files to the hard one: a walk holds one for each level.
public func raiseDescriptorLimit() {
    ashlar_raise_descriptor_limit()
}
