/// What is to be done with a volume's snapshots by themselves: kept with the volume, and no part of
/// what it was at any time.
///
///     volume id (16) · retention counted · schedule counted
///
/// Both are UTF-8: words apart by spaces, in a form that whoever acts on them defines
/// (`RetentionPolicy+Text`, `SnapshotSchedule`). Here they are opaque, so that words of newer programs
/// are kept. Both empty: the volume has no rules any more.
public struct VolumeRules: Equatable, Sendable {
    public static let retentionBytesMax = 8192
    public static let scheduleBytesMax = 8192

    public var volumeID: UniqueID
    /// Which snapshots stay; empty: all.
    public var retention: String
    /// When snapshots are made; empty: never.
    public var schedule: String

    public init(volumeID: UniqueID, retention: String = "", schedule: String = "") {
        self.volumeID = volumeID
        self.retention = retention
        self.schedule = schedule
    }

    public var isEmpty: Bool { retention.isEmpty && schedule.isEmpty }

    /// Whether they are short enough to be written.
    public var isAcceptable: Bool {
        retention.utf8.count <= Self.retentionBytesMax
            && schedule.utf8.count <= Self.scheduleBytesMax
    }

    public func write(to writer: inout ByteWriter) {
        volumeID.write(to: &writer)
        writer.counted(Array(retention.utf8))
        writer.counted(Array(schedule.utf8))
    }

    public init(from reader: inout ByteReader) throws(FormatError) {
        volumeID = try UniqueID(from: &reader, "volume id")
        retention = try Self.text(&reader, Self.retentionBytesMax, "retention")
        schedule = try Self.text(&reader, Self.scheduleBytesMax, "schedule")
    }

    private static func text(
        _ reader: inout ByteReader, _ limit: Int, _ what: StaticString
    ) throws(FormatError) -> String {
        let bytes = try reader.counted(limit: limit, what)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw reader.bad(what) }
        return text
    }
}
