/// Reads records of a pack, each verified before it is handed out.
///
/// A pack may grow while it is read: the file's size is asked for anew where a record lies behind the
/// size last seen. Threads: any.
import Backends
import DiskFormat
import Synchronization

/// An open pack. See the file's head.
public final class PackReader: Sendable {
    /// Which pack: by its file's name, and by its header where that is intact.
    public let id: PackID
    /// The pack's header; of a salvaged pack, one made of what the caller knew.
    public let header: PackHeader
    /// Why the header could not be read, in a salvaged pack.
    public let headerDamage: FormatError?
    let file: any BackendFile
    let key: RecordHeader.Key
    private let sizeSeen = Atomic<UInt64>(0)

    /// Opens a pack and verifies its header.
    ///
    /// - Parameter store: refuses packs of other stores; nil takes the header's word.
    public init(
        _ id: PackID, in backend: any Backend, expecting store: StoreIdentity?
    ) throws(PackError) {
        let file = try PackReader.open(id, in: backend)
        let header: PackHeader
        switch try PackReader.readHeader(file, id) {
        case .success(let read): header = read
        case .failure(let damage): throw .format(damage, pack: id, offset: 0)
        }
        guard header.id == id else { throw .otherPack(pack: id, found: header.id) }
        let found = StoreIdentity(header.parameters)
        if let store, found != store { throw .otherStore(pack: id, found: found.storeID) }
        self.id = id
        self.file = file
        self.header = header
        headerDamage = nil
        key = RecordHeader.Key(secret: header.parameters.secret, pack: id)
    }

    /// Opens a pack whose header may be damaged, with the parameters that another pack of the store
    /// told: all its records can still be verified.
    public init(
        salvaging id: PackID, in backend: any Backend, parameters: StoreParameters
    ) throws(PackError) {
        file = try PackReader.open(id, in: backend)
        let read: Result<PackHeader, FormatError>
        do throws(PackError) {
            read = try PackReader.readHeader(file, id)
        } catch {
            guard error.isUnreadableMedium else { throw error }
            read = .failure(.truncated("pack header: unreadable medium"))
        }
        switch read {
        case .success(let header):
            guard header.id == id else { throw .otherPack(pack: id, found: header.id) }
            let found = StoreIdentity(header.parameters)
            guard found == StoreIdentity(parameters) else {
                throw .otherStore(pack: id, found: found.storeID)
            }
            self.header = header
            headerDamage = nil
        case .failure(let damage):
            header = PackHeader(
                parameters: parameters, id: id, role: .main, createdSeconds: 0,
                createdNanoseconds: 0)
            headerDamage = damage
        }
        self.id = id
        key = RecordHeader.Key(secret: parameters.secret, pack: id)
    }

    private static func open(
        _ id: PackID, in backend: any Backend
    ) throws(PackError) -> any BackendFile {
        do throws(BackendError) {
            return try backend.openFile(id.fileName, writable: false)
        } catch {
            throw .backend(error, pack: id)
        }
    }

    private static func readHeader(
        _ file: any BackendFile, _ id: PackID
    ) throws(PackError) -> Result<PackHeader, FormatError> {
        var bytes = [UInt8](repeating: 0, count: PackHeader.byteCount)
        do throws(BackendError) {
            let count = try bytes.mutating { (buffer) throws(BackendError) in
                try file.read(at: 0, into: buffer)
            }
            bytes.removeSubrange(count...)
        } catch {
            throw .backend(error, pack: id)
        }
        do throws(FormatError) {
            return .success(
                try bytes.borrowing { (bytes) throws(FormatError) in try PackHeader(bytes) })
        } catch {
            return .failure(error)
        }
    }

    // MARK: records

    /// The header of the record at `offset`, verified; the whole record lies within the file.
    public func header(at offset: UInt64) throws(PackError) -> RecordHeader {
        guard offset >= UInt64(PackHeader.byteCount),
            offset % UInt64(DiskFormat.recordAlignmentBytes) == 0
        else { throw .format(.badValue("record offset"), pack: id, offset: offset) }
        let bytes = try read(at: offset, count: UInt64(RecordHeader.byteCount), of: offset)
        let header: RecordHeader
        do throws(FormatError) {
            header = try bytes.borrowing { (bytes) throws(FormatError) in
                try RecordHeader(bytes, key: key, offset: offset)
            }
        } catch {
            throw .format(error, pack: id, offset: offset)
        }
        try checkExtent(offset, header.recordBytes, of: offset)
        return header
    }

    /// The bytes of the header at `offset`, which `header(at:)` has verified: of a record that may be
    /// passed over they hold more than `RecordHeader` keeps.
    public func headerBytes(at offset: UInt64) throws(PackError) -> [UInt8] {
        try read(at: offset, count: UInt64(RecordHeader.byteCount), of: offset)
    }

