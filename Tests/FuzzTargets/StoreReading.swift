// Everything in a volume, as far as it can be read: also of a hostile one, whose trees may be endless.
import FileModel
import Volume

struct StoreReading {
    static let entriesMax = 500
    static let bytesMax = 1 << 20

    /// Regular files by path; nil where one cannot be read whole.
    private(set) var files: [String: [UInt8]?] = [:]

    init(_ live: LiveStore) {
        for name in live.volumeNames {
            guard let volume = live.volume(named: name) else { continue }
            walk(volume)
        }
    }

    private mutating func walk(_ volume: Volume) {
        var pending: [(inode: UInt64, path: String)] = [(1, "")]
        var left = Self.entriesMax
        while let (folder, path) = pending.popLast() {
            var names: [[UInt8]] = []
            try? volume.readDirectory(folder, after: 0, withAttributes: false) { name, _, _, _, _ in
                names.append(Array(name))
                return names.count < Self.entriesMax
            }
            for name in names where name != [0x2e] && name != [0x2e, 0x2e] {
                left -= 1
                if left < 0 { return }
                let found = name.withUnsafeBytes { try? volume.lookup($0, in: folder) }
                guard let found else { continue }
                let at = path + "/" + String(decoding: name, as: UTF8.self)
                look(volume, found, at)
                if found.kind == .directory { pending.append((found.inode, at)) }
            }
        }
    }

    private mutating func look(_ volume: Volume, _ found: FileAttributes, _ path: String) {
        _ = try? volume.extendedAttributeNames(of: found.inode)
        for name in ["user.short", "user.long"] {
            _ = Array(name.utf8).withUnsafeBytes {
                try? volume.extendedAttribute($0, of: found.inode)
            }
        }
        switch found.kind {
        case .regular: files[path] = .some(content(volume, found))
        case .symbolicLink: _ = try? volume.readSymbolicLink(found.inode)
        default: break
        }
    }

    private func content(_ volume: Volume, _ found: FileAttributes) -> [UInt8]? {
        _ = try? volume.seek(found.inode, .data, from: 0)
        _ = try? volume.seek(found.inode, .hole, from: 0)
        let count = Int(min(found.size, UInt64(Self.bytesMax)))
        var bytes = [UInt8](repeating: 0xa5, count: count)
        let read = bytes.withUnsafeMutableBytes {
            try? volume.read(found.inode, at: 0, into: $0)
        }
        if found.size > UInt64(count) {
            // What a hostile inode claims: its end, too.
            var end = [UInt8](repeating: 0, count: 4096)
            _ = end.withUnsafeMutableBytes {
                try? volume.read(found.inode, at: found.size - 4096, into: $0)
            }
        }
        return read == count ? bytes : nil
    }
}
