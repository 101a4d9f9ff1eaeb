// The images as they are kept in git, and copies of them for tests.
import Backends
import DiskFormat
import Foundation
import XCTest

enum ImageFiles {
    /// Each image is a folder of it that is a store: Images/NAME/packs/ID.pack.
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Images")

    /// The files of an image by their names within the store; empty where there is no image.
    static func load(_ image: GoldenImage) throws -> [String: [UInt8]] {
        let packs = folder.appendingPathComponent(image.rawValue).appendingPathComponent("packs")
        guard FileManager.default.fileExists(atPath: packs.path) else { return [:] }
        var files: [String: [UInt8]] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: packs.path) {
            files["packs/" + name] = [UInt8](
                try Data(contentsOf: packs.appendingPathComponent(name)))
        }
        return files
    }

    /// Writes files of a store into a directory.
    static func write(_ files: [String: [UInt8]], to store: URL) throws {
        try FileManager.default.createDirectory(
            at: store.appendingPathComponent("packs"), withIntermediateDirectories: true)
        for (name, bytes) in files {
            try Data(bytes).write(to: store.appendingPathComponent(name))
        }
    }

    /// A copy of an image in memory.
    static func backend(_ image: GoldenImage) throws -> MemoryBackend {
        let files = try load(image)
        XCTAssertFalse(files.isEmpty, "there is no image \(image.rawValue)")
        let backend = MemoryBackend()
        for (name, bytes) in files { try backend.writeWhole(name, bytes) }
        return backend
    }

    /// The files of a backend.
    static func files(_ backend: MemoryBackend) throws -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        for file in try backend.list(prefix: "packs/") {
            files[file.name] = try backend.readWhole(file.name, limitBytes: 1 << 24)
        }
        return files
    }
}