    /// The record at `offset`: its header and body. The body is verified by its checksum, that of a
    /// super-chunk as far as its prefix goes: its frames have checksums of their own. Refuses kinds
    /// that this program does not know, since it cannot verify them.
    public func readRecord(
        at offset: UInt64
    ) throws(PackError) -> (header: RecordHeader, body: [UInt8]) {
        let header = try header(at: offset)
        guard let kind = header.kind, Int(header.storedBytes) <= DiskFormat.bodyBytesMax else {
            throw .format(.badValue("record kind"), pack: id, offset: offset)
        }
        let body = try read(
            at: offset + UInt64(RecordHeader.byteCount), count: UInt64(header.storedBytes),
            of: offset)
        do throws(FormatError) {
            try body.borrowing { (bytes) throws(FormatError) in
                if kind == .superChunk {
                    _ = try SuperChunkPrefix(bytes, header: header)
                } else if BodyChecksum(of: bytes) != header.bodyChecksum {
                    throw .checksum("record body")
                }
            }
        } catch {
            throw .format(error, pack: id, offset: offset)
        }
        return (header, body)
    }

    /// The header and the verified prefix of the super-chunk at `offset`.
    public func readPrefix(
        at offset: UInt64
    ) throws(PackError) -> (header: RecordHeader, prefix: SuperChunkPrefix) {
        let header = try header(at: offset)
        guard header.kind == .superChunk else {
            throw .format(.badValue("not a super-chunk"), pack: id, offset: offset)
        }
        let count = SuperChunkPrefix.byteCount(
            frames: Int(header.frameCount), chunks: Int(header.itemCount))
        guard count <= Int(header.storedBytes),
            Int(header.storedBytes) <= DiskFormat.bodyBytesMax
        else {
            throw .format(.badValue("super-chunk prefix"), pack: id, offset: offset)
        }
        let bytes = try read(
            at: offset + UInt64(RecordHeader.byteCount), count: UInt64(count), of: offset)
        do throws(FormatError) {
            let prefix = try bytes.borrowing { (bytes) throws(FormatError) in
                try SuperChunkPrefix(bytes, header: header)
            }
            return (header, prefix)
        } catch {
            throw .format(error, pack: id, offset: offset)
        }
    }

    /// Reads a frame of the super-chunk at `offset` and verifies it.
    ///
    /// - Parameters:
    ///   - prefix: what `readPrefix` gave for this offset.
    ///   - buffer: room for at least the frame's stored bytes.
    /// - Returns: the frame's stored bytes.
    @discardableResult
    public func readFrame(
        at offset: UInt64, prefix: SuperChunkPrefix, frame index: Int,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(PackError) -> Int {
        let count = try readUnverifiedFrame(
            at: offset, prefix: prefix, frame: index, into: buffer)
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        guard BodyChecksum(of: bytes) == prefix.frames[index].checksum else {
            throw .format(.checksum("frame"), pack: id, offset: offset)
        }
        return count
    }

    /// As `readFrame`, for a caller that verifies the frame itself: `SuperChunkOpener` does.
    @discardableResult
    public func readUnverifiedFrame(
        at offset: UInt64, prefix: SuperChunkPrefix, frame index: Int,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(PackError) -> Int {
        guard prefix.frames.indices.contains(index) else {
            throw .format(.badValue("frame number"), pack: id, offset: offset)
        }
        let count = Int(prefix.frames[index].storedBytes)
        precondition(buffer.count >= count, "the buffer holds the frame")
        let before = prefix.frames[..<index].reduce(UInt64(prefix.byteCount)) {
            $0 + UInt64($1.storedBytes)
        }
        try checkExtent(
            offset, UInt64(RecordHeader.byteCount) + before + UInt64(count), of: offset)
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        try fill(target, at: offset + UInt64(RecordHeader.byteCount) + before, of: offset)
        return count
    }

    // MARK: bytes

    /// The file's bytes now.
    public func size() throws(PackError) -> UInt64 {
        do throws(BackendError) {
            let size = try file.size()
            sizeSeen.store(size, ordering: .relaxed)
            return size
        } catch {
            throw .backend(error, pack: id)
        }
    }

    /// Throws where `count` bytes from `start` do not lie within the file.
    private func checkExtent(
        _ start: UInt64, _ count: UInt64, of record: UInt64
    ) throws(PackError) {
        let (end, isTooFar) = start.addingReportingOverflow(count)
        if !isTooFar {
            if end <= sizeSeen.load(ordering: .relaxed) { return }
            if end <= (try size()) { return }
        }
        throw .format(.truncated("record"), pack: id, offset: record)
    }

    func read(
        at start: UInt64, count: UInt64, of record: UInt64
    ) throws(PackError) -> [UInt8] {
        try checkExtent(start, count, of: record)
        var bytes = [UInt8](repeating: 0, count: Int(count))
        try bytes.mutating { (buffer) throws(PackError) in
            try fill(buffer, at: start, of: record)
        }
        return bytes
    }

    private func fill(
        _ buffer: UnsafeMutableRawBufferPointer, at start: UInt64, of record: UInt64
    ) throws(PackError) {
        let count: Int
        do throws(BackendError) {
            count = try file.read(at: start, into: buffer)
        } catch {
            throw .backend(error, pack: id)
        }
        guard count == buffer.count else {
            throw .format(.truncated("record"), pack: id, offset: record)
        }
    }
}
