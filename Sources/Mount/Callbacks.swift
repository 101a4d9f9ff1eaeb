/// The callbacks that CFuseShim.h declares, each one call of the handler (or of the queue) behind its
/// context. The borrow costs no retain: the session that owns the handler outlives the loop.
import CFuseShim
import FileModel

@inline(__always)
private func borrow(
    _ context: UnsafeMutableRawPointer, _ body: (RequestHandler) -> Void
) {
    Unmanaged<RequestHandler>.fromOpaque(context)._withUnsafeGuaranteedRef { body($0) }
}

@inline(__always)
private func bytes(_ start: UnsafeRawPointer, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: start, count: count)
}

@c @implementation
func ashlarFuseLookup(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ parent: UInt64,
    _ name: UnsafeRawPointer, _ length: Int
) {
    borrow(context) { $0.lookup(request, bytes(name, length), in: parent) }
}

@c @implementation
func ashlarFuseForget(_ context: UnsafeMutableRawPointer, _ inode: UInt64, _ count: UInt64) {
    borrow(context) { $0.filesystem.forget(inode, count: count) }
}

@c @implementation
func ashlarFuseGetAttributes(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64
) {
    borrow(context) { $0.attributes(request, of: inode) }
}

@c @implementation
func ashlarFuseSetAttributes(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64,
    _ change: UnsafePointer<AshlarFuseAttributeChange>, _ caller: UnsafePointer<AshlarFuseCaller>
) {
    borrow(context) {
        $0.setAttributes(
            request, of: inode, AttributeChange(change.pointee), caller: Caller(caller.pointee))
    }
}

@c @implementation
func ashlarFuseReadLink(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64
) {
    borrow(context) { $0.readLink(request, inode) }
}

@c @implementation
func ashlarFuseMakeNode(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ parent: UInt64,
    _ name: UnsafeRawPointer, _ length: Int, _ mode: UInt32, _ deviceMajor: UInt32,
    _ deviceMinor: UInt32, _ caller: UnsafePointer<AshlarFuseCaller>
) {
    borrow(context) {
        $0.makeNode(
            request, bytes(name, length), in: parent, mode: mode, deviceMajor: deviceMajor,
            deviceMinor: deviceMinor, caller: Caller(caller.pointee))
    }
}

@c @implementation
func ashlarFuseMakeDirectory(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ parent: UInt64,
    _ name: UnsafeRawPointer, _ length: Int, _ mode: UInt32,
    _ caller: UnsafePointer<AshlarFuseCaller>
) {
    borrow(context) {
        $0.makeDirectory(
            request, bytes(name, length), in: parent, mode: mode, caller: Caller(caller.pointee))
    }
}

@c @implementation
func ashlarFuseMakeSymbolicLink(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ parent: UInt64,
    _ name: UnsafeRawPointer, _ length: Int, _ target: UnsafeRawPointer, _ targetLength: Int,
    _ caller: UnsafePointer<AshlarFuseCaller>
) {
    borrow(context) {
        $0.makeSymbolicLink(
            request, bytes(name, length), in: parent, target: bytes(target, targetLength),
            caller: Caller(caller.pointee))
    }
}

@c @implementation
func ashlarFuseLink(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64, _ parent: UInt64,
    _ name: UnsafeRawPointer, _ length: Int
) {
    borrow(context) { $0.link(request, inode, to: bytes(name, length), in: parent) }
}

@c @implementation
func ashlarFuseUnlink(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ parent: UInt64,
    _ name: UnsafeRawPointer, _ length: Int
) {
    borrow(context) { $0.unlink(request, bytes(name, length), in: parent) }
}

@c @implementation
func ashlarFuseRemoveDirectory(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ parent: UInt64,
    _ name: UnsafeRawPointer, _ length: Int
) {
    borrow(context) { $0.removeDirectory(request, bytes(name, length), in: parent) }
}

@c @implementation
func ashlarFuseRename(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ parent: UInt64,
    _ name: UnsafeRawPointer, _ length: Int, _ newParent: UInt64, _ newName: UnsafeRawPointer,
    _ newLength: Int, _ flags: UInt32, _ caller: UnsafePointer<AshlarFuseCaller>
) {
    borrow(context) {
        $0.rename(
            request, bytes(name, length), in: parent, to: bytes(newName, newLength), in: newParent,
            flags: RenameFlags(rawValue: flags), caller: Caller(caller.pointee))
    }
}

