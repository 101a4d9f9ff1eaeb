/// What a record's body went through; the value is in the record's header. 2 is kept for lz4.
public enum Codec: UInt8, Sendable, CaseIterable {
    case none = 0
    /// One frame of RFC 8878.
    case zstd = 1
}

/// How to compress: a codec and how hard it shall try.
public struct CompressionMethod: Hashable, Sendable {
    public let codec: Codec
    /// Of zstd, one of `levels`; 0 for `none`.
    public let level: Int

    /// The levels that may be asked for. zstd's 20 to 22 need windows that readers refuse.
    public static let levels = 1...19

    public static let none = CompressionMethod(codec: .none, level: 0)

    /// nil where `level` is not one of `levels`.
    public static func zstd(level: Int) -> CompressionMethod? {
        levels.contains(level) ? CompressionMethod(codec: .zstd, level: level) : nil
    }

    /// What a new store uses: zstd's first level.
    public static let standard = CompressionMethod(codec: .zstd, level: levels.lowerBound)

    private init(codec: Codec, level: Int) {
        self.codec = codec
        self.level = level
    }
}

extension CompressionMethod: CustomStringConvertible {
    /// As on the command line: `none`, `zstd:1` to `zstd:19`.
    public var label: String {
        switch codec {
        case .none: "none"
        case .zstd: "zstd:\(level)"
        }
    }

    public var description: String { label }

    /// What `label` gave; nil for any other text.
    public init?(label: String) {
        if label == CompressionMethod.none.label {
            self = .none
            return
        }
        let prefix = "zstd:"
        guard label.hasPrefix(prefix), let level = Int(label.dropFirst(prefix.count)),
            let method = CompressionMethod.zstd(level: level), method.label == label
        else { return nil }
        self = method
    }
}
