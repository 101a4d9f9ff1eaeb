// Names and attributes by name: inheritance, access lists, times, odd names, colliding cookies.
import Backends
import DiskFormat
import FileModel
import Foundation
import Pipeline
import Platform
import XCTest

@testable import Volume

final class NameTests: XCTestCase {
    private let backend = MemoryBackend()
    private let index = MemoryIndexProvider()

    private func start(_ options: VolumeOptions = smallOptions()) throws -> OpenStore {
        try makeStore(backend, index)
        return try OpenStore(backend, index, options: options)
    }

    private func end(_ open: OpenStore) throws {
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    private func names(_ volume: Volume, _ directory: UInt64) throws -> [[UInt8]] {
        var result: [[UInt8]] = []
        try volume.readDirectory(directory, after: 0, withAttributes: false) {
            name, _, _, next, _ in
            if next > 2 { result.append(Array(name)) }
            return true
        }
        return result.sorted { $0.lexicographicallyPrecedes($1) }
    }

    func testOddNames() throws {
        let open = try start()
        let long = [UInt8](repeating: 0x6c, count: 255)
        let odd: [[UInt8]] = [long, [0xff, 0xfe], [0x20], [0x0a, 0x01], Array("…ü".utf8)]
        for name in odd { _ = try open.volume.makeFile(name, in: 1) }
        XCTAssertThrowsError(try open.volume.makeFile(long + [0x6c], in: 1)) {
            XCTAssertEqual($0 as? FileError, .nameTooLong)
        }
        for bad in [[], [0x2e], [0x2e, 0x2e], [0x61, 0x2f], [0x61, 0]] as [[UInt8]] {
            XCTAssertThrowsError(try open.volume.makeFile(bad, in: 1), "\(bad)") {
                XCTAssertEqual($0 as? FileError, .invalid)
            }
        }
        open.volume.evict()
        XCTAssertEqual(
            try names(open.volume, 1), odd.sorted { $0.lexicographicallyPrecedes($1) })
        try end(open)
    }

    /// Names of 16 bytes whose XXH3-64 with the seed 3 ^ 4 (the tests' secret) is one number: their
    /// first halves differ from the hash's secret by a small k, so that its product with the second
    /// half does not overflow and the sum can be solved for that half.
    private static let colliding: [[UInt8]] = [
        "c03942ea7b73826787e910caea7871bf", "c13942ea7b738267e90f55e8535ec5a8",
        "c13942ea7b738267e90f55e8535ec528", "c23942ea7b7382670fbbba48a0fd5bf5",
        "c33942ea7b738267defc77790f4d1fac", "c33942ea7b738267defc77790f4d1fec",
        "ca3942ea7b738267af6d9a204bfcd9af", "cb3942ea7b7382677c68ddd95dec95ba",
    ].map { text in
        stride(from: 0, to: text.count, by: 2).compactMap { start in
            let from = text.index(text.startIndex, offsetBy: start)
            return UInt8(text[from..<text.index(from, offsetBy: 2)], radix: 16)
        }
    }

    func testNamesThatHashAlike() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let all = NameTests.colliding
        let cookies = all.map { name in
            name.withUnsafeBytes { DirectoryCookie.cookie(of: $0, collision: 0, secret: secret) }
        }
        XCTAssertEqual(Set(cookies).count, 1)
        var open = try start()
        var there: [[UInt8]: UInt64] = [:]
        for step in 0..<400 {
            let name = all[random.below(all.count)]
            let other = all[random.below(all.count)]
            if let inode = there[name] {
                if random.chance(1, in: 3), there[other] == nil {
                    try open.volume.move(name, in: 1, to: other, in: 1)
                    there[other] = inode
                } else {
                    try open.volume.removeFile(name, in: 1)
                }
                there[name] = nil
            } else {
                let made = try open.volume.makeFile(name, in: 1).inode
                open.volume.forget(made, count: 1)
                there[name] = made
            }
            switch random.below(12) {
            case 0, 1: try open.live.commit()
            case 2: try open.live.checkpoint()
            case 3: open.volume.namespace.withLock { $0.boundNames(-1, keepsKernels: false) }
            case 4:
                try open.live.close()
                if random.chance(1, in: 2) { index.delete() }
                open = try OpenStore(backend, index)
            default: break
            }
            for name in all {
                let found = try open.volume.find(name, in: 1)
                XCTAssertEqual(found?.inode, there[name], "step \(step), ASHLAR_SEED=\(seed)")
                if let found { open.volume.forget(found.inode, count: 1) }
            }
            XCTAssertEqual(
                try names(open.volume, 1),
                there.keys.sorted { $0.lexicographicallyPrecedes($1) }, "step \(step)")
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
        try end(open)
    }

    // MARK: access lists

    private func list(_ entries: [(tag: UInt16, permissions: UInt16, id: UInt32)]) -> [UInt8] {
        var writer = ByteWriter()
        writer.u32(2)
        for entry in entries {
            writer.u16(entry.tag)
            writer.u16(entry.permissions)
            writer.u32(entry.id)
        }
        return writer.bytes
    }

    func testAccessListsAreInheritedAndFollowTheMode() throws {
        let open = try start()
        let volume = open.volume
        let folder = try volume.makeFolder(Array("folder".utf8), in: 1).inode
        let inherited = list([
            (0x01, 7, .max), (0x02, 6, 1234), (0x04, 5, .max), (0x10, 7, .max), (0x20, 5, .max),
        ])
        let defaultName = "system.posix_acl_default"
        let accessName = "system.posix_acl_access"
        try volume.setAttribute(defaultName, of: folder, to: inherited)
        // The umask does not count; what was not asked for is taken away.
        let file = try volume.makeFile(Array("file".utf8), in: folder, mode: 0o100640)
        XCTAssertEqual(file.permissions, 0o640)
        XCTAssertEqual(
            try volume.attribute(accessName, of: file.inode),
            list([
                (0x01, 6, .max), (0x02, 6, 1234), (0x04, 5, .max), (0x10, 4, .max), (0x20, 0, .max),
            ]))
        XCTAssertThrowsError(try volume.attribute(defaultName, of: file.inode))
        let below = try volume.makeFolder(Array("below".utf8), in: folder, mode: 0o777)
        XCTAssertEqual(try volume.attribute(defaultName, of: below.inode), inherited)
        XCTAssertEqual(below.permissions, 0o775)
        // chmod changes the mask.
        var change = AttributeChange()
        change.permissions = 0o600
        XCTAssertEqual(
            try volume.setAttributes(of: file.inode, change, caller: someone).permissions, 0o600)
        XCTAssertEqual(
            try volume.attribute(accessName, of: file.inode),
            list([
                (0x01, 6, .max), (0x02, 6, 1234), (0x04, 5, .max), (0x10, 0, .max), (0x20, 0, .max),
            ]))
        // A list of three entries is the mode, and nothing else.
        try volume.setAttribute(
            accessName, of: file.inode,
            to: list([(0x01, 7, .max), (0x04, 4, .max), (0x20, 1, .max)]))
        XCTAssertEqual(try volume.attributes(of: file.inode).permissions, 0o741)
        XCTAssertThrowsError(try volume.attribute(accessName, of: file.inode))
        try end(open)
    }

    func testSetGroupDirectoriesGiveTheirGroup() throws {
        let open = try start()
        let folder = try open.volume.makeFolder(
            Array("g".utf8), in: 1, mode: 0o2775, caller: Caller(user: 1, group: 50)
        ).inode
        let file = try open.volume.makeFile(Array("f".utf8), in: folder)
        XCTAssertEqual(file.group, 50)
        XCTAssertEqual(file.permissions & 0o2000, 0)
        let below = try open.volume.makeFolder(Array("d".utf8), in: folder)
        XCTAssertEqual(below.group, 50)
        XCTAssertEqual(below.permissions & 0o2000, 0o2000)
        try end(open)
    }

    func testPrivilegeBitsAreDroppedByWriting() throws {
        let open = try start()
        let file = try open.volume.makeFile(Array("f".utf8), in: 1, mode: 0o106755)
        XCTAssertEqual(file.permissions, 0o6755)
        try [UInt8](repeating: 1, count: 9).withUnsafeBytes {
            try open.volume.write(file.inode, at: 0, $0, dropsPrivilegeBits: true)
        }
        XCTAssertEqual(try open.volume.attributes(of: file.inode).permissions, 0o755)
        try end(open)
    }

    // MARK: access times

    private func readTime(_ volume: Volume, _ inode: UInt64) throws -> Timestamp {
        _ = try volume.get(inode, count: 1)
        return try volume.attributes(of: inode).accessTime
    }

    func testRelativeAccessTimes() throws {
        var options = smallOptions()
        options.behaviour.accessTimes = .relative
        let open = try start(options)
        let volume = open.volume
        let inode = try volume.makeFile(Array("f".utf8), in: 1).inode
        try volume.put([1], into: inode)
        let first = try readTime(volume, inode)
        XCTAssertGreaterThan(first, try volume.attributes(of: inode).modificationTime)
        XCTAssertEqual(try readTime(volume, inode), first, "read again within a day")
        try volume.put([2], into: inode)
        let second = try readTime(volume, inode)
        XCTAssertGreaterThan(second, first)
        var change = AttributeChange()
        let old = Timestamp(seconds: second.seconds - 90_000, nanoseconds: 0)
        change.accessTime = .set(old)
        change.modificationTime = .set(Timestamp(seconds: old.seconds - 9, nanoseconds: 0))
        _ = try volume.setAttributes(of: inode, change, caller: someone)
        XCTAssertGreaterThan(try readTime(volume, inode), old, "older than a day")
        try end(open)
    }
}
