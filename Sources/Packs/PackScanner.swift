/// Walks the records of a pack from header to header, and finds its way again after damage.
///
/// Invariants:
/// 1. A range is reported as damaged only when something valid lies behind it: a record, or the
///    trailer, which proves that what came before it was durable. Otherwise it is the torn tail.
/// 2. Records, damaged ranges and the end adjoin: together they cover the file from the start.
/// 3. Memory is one window, whatever the pack's size. A search begins with a small one and doubles
///    it, so that damage at every other record costs little more than one at the end; candidates
///    are judged within the window, so that a body full of magics costs no reads.
///
/// Threads: a value of one thread.
import DiskFormat

/// A walk through the records of a pack. See the file's head.
public struct PackScanner {
    public enum Step: Equatable, Sendable {
        /// A record with a valid header that lies wholly within the file; its body is not verified.
        case record(offset: UInt64, header: RecordHeader)
        /// Bytes that are no records, with something valid behind them.
        case damaged(Range<UInt64>)
        /// Nothing valid follows; all further steps are equal.
        case end(PackEnd)
    }

    /// Bytes read at once while searching for a record: at first, and at most.
    static let firstWindowBytes: UInt64 = 4 << 10
    static let windowBytesMax: UInt64 = 256 << 10
    /// Bytes passed over at once where the medium cannot be read.
    static let unreadableStepBytes: UInt64 = 4096

    private let reader: PackReader
    private let fileBytes: UInt64
    /// Where records may lie: up to the trailer, or to the file's end.
    private let limit: UInt64
    /// Whether a valid trailer proves that all records of the pack were durable.
    public let isSealed: Bool
    /// The first record that was met which is intact, and of which this program knows too little to
    /// pass over it: a newer program wrote it, and nothing behind it is a torn tail. The walk goes
    /// around it as around damage.
    public private(set) var newerRecord: (offset: UInt64, kind: UInt8)?
    /// Where the next record should begin.
    public private(set) var position: UInt64
    /// Set when the walk is over.
    private var end: PackEnd?
    private var hasMetUnreadable = false

    /// - Parameter start: where a record begins, or damage; a multiple of 8, at least 4096.
    public init(
        _ reader: PackReader, from start: UInt64 = UInt64(PackHeader.byteCount)
    ) throws(PackError) {
        guard start >= UInt64(PackHeader.byteCount),
            start % UInt64(DiskFormat.recordAlignmentBytes) == 0
        else { throw .format(.badValue("scan offset"), pack: reader.id, offset: start) }
        self.reader = reader
        position = start
        fileBytes = try reader.size()
        isSealed = try reader.tableOffset(fileBytes: fileBytes) != nil
        limit = isSealed ? fileBytes - UInt64(PackTable.trailerBytes) : fileBytes
    }

    /// The next step of the walk.
    public mutating func next() throws(PackError) -> Step {
        if let end { return .end(end) }
        if position >= limit { return finish(at: min(position, limit)) }
        if let header = try validHeader(at: position) {
            let offset = position
            position += header.recordBytes
            return .record(offset: offset, header: header)
        }
        return try findAgain()
    }

    private mutating func finish(at offset: UInt64) -> Step {
        let tail: PackEnd.Tail
        if isSealed {
            tail = .trailer
        } else if offset == fileBytes {
            tail = .none
        } else {
            tail = hasMetUnreadable ? .unreadable : .torn
        }
        let found = PackEnd(offset: offset, fileBytes: fileBytes, tail: tail)
        end = found
        return .end(found)
    }

    /// The header at `offset` where there is a valid one whose record ends before the limit.
    private mutating func validHeader(at offset: UInt64) throws(PackError) -> RecordHeader? {
        do throws(PackError) {
            let header = try reader.header(at: offset)
            return header.recordBytes <= limit - offset ? header : nil
        } catch {
            guard error.isDamage else { throw error }
            if case .format(.newerRecord(let kind), _, _) = error, newerRecord == nil {
                newerRecord = (offset, kind)
            }
            return nil
        }
    }

    /// Searches behind a place that is no record.
    private mutating func findAgain() throws(PackError) -> Step {
        let start = position
        hasMetUnreadable = false
        let step = UInt64(DiskFormat.recordAlignmentBytes)
        // From `start` itself: to learn whether it can be read at all.
        var place = start
        var window = PackScanner.firstWindowBytes
        while place < limit {
            let count = min(window, limit - place)
            if let found = try search(place, count) {
                position = found
                return .damaged(start..<found)
            }
            if place + count == limit { break }
            // A header may span two windows.
            place += count - (UInt64(RecordHeader.byteCount) - step)
            window = min(2 * window, PackScanner.windowBytesMax)
        }
        if isSealed {
            position = limit
            return .damaged(start..<limit)
        }
        return finish(at: start)
    }

    /// The first valid record that begins in a window; in small steps where it cannot be read.
    private mutating func search(
        _ place: UInt64, _ count: UInt64
    ) throws(PackError) -> UInt64? {
        do throws(PackError) {
            return try searchReadable(place, count)
        } catch {
            guard error.isUnreadableMedium else { throw error }
        }
        var at = place
        while at < place + count {
            let next = min(place + count, at + PackScanner.unreadableStepBytes)
            // With what a header that begins in this step may need of the next one.
            let reach = min(limit, next + UInt64(RecordHeader.byteCount))
            for end in [reach, next] {
                do throws(PackError) {
                    if let found = try searchReadable(at, end - at) { return found }
                    break
                } catch {
                    guard error.isUnreadableMedium else { throw error }
                    hasMetUnreadable = true
                }
            }
            at = next
        }
        return nil
    }

    private func searchReadable(
        _ place: UInt64, _ count: UInt64
    ) throws(PackError) -> UInt64? {
        let window = try reader.read(at: place, count: count, of: place)
        return window.borrowing { bytes in
            let last = bytes.count - RecordHeader.byteCount
            guard last >= 0, let base = bytes.baseAddress else { return nil }
            for index in stride(from: 0, through: last, by: DiskFormat.recordAlignmentBytes)
            where RecordHeader.looksLikeHeader(base + index) {
                let offset = place + UInt64(index)
                let candidate = UnsafeRawBufferPointer(rebasing: bytes[index...])
                guard
                    let header = try? RecordHeader(candidate, key: reader.key, offset: offset),
                    header.recordBytes <= limit - offset
                else { continue }
                return offset
            }
            return nil
        }
    }
}
