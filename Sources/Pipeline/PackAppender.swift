import Backends
import DiskFormat
import Packs
import Platform

/// Gives the sequence numbers of a writer's packs, whatever their role.
final class PackSequence: Sendable {
    let writer: UInt64
    private let next: ConditionMutex<UInt64>

    init(writer: UInt64, next: UInt64) {
        self.writer = writer
        self.next = ConditionMutex(next)
    }

    func take() -> PackID {
        PackID(
            writer: writer,
            sequence: next.withLock { next in
                defer { next += 1 }
                return next
            })
    }

    var upcoming: UInt64 { next.withLock { $0 } }
}

/// Appends records to the packs of one role, one pack behind the other, and keeps account of what a
/// commit has to vouch for.
///
/// A full pack is *retired*: no longer appended to, sealed when the next commit makes all durable.
/// One in which a write failed for want of space is cut back to its good end and made durable there
/// (a failed write, unlike a failed synchronisation, has lost nothing that was written before).
/// Not safe for concurrent use: its owner orders the calls with a lock of its own.
struct PackAppender: ~Copyable {
    /// What was appended to one pack since the last commit.
    struct Span {
        var pack: PackID
        var from: UInt64
        var to: UInt64
        var recordCount: UInt64 = 0
        /// The records' headers, one behind the other: what the span's digest is of.
        var headers: [UInt8] = []

        var encoded: PackSpan {
            PackSpan(
                pack: pack, range: from..<to, recordCount: recordCount,
                digest: headers.withUnsafeBytes { BodyChecksum(of: $0) })
        }
    }

    private let backend: any Backend
    private let parameters: StoreParameters
    private let role: PackHeader.Role
    private let sequence: PackSequence
    private(set) var writer: PackWriter?
    private(set) var retired: [PackWriter] = []
    private(set) var spans: [Span] = []
    /// Packs that were cut back after a failed write, and where they end: all of it is durable.
    private(set) var cutBack: [PackID: UInt64] = [:]

    init(
        backend: any Backend, parameters: StoreParameters, role: PackHeader.Role,
        sequence: PackSequence
    ) {
        self.backend = backend
        self.parameters = parameters
        self.role = role
        self.sequence = sequence
    }

    /// The packs that may still be written: their tables are missing.
    var openPacks: [PackID] { (retired + [writer].compactMap { $0 }).map(\.id) }

    var upcomingSequence: UInt64 { sequence.upcoming }

    /// Appends a record that the next commit vouches for; returns its place.
    ///
    /// Throws `noSpace` of the backend when nothing was appended and the appender may be used again;
    /// every other error ends the use of it.
    mutating func append(
        _ record: PendingRecord
    ) throws(PackError) -> (pack: PackID, offset: UInt64) {
        let (writer, offset) = try appendAlone(record)
        let header = RecordHeader(
            kind: record.kind, flags: record.flags, codec: record.codec,
            storedBytes: UInt32(record.storedBytes), rawBytes: record.rawBytes,
            frameCount: record.frameCount, itemCount: record.itemCount,
            bodyChecksum: record.checksum)
        let key = RecordHeader.Key(secret: parameters.secret, pack: writer.id)
        // A commit's own record stands between two spans of one pack.
        if spans.last?.pack != writer.id || spans.last?.to != offset {
            spans.append(Span(pack: writer.id, from: offset, to: offset))
        }
        let last = spans.count - 1
        spans[last].to = offset + header.recordBytes
        spans[last].recordCount += 1
        spans[last].headers.append(contentsOf: header.encoded(key: key, offset: offset))
        return (writer.id, offset)
    }

    /// Appends a record that no span covers: a commit. As `append`.
    mutating func appendAlone(
        _ record: PendingRecord
    ) throws(PackError) -> (writer: PackWriter, offset: UInt64) {
        while true {
            let writer = try openWriter()
            do throws(PackError) {
                return (writer, try writer.append(record))
            } catch {
                switch error {
                case .full:
                    retired.append(writer)
                    self.writer = nil
                case .backend(.noSpace, _):
                    try cutBack(writer)
                    throw error
                default: throw error
                }
            }
        }
    }

    private mutating func openWriter() throws(PackError) -> PackWriter {
        if let writer {
            if !writer.isFull { return writer }
            retired.append(writer)
            self.writer = nil
        }
        let fresh = try PackWriter.create(
            in: backend, parameters: parameters, id: sequence.take(), role: role,
            now: wallClock())
        writer = fresh
        return fresh
    }

    /// Cuts what a failed write left, and makes the rest durable by a handle of its own.
    private mutating func cutBack(_ broken: PackWriter) throws(PackError) {
        writer = nil
        let end = broken.position
        do throws(BackendError) {
            let file = try backend.openFile(broken.id.fileName, writable: true)
            try file.truncate(to: end)
            try file.synchronize()
            try backend.synchronizeNames()
        } catch {
            // As final as a failed synchronisation, also where it was space that lacked.
            throw .broken(pack: broken.id, durable: broken.durablePosition)
        }
        cutBack[broken.id] = end
    }

    /// Whether everything before `end` of a pack is durable though its writer is broken.
    func isCutBack(_ pack: PackID, at end: UInt64) -> Bool {
        cutBack[pack].map { $0 >= end } ?? false
    }

    /// The spans were vouched for; counting begins anew.
    mutating func dropSpans() {
        spans = []
    }

    /// The full packs, to be sealed by the caller, outside the lock.
    mutating func takeRetired() -> [PackWriter] {
        defer { retired = [] }
        return retired
    }

    /// Gives packs back that could not be sealed.
    mutating func giveBack(_ writers: [PackWriter]) {
        retired = writers + retired
    }

    /// Retires the open pack too: at the end of the store's use, and where it is to be vacated.
    mutating func retireOpen() {
        if let writer { retired.append(writer) }
        writer = nil
    }
}
