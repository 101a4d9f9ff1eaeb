// Stores that the tests look into, and the hands that damage them.
import Backends
import DiskFormat
import Packs
import XCTest

@testable import Checking

/// A volume with everything: directories, many names, hard links, symbolic links, holes, long
/// attributes, files of many chunks; two packs, and commits after the checkpoint.
struct Scene {
    let store: SmallStore
    let volume: SmallVolume
    /// Inodes by what they are there for.
    var inodes: [String: UInt64] = [:]

    init(
        _ options: SmallStore.Options = .init(), seed: UInt64 = 7, names: Int = 40,
        commits: Bool = true
    ) throws {
        var random = SeededGenerator(seed: seed)
        store = try SmallStore(options)
        volume = SmallVolume(store)
        let v = volume
        let etc = v.makeDirectory("etc")
        let deep = v.makeDirectory("deep", in: etc)
        inodes["etc"] = etc
        inodes["deep"] = deep
        inodes["small"] = try v.makeFile("small", in: etc, random.bytes(300))
        inodes["empty"] = try v.makeFile("empty", [])
        inodes["long"] = try v.makeFile("long", in: deep, random.bytes(30_000))
        inodes["linked"] = try v.makeFile("one", random.bytes(2_500))
        try v.link(try inode("linked"), "two", in: deep)
        try v.link(try inode("linked"), "three", in: etc)
        inodes["symlink"] = v.makeLink("symlink", to: "etc/small")
        var attributes = AttributeSet()
        try attributes.set(Array("user.long".utf8), to: random.bytes(600))
        inodes["attributed"] = try v.makeFile(
            "attributed", random.bytes(100), attributes: attributes)
        attributes = AttributeSet()
        try attributes.set(Array("user.short".utf8), to: [1, 2, 3])
        try v.makeFile("inline", random.bytes(50), attributes: attributes)
        let chunk = random.bytes(800)
        inodes["sparse"] = try v.makeFile(
            "sparse",
            extents: [
                .hole(length: 5_000),
                .data(try store.put(chunk, .data), length: 800), .zeros(length: 3_000),
                .data(try store.put(chunk, .data), length: 800), .hole(length: 100),
            ],
            reading: [UInt8](repeating: 0, count: 5_000) + chunk
                + [UInt8](repeating: 0, count: 3_000) + chunk + [UInt8](repeating: 0, count: 100))
        let many = v.makeDirectory("many")
        inodes["many"] = many
        for index in 0..<names {
            try v.makeFile("file-\(index)", in: many, random.bytes(20 + index % 7))
        }
        try v.checkpoint()
        if commits { try change(&random) }
    }

    /// Images whose content pieces own, for counting: one for each piece.
    var written: [InodeImage] {
        volume.pieceChunks.map {
            InodeImage(inode: 1, generation: 0, mode: 0o100644, content: .chunk($0))
        }
    }

    func inode(_ key: String) throws -> UInt64 { try XCTUnwrap(inodes[key]) }

    private mutating func change(_ random: inout SeededGenerator) throws {
        let v = volume
        try v.write(random.bytes(900), to: try inode("long"), at: 1_234)
        try v.commit()
        try store.roll()
        inodes["later"] = try v.makeFile("later", in: try inode("etc"), random.bytes(1_500))
        try v.rename("many", in: SmallVolume.root, to: "moved", in: try inode("deep"))
        try v.commit()
        try v.unlink("inline")
        try v.unlink("empty", staysOpen: true)
        try v.unlink("three", in: try inode("etc"))
        try v.link(try inode("small"), "small-too")
        try v.write(random.bytes(100), to: try inode("long"), at: 1_500)
        try v.commit()
    }
}

extension MemoryBackend {
    func bytes(_ id: PackID) throws -> [UInt8] {
        try readWhole(id.fileName, limitBytes: 1 << 30)
    }

    /// A copy in which a pack's bytes are changed.
    func damaging(_ id: PackID, _ change: (inout [UInt8]) -> Void) throws -> MemoryBackend {
        let copy = copy()
        var bytes = try copy.bytes(id)
        change(&bytes)
        try copy.writeWhole(id.fileName, bytes)
        return copy
    }

    func flipping(_ id: PackID, at offset: UInt64) throws -> MemoryBackend {
        try damaging(id) { $0[Int(offset)] ^= 0x10 }
    }
}
