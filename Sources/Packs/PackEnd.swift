/// How a pack ends, as far as records tell.
public struct PackEnd: Equatable, Sendable {
    /// What lies behind the last valid record.
    public enum Tail: Equatable, Sendable {
        /// Nothing lies behind the last record.
        case none
        /// A valid trailer: the pack was sealed, and all its records were durable then.
        case trailer
        /// Bytes behind the last valid record, none of them a record: what an unclean end leaves.
        case torn
        /// The medium does not give the bytes behind the last valid record; there may be records.
        case unreadable
    }

    /// Past the last valid record, or where the trailer begins; bytes from the pack's beginning.
    public var offset: UInt64
    /// The file's bytes.
    public var fileBytes: UInt64
    /// What lies behind `offset`.
    public var tail: Tail

    /// From its parts.
    public init(offset: UInt64, fileBytes: UInt64, tail: Tail) {
        self.offset = offset
        self.fileBytes = fileBytes
        self.tail = tail
    }
}
