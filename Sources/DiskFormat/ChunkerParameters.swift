/// How a store cuts files; fixed when the store is made and repeated in every pack header, since
/// equal bytes are found again only when cut in the same way.
public struct ChunkerParameters: Equatable, Sendable {
    public enum Algorithm: UInt8, Sendable {
        /// Gear hash over the last 64 bytes with two masks (Xia et al., "FastCDC", ATC 2016).
        case gear = 1
        /// Cuts at multiples of `meanBytes` of the file's offset.
        case fixed = 2
    }

    public var algorithm: Algorithm
    /// Which table of 256 random words the gear hash uses; 1 is the only one yet.
    public var tableID: UInt8 = 1
    /// XORed into the table's words. 0 by default: stores of equal parameters cut alike.
    public var seed: UInt64 = 0
    public var minimumBytes: UInt32
    public var meanBytes: UInt32
    public var maximumBytes: UInt32
    /// A position is a candidate when `hash & mask == 0`: the strict mask before the mean size is
    /// reached, the loose one behind it.
    public var strictMask: UInt64
    public var looseMask: UInt64
    /// A maximal run of at least so many zero bytes is cut out and never stored.
    public var zeroRunMinimumBytes: UInt32 = 4096

    public static let meanBytesRange: ClosedRange<UInt32> = 4096...(4 << 20)
    public static let maximumBytesLimit: UInt32 = 16 << 20

    /// Mean `meanBytes` (a power of two), minimum a quarter of it, maximum four times.
    public static func gear(meanBytes: UInt32) -> ChunkerParameters {
        let bits = UInt64(meanBytes.trailingZeroBitCount)
        return ChunkerParameters(
            algorithm: .gear, minimumBytes: meanBytes / 4, meanBytes: meanBytes,
            maximumBytes: meanBytes * 4, strictMask: topBits(bits + 1),
            looseMask: topBits(bits - 1))
    }

    public static func fixed(bytes: UInt32) -> ChunkerParameters {
        ChunkerParameters(
            algorithm: .fixed, minimumBytes: bytes, meanBytes: bytes, maximumBytes: bytes,
            strictMask: 0, looseMask: 0)
    }

    /// The gear hash shifts left once a byte, so its top bits depend on all of the last 64 bytes.
    private static func topBits(_ count: UInt64) -> UInt64 {
        ~0 << (64 - count)
    }

    public init(
        algorithm: Algorithm, tableID: UInt8 = 1, seed: UInt64 = 0, minimumBytes: UInt32,
        meanBytes: UInt32, maximumBytes: UInt32, strictMask: UInt64, looseMask: UInt64,
        zeroRunMinimumBytes: UInt32 = 4096
    ) {
        self.algorithm = algorithm
        self.tableID = tableID
        self.seed = seed
        self.minimumBytes = minimumBytes
        self.meanBytes = meanBytes
        self.maximumBytes = maximumBytes
        self.strictMask = strictMask
        self.looseMask = looseMask
        self.zeroRunMinimumBytes = zeroRunMinimumBytes
    }

    /// Whether a store may have these: what a reader checks before it believes them.
    public var areSane: Bool {
        minimumBytes > 0 && minimumBytes <= meanBytes && meanBytes <= maximumBytes
            && ChunkerParameters.meanBytesRange.contains(meanBytes)
            && maximumBytes <= ChunkerParameters.maximumBytesLimit
            && tableID == 1
            && (64...ChunkerParameters.maximumBytesLimit).contains(zeroRunMinimumBytes)
            && (algorithm == .fixed || (minimumBytes >= 64 && strictMask & looseMask == looseMask))
    }

    /// As on the command line: `32K`, `fixed:64K`.
    public var label: String {
        (algorithm == .fixed ? "fixed:" : "") + "\(meanBytes / 1024)K"
    }
}
