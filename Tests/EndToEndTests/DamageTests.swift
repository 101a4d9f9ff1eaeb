import EndToEndSupport
import Foundation
import XCTest

/// One fault at a time in the packs: what is hit is named and fails with EIO, all else is read.
final class DamageTests: EndToEndTestCase {
    /// A store of a few files that share nothing, and a pristine copy of it.
    private struct Scene {
        var place: Place
        var files: [String: [UInt8]]
        var pristine: String
        /// A place in the content of "victim".
        var victim: Place.ChunkPlace
    }

    private func makeScene() throws -> Scene {
        var random = SeededGenerator()
        let place = try makePlace()
        try place.mount()
        var files: [String: [UInt8]] = [:]
        try System.check(mkdir(place.path("folder"), 0o755))
        // Each file synchronised on its own, so that no super-chunk has chunks of two of them.
        for name in ["first", "folder/second", "victim", "third"] {
            let bytes = random.bytes(50_000 + random.below(200_000))
            try System.writeFile(place.path(name), bytes, synchronized: true)
            files[name] = bytes
        }
        let chunk = try XCTUnwrap(try place.chunks(of: "victim").first)
        // Another session, whose checkpoint vouches for the packs of this one.
        try place.remount()
        let later = random.bytes(30_000)
        try System.writeFile(place.path("later"), later)
        files["later"] = later
        try place.unmount()
        let victim = try place.locate(chunk)
        try place.copyStore(to: path("pristine"))
        return Scene(place: place, files: files, pristine: path("pristine"), victim: victim)
    }

    /// Every file of the mounted volume is either whole or, where it is among `lost`, EIO; never
    /// other bytes.
    private func assertFiles(
        _ scene: Scene, lost: Set<String>, file: StaticString = #filePath, line: UInt = #line
    ) throws {
        for (name, bytes) in scene.files {
            do throws(SystemError) {
                let found = try System.readFile(scene.place.path(name))
                XCTAssertTrue(found == bytes, "\(name) has other bytes", file: file, line: line)
                XCTAssertFalse(lost.contains(name), "\(name) was read", file: file, line: line)
            } catch {
                XCTAssertEqual(error.code, EIO, name, file: file, line: line)
                XCTAssertTrue(lost.contains(name), "\(name): \(error)", file: file, line: line)
            }
        }
    }

    private func check(_ scene: Scene, _ depth: String = "--deep") throws -> CheckedStore {
        try CheckedStore(try scene.place.check(["-n", "--json", depth]))
    }

    // MARK: in the content of one file

    func testFlippedBitInAFilesContent() throws {
        let scene = try makeScene()
        try scene.place.flip(scene.victim.pack, at: scene.victim.recordOffset + 2000)
        let checked = try check(scene)
        XCTAssertEqual(checked.code, 4)
        XCTAssertEqual(checked.verdict, "loss")
        XCTAssertEqual(checked.paths, ["/victim"])
        let text = try scene.place.check(["-n", "--deep"]).text
        XCTAssertTrue(text.contains("main:/victim") && text.contains("next:"), text)
        try scene.place.mount()
        try assertFiles(scene, lost: ["victim"])
        XCTAssertEqual(try run(["cat", scene.place.path("victim")]).code, 1)
        // The mounted store is checked by its daemon, with the same result.
        let online = try CheckedStore(try scene.place.check(["-n", "--json"]))
        XCTAssertEqual(online.code, 4)
        XCTAssertEqual(online.paths, ["/victim"])
        try scene.place.unmount()
        let printed = try ashlar(["cat", scene.place.store, "/victim"])
        XCTAssertEqual(printed.code, 3, "something is damaged: \(printed.errors)")
        XCTAssertTrue(
            try XCTUnwrap(scene.files["first"])
                == ashlar(["cat", scene.place.store, "/first"]).output)
    }

