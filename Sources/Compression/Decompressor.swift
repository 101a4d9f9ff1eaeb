import CZstd

/// One zstd decompression context (some 160 KB), for frames from outside.
public final class Decompressor {
    private let context: OpaquePointer

    /// Frames may look back so far, or over all of their content where that is longer: as far as
    /// zstd's level 19 does. It bounds what a reader that streams would have to hold.
    public static let windowBytesMax: UInt64 = 8 << 20

    /// Throws only `outOfMemory`.
    public init() throws(CompressionError) {
        guard let context = ashlar_zstd_decompressor_new() else { throw .outOfMemory }
        self.context = context
    }

    deinit {
        ashlar_zstd_decompressor_free(context)
    }

    /// What the context holds, whatever it is given.
    public var memoryBytes: Int { ashlar_zstd_decompressor_bytes(context) }

    /// Restores the one frame that `source` is into all of `destination`, whose length the caller
    /// knows from a checksummed header and has checked against its limits: the frame's own idea of
    /// it is compared, never believed. What `destination` holds after an error is undefined.
    ///
    /// Throws any `CompressionError`; a frame is refused before it is decoded where its header
    /// already says why, where it does not end with `source`, or where its blocks do not.
    public func decompress(
        _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) {
        let header = try FrameHeader(source)
        guard header.dictionaryID == 0 else {
            throw .dictionaryNeeded(id: header.dictionaryID)
        }
        let expected = destination.count
        if let found = header.contentBytes, found != UInt64(expected) {
            throw .wrongContentLength(expected: expected, found: found)
        }
        guard header.windowBytes <= max(UInt64(expected), Decompressor.windowBytesMax) else {
            throw .windowTooLarge(windowBytes: header.windowBytes)
        }
        let frameLength = ashlar_zstd_frame_length(source.baseAddress, source.count)
        guard frameLength == source.count else {
            throw .wrongFrameLength(
                sourceBytes: source.count, frameBytes: frameLength > 0 ? frameLength : nil)
        }
        let length = ashlar_zstd_decompress(
            context, source.baseAddress, source.count, destination.baseAddress, expected)
        if length == ASHLAR_ZSTD_NO_MEMORY { throw .outOfMemory }
        guard length >= 0 else { throw .corrupt }
        guard length == expected else {
            throw .wrongContentLength(expected: expected, found: UInt64(length))
        }
    }
}