@c @implementation
func ashlarFuseRead(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64, _ offset: UInt64,
    _ length: Int
) {
    borrow(context) { $0.read(request, inode, at: offset, length: length) }
}

@c @implementation
func ashlarFuseWrite(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64, _ offset: UInt64,
    _ start: UnsafeRawPointer, _ length: Int, _ dropPrivileges: Bool
) {
    borrow(context) {
        $0.write(
            request, inode, at: offset, bytes(start, length), dropsPrivilegeBits: dropPrivileges)
    }
}

@c @implementation
func ashlarFuseSynchronize(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64, _ dataOnly: Bool
) {
    borrow(context) { $0.synchronize(request, inode, dataOnly: dataOnly) }
}

@c @implementation
func ashlarFuseSynchronizeAll(_ context: UnsafeMutableRawPointer, _ request: OpaquePointer) {
    borrow(context) { $0.synchronizeAll(request) }
}

@c @implementation
func ashlarFuseReadDirectory(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64, _ cookie: UInt64,
    _ capacity: Int, _ withAttributes: Bool
) {
    borrow(context) {
        $0.readDirectory(
            request, inode, after: cookie, capacity: capacity, withAttributes: withAttributes)
    }
}

@c @implementation
func ashlarFuseUsage(_ context: UnsafeMutableRawPointer, _ request: OpaquePointer) {
    borrow(context) { $0.usage(request) }
}

@c @implementation
func ashlarFuseSetExtendedAttribute(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64,
    _ name: UnsafeRawPointer, _ length: Int, _ value: UnsafeRawPointer, _ valueLength: Int,
    _ flags: UInt32, _ clearSetGroup: Bool
) {
    borrow(context) {
        $0.setExtendedAttribute(
            request, bytes(name, length), of: inode, to: bytes(value, valueLength), flags: flags,
            clearsSetGroup: clearSetGroup)
    }
}

@c @implementation
func ashlarFuseGetExtendedAttribute(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64,
    _ name: UnsafeRawPointer, _ length: Int, _ capacity: Int
) {
    borrow(context) {
        $0.extendedAttribute(request, bytes(name, length), of: inode, capacity: capacity)
    }
}

@c @implementation
func ashlarFuseListExtendedAttributes(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64, _ capacity: Int,
    _ caller: UnsafePointer<AshlarFuseCaller>
) {
    borrow(context) {
        $0.extendedAttributeNames(
            request, of: inode, capacity: capacity, caller: Caller(caller.pointee))
    }
}

@c @implementation
func ashlarFuseRemoveExtendedAttribute(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64,
    _ name: UnsafeRawPointer, _ length: Int
) {
    borrow(context) { $0.removeExtendedAttribute(request, bytes(name, length), of: inode) }
}

@c @implementation
func ashlarFuseAllocate(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64, _ mode: Int32,
    _ offset: UInt64, _ length: UInt64, _ caller: UnsafePointer<AshlarFuseCaller>
) {
    borrow(context) {
        $0.allocate(
            request, inode, mode: AllocateMode(rawValue: mode), at: offset, length: length,
            caller: Caller(caller.pointee))
    }
}

@c @implementation
func ashlarFuseSeek(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ inode: UInt64, _ offset: UInt64,
    _ whence: Int32
) {
    borrow(context) { $0.seek(request, inode, from: offset, whence: whence) }
}

@c @implementation
func ashlarFuseCopyRange(
    _ context: UnsafeMutableRawPointer, _ request: OpaquePointer, _ source: UInt64,
    _ offset: UInt64, _ target: UInt64, _ targetOffset: UInt64, _ length: UInt64,
    _ caller: UnsafePointer<AshlarFuseCaller>
) {
    borrow(context) {
        $0.copyRange(
            request, from: source, at: offset, to: target, at: targetOffset, length: length,
            caller: Caller(caller.pointee))
    }
}

@c @implementation
func ashlarFuseThreadMain(_ context: UnsafeMutableRawPointer) {
    Unmanaged<InvalidationQueue>.fromOpaque(context)._withUnsafeGuaranteedRef {
        $0.deliverUntilStopped()
    }
}
