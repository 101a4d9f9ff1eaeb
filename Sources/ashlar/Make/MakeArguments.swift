// `ashlar mkfs`: what a new store is to be like.
import ArgumentParser
import Compression
import Console
import DiskFormat
import Platform

/// The command line of mkfs. Everything is checked before anything is made.
struct MakeArguments: ParsableArguments {
    @Argument(help: "Where the store is to be: a directory that is empty or does not exist.")
    var store: String

    @Option(
        help: ArgumentHelp("Name of the first volume.", valueName: "name"))
    var volume = "main"

    @Option(
        help: ArgumentHelp(
            "Mean size of chunks cut by content: a power of two, 4K to 4M (default: 32K).",
            valueName: "size"))
    var chunkSize: String?

    @Option(
        help: ArgumentHelp(
            "How files are cut: gear:SIZE by content, fixed:SIZE at multiples of a size.",
            valueName: "method"))
    var chunker: String?

    @Option(
        help: ArgumentHelp("Raw bytes compressed together, 64K to 32M.", valueName: "size"))
    var superChunkSize = "1M"

    @Option(
        help: ArgumentHelp("When a pack is closed and another begun, 1M to 16G.", valueName: "size")
    )
    var packSize = "64M"

    @Option(
        help: ArgumentHelp("What chunks are named by: sha256 or sha512-256.", valueName: "name"))
    var hash = "sha256"

    @Option(
        help: ArgumentHelp(
            "How new chunks are compressed: zstd:1 to zstd:19, none.", valueName: "method"))
    var compression = "zstd:1"

    @Flag(name: .shortAndLong, help: "Say nothing but errors.")
    var quiet = false

    @Flag(help: "Print what was made as one JSON object.")
    var json = false

    /// The store's parameters, with fresh random ids and secret.
    ///
    /// - Throws: `usage`, naming the option and what it may be.
    func parameters() throws(CommandFailure) -> StoreParameters {
        guard ObjectName.isAcceptable(volume) else {
            throw CommandFailure(
                .usage,
                "--volume: \(DisplayText.escaped(volume.utf8)) is no name of a volume: 1 to "
                    + "\(ObjectName.bytesMax) of A-Z a-z 0-9 . _ + -, not beginning with . or -")
        }
        guard let hash = HashAlgorithm(label: hash) else {
            throw CommandFailure(
                .usage,
                "--hash: \(DisplayText.escaped(self.hash.utf8)) is not known: "
                    + HashAlgorithm.allCases.map(\.label).joined(separator: " or "))
        }
        guard let method = CompressionMethod(label: compression) else {
            throw CommandFailure(
                .usage,
                "--compression: \(DisplayText.escaped(compression.utf8)) is not known: "
                    + "zstd:\(CompressionMethod.levels.lowerBound) to "
                    + "zstd:\(CompressionMethod.levels.upperBound), or none")
        }
        let superChunkBytes = try Self.size(
            superChunkSize, "--super-chunk-size", StoreParameters.superChunkBytesRange)
        let packBytes = try Self.size(packSize, "--pack-size", StoreParameters.packBytesRange)
        let chunker = try chunkerParameters()
        try Self.checkOrder(chunker, superChunkBytes: superChunkBytes, packBytes: packBytes)
        return StoreParameters(
            storeID: UniqueID(random: (randomUInt64(), randomUInt64())),
            secret: StoreSecret(high: randomUInt64(), low: randomUInt64()), hash: hash,
            chunker: chunker, superChunkBytes: superChunkBytes, packBytes: packBytes,
            codec: method.codec.rawValue, level: Int8(method.level))
    }

    private static func checkOrder(
        _ chunker: ChunkerParameters, superChunkBytes: UInt32, packBytes: UInt64
    ) throws(CommandFailure) {
        guard superChunkBytes >= chunker.maximumBytes else {
            throw CommandFailure(
                .usage,
                "--super-chunk-size: the longest chunk, "
                    + "\(ByteSize.exact(UInt64(chunker.maximumBytes))), does not fit into "
                    + ByteSize.exact(UInt64(superChunkBytes)))
        }
        guard packBytes >= UInt64(superChunkBytes) else {
            throw CommandFailure(
                .usage,
                "--pack-size: smaller than a super-chunk of "
                    + ByteSize.exact(UInt64(superChunkBytes)))
        }
    }

    private func chunkerParameters() throws(CommandFailure) -> ChunkerParameters {
        if chunkSize != nil && chunker != nil {
            throw CommandFailure(
                .usage, "--chunk-size and --chunker say the same: give one of them")
        }
        guard let chunker else {
            return try Self.gear(chunkSize ?? "32K", "--chunk-size")
        }
        let parts = chunker.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        switch (parts.first, parts.count) {
        case ("gear", 2): return try Self.gear(parts[1], "--chunker")
        case ("fixed", 2):
            let bytes = try Self.size(parts[1], "--chunker", ChunkerParameters.meanBytesRange)
            guard bytes % 4096 == 0 else {
                throw CommandFailure(.usage, "--chunker: a fixed size is a multiple of 4K")
            }
            return .fixed(bytes: bytes)
        default:
            throw CommandFailure(
                .usage,
                "--chunker: \(DisplayText.escaped(chunker.utf8)) is not known: "
                    + "gear:SIZE or fixed:SIZE")
        }
    }

    private static func gear(
        _ text: String, _ option: String
    ) throws(CommandFailure) -> ChunkerParameters {
        let bytes = try size(text, option, ChunkerParameters.meanBytesRange)
        guard bytes.nonzeroBitCount == 1 else {
            throw CommandFailure(.usage, "\(option): \(text) is no power of two")
        }
        return .gear(meanBytes: bytes)
    }

    private static func size<Size: FixedWidthInteger & UnsignedInteger>(
        _ text: String, _ option: String, _ range: ClosedRange<Size>
    ) throws(CommandFailure) -> Size {
        guard let bytes = ByteSize.parse(text) else {
            throw CommandFailure(
                .usage,
                "\(option): \(DisplayText.escaped(text.utf8)) is not a size: bytes, or a "
                    + "number with K, M or G")
        }
        guard let size = Size(exactly: bytes), range.contains(size) else {
            throw CommandFailure(
                .usage,
                "\(option): \(text) is not between "
                    + "\(ByteSize.exact(UInt64(range.lowerBound))) and "
                    + ByteSize.exact(UInt64(range.upperBound)))
        }
        return size
    }
}