    /// The same content written again makes the damaged file whole again.
    func testWritingTheContentAgainHeals() throws {
        let scene = try makeScene()
        try scene.place.flip(scene.victim.pack, at: scene.victim.recordOffset + 2000)
        try scene.place.mount()
        try assertFiles(scene, lost: ["victim"])
        // Only damage that was met is known; so every part of the file is read.
        try System.with(scene.place.path("victim"), O_RDONLY) { file throws(SystemError) in
            let size = scene.files["victim"]?.count ?? 0
            for offset in stride(from: 0, to: size, by: 4096) {
                _ = try? System.read(file, 4096, at: offset)
            }
        }
        try System.writeFile(
            scene.place.path("again"), try XCTUnwrap(scene.files["victim"]), synchronized: true)
        try assertFiles(scene, lost: [])
        try scene.place.remount()
        try assertFiles(scene, lost: [])
        try scene.place.unmount()
    }

    func testZeroedAndSwappedRanges() throws {
        let scene = try makeScene()
        let zeros = [UInt8](repeating: 0, count: 4096)
        try System.with(scene.victim.pack, O_RDWR) { file throws(SystemError) in
            try System.write(file, zeros, at: (scene.victim.recordOffset + 8191) / 4096 * 4096)
        }
        var checked = try check(scene)
        XCTAssertEqual(checked.code, 4)
        XCTAssertEqual(checked.paths, ["/victim"])
        try scene.place.mount()
        try assertFiles(scene, lost: ["victim"])
        try scene.place.unmount()

        // Two blocks in each other's place: each byte is one that was written once.
        try scene.place.restore(from: scene.pristine)
        let start = (scene.victim.recordOffset + 8191) / 4096 * 4096
        try System.with(scene.victim.pack, O_RDWR) { file throws(SystemError) in
            let a = try System.read(file, 4096, at: start)
            let b = try System.read(file, 4096, at: start + 8192)
            try System.write(file, b, at: start)
            try System.write(file, a, at: start + 8192)
        }
        checked = try check(scene)
        XCTAssertEqual(checked.code, 4)
        XCTAssertEqual(checked.paths, ["/victim"])
        try scene.place.mount()
        try assertFiles(scene, lost: ["victim"])
        try scene.place.unmount()
    }

    // MARK: whole packs

    /// Nothing of what `body` spoils is taken for truth: fsck ends with 4, a mount reads right bytes or
    /// EIO, or is refused with the code of mount(8).
    private func expectNoLies(
        _ scene: Scene, _ what: String, line: UInt = #line, _ body: () throws -> Void
    ) throws {
        try scene.place.restore(from: scene.pristine)
        try body()
        for depth in ["--quick", "--deep"] {
            let result = try scene.place.check(["-n", depth])
            XCTAssertTrue(
                [4, 8].contains(result.code),
                "\(what): fsck \(depth): \(result.code) \(result.text)\(result.errors)", line: line)
        }
        let mounted = try scene.place.tryMount()
        guard mounted.code == 0 else {
            XCTAssertEqual(mounted.code, 32, "\(what): \(mounted.errors)", line: line)
            XCTAssertFalse(mounted.errors.isEmpty, what, line: line)
            return
        }
        for (name, bytes) in scene.files {
            do throws(SystemError) {
                let found = try System.readFile(scene.place.path(name))
                XCTAssertTrue(found == bytes, "\(what): \(name) has other bytes", line: line)
            } catch {
                XCTAssertEqual(error.code, EIO, "\(what): \(name)", line: line)
            }
        }
        try scene.place.unmount(line: line)
    }

    func testWholePacksSpoiled() throws {
        let scene = try makeScene()
        let pack = scene.victim.pack
        let size = Int(try System.status(pack).st_size)
        try expectNoLies(scene, "truncated") { truncate(pack, off_t(size / 2)) }
        try expectNoLies(scene, "emptied") { truncate(pack, 0) }
        try expectNoLies(scene, "header flipped") { try scene.place.flip(pack, at: 9) }
        try expectNoLies(scene, "zeroed") {
            try System.writeFile(pack, [UInt8](repeating: 0, count: size))
        }
        try expectNoLies(scene, "missing") { unlink(pack) }
        try expectNoLies(scene, "swapped") {
            let other = try XCTUnwrap(
                try scene.place.packs().map { scene.place.packsFolder + "/" + $0 }
                    .first { $0 != pack })
            try System.rename(pack, other, flags: 2)
        }
        // With everything put back nothing is wrong.
        try scene.place.restore(from: scene.pristine)
        try scene.place.mustBeClean()
    }

