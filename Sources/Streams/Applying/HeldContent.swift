import Checking
import Chunking
import DiskFormat
import Hashing
import Platform
import Trees

/// The bytes of a file that somebody has.
protocol HeldBytes {
    /// nil where there are fewer.
    func bytes(_ range: Range<UInt64>) throws(ApplyError) -> [UInt8]?
    /// Whether there is nothing but zeros, or nothing.
    func isZero(_ range: Range<UInt64>) throws(ApplyError) -> Bool
}

/// A file that somebody has, and what a difference says of it by the names of chunks. One thread.
///
/// What is compared are bytes: a filesystem has holes where its blocks are, and may have none at all,
/// so that keys of equal files may differ.
struct HeldContent {
    let held: any HeldBytes
    let hasher: ChunkHasher
    let isCancelled: () -> Bool
    /// Where chunks may lie; looked at when they are asked for.
    private var places: [ChunkName: [Range<UInt64>]] = [:]

    init(_ held: any HeldBytes, _ hasher: ChunkHasher, isCancelled: @escaping () -> Bool) {
        self.held = held
        self.hasher = hasher
        self.isCancelled = isCancelled
    }

    /// Whether the file, which has the image's size, has its bytes.
    func isContent(
        of image: InodeImage, in volume: VolumeState
    ) throws(ApplyError) -> Bool {
        var isEqual = true
        try forEachExtent(of: image, in: volume) { extent throws(ApplyError) in
            switch extent.source {
            case .hole, .zeros: isEqual = try held.isZero(extent.range)
            case .data(let name, _, _): isEqual = try chunk(name, at: extent.range) != nil
            }
            return isEqual
        }
        return isEqual
    }

    /// From now on the chunks of an image are looked for where it has them.
    mutating func look(for image: InodeImage, in volume: VolumeState) throws(ApplyError) {
        var places = places
        try forEachExtent(of: image, in: volume) { extent in
            if case .data(let name, _, _) = extent.source,
                places[name]?.contains(extent.range) != true
            {
                places[name, default: []].append(extent.range)
            }
            return true
        }
        self.places = places
    }

    /// The bytes of a chunk; nil where the file does not have them, or not any more.
    func bytes(of name: ChunkName) throws(ApplyError) -> [UInt8]? {
        for range in places[name] ?? [] {
            if let bytes = try chunk(name, at: range) { return bytes }
        }
        return nil
    }

    private func chunk(
        _ name: ChunkName, at range: Range<UInt64>
    ) throws(ApplyError) -> [UInt8]? {
        // What a hostile file says may be as long as it likes.
        guard range.count <= Int(ChunkerParameters.maximumBytesLimit),
            let bytes = try held.bytes(range)
        else { return nil }
        return bytes.withUnsafeBytes { hasher.name(of: $0, domain: .data) } == name ? bytes : nil
    }

    private func forEachExtent(
        of image: InodeImage, in volume: VolumeState,
        _ body: (VolumeState.LiveExtent) throws(ApplyError) -> Bool
    ) throws(ApplyError) {
        var failure: ApplyError?
        try ApplyError.reading { () throws(TreeError) in
            try volume.forEachExtent(of: image) { extent in
                do throws(ApplyError) {
                    if isCancelled() { throw .cancelled }
                    return try body(extent)
                } catch {
                    failure = error
                    return false
                }
            }
        }
        if let failure { throw failure }
    }
}

/// An open file.
struct OpenFileContent: HeldBytes {
    private static let stepBytes: UInt64 = 128 << 10

    let file: Descriptor
    /// For those who are told.
    let path: [UInt8]

    func bytes(_ range: Range<UInt64>) throws(ApplyError) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: range.count)
        var done = 0
        while done < bytes.count {
            let count = try run { () throws(Errno) in
                try bytes.filling { (buffer) throws(Errno) in
                    try LinuxSystemCalls().read(
                        file, into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]),
                        at: range.lowerBound + UInt64(done))
                }
            }
            if count == 0 { return nil }
            done += count
        }
        return bytes
    }

    func isZero(_ range: Range<UInt64>) throws(ApplyError) -> Bool {
        var position = range.lowerBound
        while let data = try nextData(from: position), data < range.upperBound {
            let hole = try run { () throws(Errno) in
                try OpenDirectory.nextHole(of: file, from: data)
            }
            let end = min(hole, range.upperBound, data + Self.stepBytes)
            // It has become shorter.
            guard end > data, let bytes = try bytes(data..<end) else { return false }
            if !bytes.isZero { return false }
            position = end
        }
        return true
    }

    /// nil where there is none.
    func nextData(from offset: UInt64) throws(ApplyError) -> UInt64? {
        try run { () throws(Errno) in try OpenDirectory.nextData(of: file, from: offset) }
    }

    private func run<Result>(_ body: () throws(Errno) -> Result) throws(ApplyError) -> Result {
        do throws(Errno) {
            return try body()
        } catch {
            throw .system(path: path, call: "read", error)
        }
    }
}

/// A file of a tree.
struct TreeFileContent: HeldBytes {
    let image: InodeImage
    let tree: StoredTree

    func bytes(_ range: Range<UInt64>) throws(ApplyError) -> [UInt8]? {
        guard range.upperBound <= image.size else { return nil }
        return try ApplyError.reading { () throws(TreeError) in try tree.read(image, range) }
    }

    func isZero(_ range: Range<UInt64>) throws(ApplyError) -> Bool {
        var isZero = true
        try ApplyError.reading { () throws(TreeError) in
            try tree.forEachExtent(of: image, from: range.lowerBound) {
                position, extent throws(TreeError) in
                guard position < range.upperBound else { return false }
                if case .data = extent {
                    let part = (position..<position + extent.length).clamped(to: range)
                    isZero = try tree.read(image, part).isZero
                }
                return isZero
            }
        }
        return isZero
    }
}

extension [UInt8] {
    /// Whether there is no other byte.
    var isZero: Bool {
        withUnsafeBytes { raw in
            let words = raw.count / 8
            for index in 0..<words
            where raw.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self) != 0 {
                return false
            }
            return raw[(words * 8)...].allSatisfy { $0 == 0 }
        }
    }
}
