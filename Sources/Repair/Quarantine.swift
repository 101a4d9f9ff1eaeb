// Copies of packs that are about to be cut or deleted though something in them is lost.
import Backends
import DiskFormat
import Platform

/// Puts files of packs aside: `quarantine/<pack>.pack`, or with a number behind it where there is
/// one of that name already. Nothing but `heal` and people read them. One thread.
struct Quarantine {
    /// The folder in the store.
    static let prefix = "quarantine/"
    private static let blockBytes = 1 << 20
    /// What is passed over at once where the medium cannot be read.
    private static let sectorBytes = 4096

    let session: Session

    /// Copies packs; returns the names of the copies. The copies are durable when it returns. Bytes
    /// that cannot be read are zeros in the copy: no record verifies there.
    ///
    /// - Throws: `backend(noSpace)` where there is no room; nothing is left of that copy.
    func putAside(_ packs: [PackID]) throws(RepairError) -> [String] {
        var names: [String] = []
        do throws(BackendError) {
            let files = try session.target.backend.list(prefix: "packs/")
            let sizes = Dictionary(uniqueKeysWithValues: files.map { ($0.name, $0.size) })
            let present = packs.filter { sizes[$0.fileName] != nil }
            let total = present.reduce(UInt64(0)) { $0 + (sizes[$1.fileName] ?? 0) }
            var done: UInt64 = 0
            for pack in present {
                session.monitor.progress(.copying, done, total)
                let size = sizes[pack.fileName] ?? 0
                names.append(try copy(pack, bytes: size))
                done += size
            }
            try session.target.backend.synchronizeNames()
        } catch {
            throw .backend(error)
        }
        CrashPoint.packPutAside.pass()
        return names
    }

    private func copy(_ pack: PackID, bytes: UInt64) throws(BackendError) -> String {
        let backend = session.target.backend
        let taken = Set(try backend.list(prefix: Quarantine.prefix).map(\.name))
        var name = "\(Quarantine.prefix)\(pack).pack"
        var number = 1
        while taken.contains(name) {
            name = "\(Quarantine.prefix)\(pack).\(number).pack"
            number += 1
        }
        let part = name + ".part"
        // One that an interrupted copy has left.
        if taken.contains(part) { try backend.removeFile(part) }
        let source = try backend.openFile(pack.fileName, writable: false)
        let target = try backend.createFile(part)
        do throws(BackendError) {
            try copy(source, to: target, bytes: bytes)
            try target.synchronize()
            try backend.renameFile(part, to: name)
        } catch {
            // The error is what counts; the part is taken away by the next attempt at the latest.
            try? backend.removeFile(part)
            throw error
        }
        return name
    }

    private func copy(
        _ source: any BackendFile, to target: any BackendFile, bytes: UInt64
    ) throws(BackendError) {
        var buffer = [UInt8](repeating: 0, count: Quarantine.blockBytes)
        var position: UInt64 = 0
        while position < bytes {
            let wanted = Int(min(UInt64(buffer.count), bytes - position))
            var isUnreadable = false
            var count = 0
            do throws(BackendError) {
                count = try Quarantine.read(source, at: position, count: wanted, into: &buffer)
            } catch {
                isUnreadable = true
            }
            if isUnreadable {
                count = wanted
                Quarantine.readSectors(source, at: position, count: wanted, into: &buffer)
            }
            // The file was cut meanwhile: nobody else should have it open.
            if count == 0 { return }
            try Quarantine.write(target, at: position, count: count, from: buffer)
            position += UInt64(count)
        }
    }

    private static func readSectors(
        _ source: any BackendFile, at offset: UInt64, count: Int, into buffer: inout [UInt8]
    ) {
        var sector = [UInt8](repeating: 0, count: sectorBytes)
        for start in stride(from: 0, to: count, by: sectorBytes) {
            let length = min(sectorBytes, count - start)
            let read = try? read(source, at: offset + UInt64(start), count: length, into: &sector)
            for index in 0..<length {
                buffer[start + index] = index < read ?? 0 ? sector[index] : 0
            }
        }
    }

    private static func read(
        _ source: any BackendFile, at offset: UInt64, count: Int, into buffer: inout [UInt8]
    ) throws(BackendError) -> Int {
        try buffer.withUnsafeMutableBufferPointer { (bytes) throws(BackendError) in
            let raw = UnsafeMutableRawBufferPointer(bytes)
            return try source.read(
                at: offset, into: UnsafeMutableRawBufferPointer(rebasing: raw[..<count]))
        }
    }

    private static func write(
        _ target: any BackendFile, at offset: UInt64, count: Int, from buffer: [UInt8]
    ) throws(BackendError) {
        try buffer.withUnsafeBufferPointer { (bytes) throws(BackendError) in
            try target.write(
                [UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[..<count])],
                at: offset)
        }
    }
}