    func testPackDeletedWhileMounted() throws {
        let scene = try makeScene()
        try scene.place.mount()
        try assertFiles(scene, lost: [])
        unlink(scene.victim.pack)
        // Open files stay readable; whatever happens is the truth or EIO.
        for (name, bytes) in scene.files {
            if let found = try? System.readFile(scene.place.path(name)) {
                XCTAssertTrue(found == bytes, name)
            }
        }
        let online = try scene.place.check(["-n"])
        XCTAssertEqual(online.code, 4, online.text + online.errors)
        try scene.place.unmount()
        let checked = try scene.place.check(["-n"])
        XCTAssertEqual(checked.code, 4, checked.text)
        let name = URL(fileURLWithPath: scene.victim.pack).deletingPathExtension()
            .lastPathComponent
        XCTAssertTrue(checked.text.contains(name), checked.text)
        XCTAssertTrue(checked.text.contains("/victim"), checked.text)
        // A mount names what is lost, reads what is not, and writes nothing.
        let mounted = try scene.place.tryMount()
        XCTAssertEqual(mounted.code, 0, mounted.errors)
        XCTAssertTrue(mounted.errors.contains(name), mounted.errors)
        assertFails(EROFS, "writing to a store that lost a pack") {
            try System.writeFile(scene.place.path("new"), [1])
        }
        XCTAssertTrue(
            try System.readFile(scene.place.path("later")) == scene.files["later"])
        try scene.place.unmount()
    }

    // MARK: strangers

    func testPackOfAnotherStore() throws {
        let scene = try makeScene()
        let other = try makePlace("other")
        try other.mount()
        try System.writeFile(other.path("theirs"), [UInt8](repeating: 1, count: 99_999))
        try other.unmount()
        let foreign = try other.largestPack()
        let name = URL(fileURLWithPath: foreign).lastPathComponent
        try mustRun(["cp", foreign, scene.place.packsFolder + "/" + name])
        let checked = try scene.place.check(["-n"])
        XCTAssertTrue(checked.text.contains(name.dropLast(5)), checked.text)
        try scene.place.mount()
        try assertFiles(scene, lost: [])
        XCTAssertEqual(
            try System.names(scene.place.mountpoint).map { String(decoding: $0, as: UTF8.self) },
            ["first", "folder", "later", "third", "victim"])
        try scene.place.unmount()
        XCTAssertTrue(
            try scene.place.packs().contains(name), "what is not the store's was removed")
    }

    /// A user keeps copies of packs, of this very store too: to scans they are bytes like others.
    func testFileThatContainsAPack() throws {
        // Stored as they are: compressed, nothing in them would look like a record anyway.
        let place = try makePlace("a", ["--compression", "none"])
        try place.mount()
        try System.writeFile(place.path("content"), [UInt8](repeating: 3, count: 70_000))
        try mustRun(["sync", place.path("content")])
        try mustRun(["cp", "-r", place.packsFolder, place.path("packs")])
        try System.writeFile(place.path("late"), [1, 2], synchronized: true)
        try mustRun(["cp", "-r", place.packsFolder, path("outside")])
        try mustRun(["cp", "-r", path("outside"), place.path("again")])
        try System.writeFile(place.path("last"), [3], synchronized: true)
        try place.crash()
        try place.mustBeClean(["-n", "--deep"])
        XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
        try place.mount()
        XCTAssertEqual(try System.readFile(place.path("last")), [3])
        try assertEqualContents(path("outside"), place.path("again"))
        try place.unmount()
        try place.mustBeClean()
        // With the real tables gone the scan has to tell real records from copies.
        for pack in try place.packs() {
            let path = place.packsFolder + "/" + pack
            truncate(path, off_t(Int(try System.status(path).st_size) - 8))
        }
        XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
        try place.mount()
        try assertEqualContents(path("outside"), place.path("again"))
        try place.unmount()
    }

    private func assertEqualContents(_ a: String, _ b: String) throws {
        let diff = try run(["diff", "-r", a, b])
        XCTAssertEqual(diff.code, 0, diff.text)
    }
}
