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

    init(
        backend: any Backend, parameters: StoreParameters, role: PackHeader.Role,
        sequence: PackSequence
    ) {
        self.backend = backend
        self.parameters = parameters
        self.role = role
        self.sequence = sequence
    }

    /// Where the next record will lie, when it goes to the pack that is open now.
    var position: (pack: PackID, offset: UInt64)? {
        writer.map { ($0.id, $0.position) }
    }

    /// Appends one record; returns its place and header.
    mutating func append(
        _ record: PendingRecord
    ) throws(PackError) -> (pack: PackID, offset: UInt64) {
        let writer = try openWriter()
        let offset = try writer.append(record)
        let header = RecordHeader(
            kind: record.kind, flags: record.flags, codec: record.codec,
            storedBytes: UInt32(record.storedBytes), rawBytes: record.rawBytes,
            frameCount: record.frameCount, itemCount: record.itemCount,
            bodyChecksum: record.checksum)
        let key = RecordHeader.Key(secret: parameters.secret, pack: writer.id)
        if spans.last?.pack != writer.id {
            spans.append(Span(pack: writer.id, from: offset, to: offset))
        }
        let last = spans.count - 1
        spans[last].to = offset + header.recordBytes
        spans[last].recordCount += 1
        spans[last].headers.append(contentsOf: header.encoded(key: key, offset: offset))
        return (writer.id, offset)
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

    /// The spans since the last call; counting begins anew.
    mutating func takeSpans() -> [Span] {
        defer { spans = [] }
        return spans
    }

    /// The full packs, to be sealed by the caller, outside the lock.
    mutating func takeRetired() -> [PackWriter] {
        defer { retired = [] }
        return retired
    }

    /// Retires the open pack too: at the end of the store's use.
    mutating func retireOpen() {
        if let writer { retired.append(writer) }
        writer = nil
    }
}
