/// One piece of a file, as the chunker cuts it: pieces follow each other without gaps.
public struct Cut: Equatable, Sendable {
    public enum Kind: UInt8, Sendable {
        /// A chunk, to be named and stored.
        case data
        /// Zero bytes, never stored.
        case zeros
    }

    public var kind: Kind
    /// In bytes, more than 0. Of data at most the chunker's maximum; of zeros unbounded.
    public var length: Int

    public init(kind: Kind, length: Int) {
        self.kind = kind
        self.length = length
    }
}
