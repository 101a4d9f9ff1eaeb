// The programs on copies of the images: their words and exit codes.
import Foundation
import XCTest

final class ProgramImageTests: XCTestCase {
    private var directory = ""

    override func setUpWithError() throws {
        directory = NSTemporaryDirectory() + "ashlar-golden-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: false)
    }

    override func tearDown() {
        XCTAssertNoThrow(try FileManager.default.removeItem(atPath: directory))
    }

    /// A copy of the image's store.
    private func store(_ image: GoldenImage) throws -> String {
        let path = directory + "/" + image.rawValue
        if !FileManager.default.fileExists(atPath: path) {
            try ImageFiles.write(try ImageFiles.load(image), to: URL(fileURLWithPath: path))
        }
        return path
    }

    private func assertUnchanged(_ image: GoldenImage, line: UInt = #line) throws {
        let packs = try store(image) + "/packs/"
        let kept = try ImageFiles.load(image)
        XCTAssertEqual(
            try FileManager.default.contentsOfDirectory(atPath: packs).sorted(),
            kept.keys.map { String($0.dropFirst(6)) }.sorted(), line: line)
        for (name, bytes) in kept {
            let path = packs + name.dropFirst(6)
            XCTAssertEqual(try Data(contentsOf: URL(fileURLWithPath: path)), Data(bytes), name)
        }
    }

    // MARK: what can be read

    func testListing() throws {
        let plain = try store(.plain)
        let docs = try Program.run("ashlar", ["ls", "-il", plain, "/docs"])
        XCTAssertEqual(docs.code, 0, docs.errors)
        XCTAssertEqual(
            docs.text,
            """
            4 -rw-------   1     0     0            0 2023-11-14 22:13 empty
            8 -rw-rw-r--   3     0     0           12 2023-11-14 22:13 first
            7 -rw-r--r--   1     0     0        11296 2023-11-14 22:13 gap
            5 -rw-r-----   1     0     0        12000 2023-11-14 22:13 long
            9 -rw-r--r--   1     0     0           17 2023-11-14 22:13 once-linked
            3 -rw-r--r--   1  1000   100           21 2023-11-14 22:13 readme.txt
            6 -rw-r-----   1     0     0        12000 2023-11-14 22:13 same
            8 -rw-rw-r--   3     0     0           12 2023-11-14 22:13 third

            """)
        let devices = try Program.run("ashlar", ["ls", "-l", plain, "/devices"])
        XCTAssertEqual(
            devices.text,
            """
            brw-rw----   1     0     0 259, 1048575 2023-11-14 22:13 disk
            crw-rw-rw-   1     0     0         1, 3 2023-11-14 22:13 null
            prw-r--r--   1     0     0            0 2023-11-14 22:13 pipe
            srwxr-xr-x   1     0     0            0 2023-11-14 22:13 socket

            """)
    }

    /// All names of all volumes, by `ls -R --zero`, which escapes nothing.
    func testAllNames() throws {
        for image in GoldenImage.allCases {
            for volume in image.volumes {
                let result = try Program.run(
                    "ashlar", ["ls", "-R", "--zero", "--volume", volume.name, try store(image)])
                XCTAssertEqual(result.code, 0, result.errors)
                var folder = ""
                var found: [String] = []
                for line in result.output.split(separator: 0) {
                    let text = Row.escaped(Array(line))
                    if text.hasPrefix("/"), text.hasSuffix(":") {
                        folder = text == "/:" ? "/" : String(text.dropLast()) + "/"
                    } else {
                        found.append(folder + text)
                    }
                }
                XCTAssertEqual(
                    found.sorted(), volume.rows.map(\.path).filter { $0 != "/" }.sorted(),
                    "\(image.rawValue), \(volume.name)")
            }
        }
    }

    func testPrinting() throws {
        let cases: [(GoldenImage, String, String, String)] = [
            (.plain, "main", "/docs/readme.txt", Row.hash(Array("Ashlar golden image.\n".utf8))),
            (.plain, "main", "/docs/gap", "73619a611542022b"),
            (.unclean, "main", "/new/linked", "62ac899ce50a1c00"),
            (.pieces, "main", "/small", Row.hash(Array("0123abc789".utf8))),
            (.twice, "main", "/blocks/three-and-a-bit", "a94a6f3bfdcf0559"),
            (.severalVolumes, "0", "/no more", Row.hash(Array("not empty\n".utf8))),
            (.deleted, "main", "/first-again", "9c4cda3752705bd3"),
            (.tall, "main", "/text", "f6bdc113a8c545bb"),
            (.futureReadOnly, "main", "/folder/data", "a404d15f0aa1f308"),
            (.futureOptional, "main", "/later", Row.hash(Array("Later.\n".utf8))),
        ]
        for (image, volume, path, hash) in cases {
            let result = try Program.run(
                "ashlar", ["cat", "--volume", volume, try store(image), path])
            XCTAssertEqual(result.code, 0, result.errors)
            XCTAssertEqual(Row.hash(Array(result.output)), hash, "\(image.rawValue)\(path)")
        }
        let removed = try Program.run("ashlar", ["cat", try store(.unclean), "/old/open"])
        XCTAssertEqual(removed.code, 1)
        XCTAssertEqual(removed.errors, "ashlar: /old/open: no such file or directory\n")
    }

    // MARK: fsck

    func testChecking() throws {
        for image in GoldenImage.allCases {
            let path = try store(image)
            for depth in [[], ["--quick"], ["--deep"]] {
                let result = try Program.run("fsck.ashlar", ["-n"] + depth + [path])
                switch image.use {
                case .readAndWrite, .read:
                    XCTAssertEqual(result.code, 0, result.text + result.errors)
                    XCTAssertTrue(result.text.contains("clean: "), result.text)
                case .nothing:
                    XCTAssertEqual(result.code, 8, result.text)
                    XCTAssertEqual(
                        result.errors,
                        """
                        fsck.ashlar: \(path) was made by a newer version of Ashlar
                        Check it with a program of that version.

                        """)
                case .onlyCheck:
                    XCTAssertEqual(result.code, 4, result.errors)
                    XCTAssertTrue(
                        result.text.hasPrefix("damage: pack-newer: pack 123456789abcdef0-"),
                        result.text)
                    XCTAssertTrue(
                        result.text.contains(
                            "next: Check with a program of the version that wrote it."),
                        result.text)
                }
            }
            try assertUnchanged(image)
        }
    }

    // MARK: refused

    func testStoresFromTheFutureAreRefused() throws {
        let mountpoint = directory + "/mountpoint"
        try FileManager.default.createDirectory(
            atPath: mountpoint, withIntermediateDirectories: false)
        for image in [GoldenImage.futureVersion, .futureIncompatible, .futureUpgraded] {
            let path = try store(image)
            let commands: [([String], Int32)] = [
                (["ls", path], 10), (["cat", path, "/hello"], 10), (["stats", path], 10),
                (["du", path], 10), (["mount", path, mountpoint], 32),
                (["mount", "-o", "ro", path, mountpoint], 32),
            ]
            for (arguments, code) in commands {
                let result = try Program.run("ashlar", arguments)
                XCTAssertEqual(result.code, code, "\(arguments): \(result.errors)")
                XCTAssertEqual(result.text, "")
                let says = ["newer version of Ashlar", "features that this program does not know"]
                XCTAssertTrue(
                    says.contains { result.errors.contains($0) }, "\(arguments): \(result.errors)")
                XCTAssertEqual(
                    result.errors.split(separator: "\n").count, 1, "one line: \(result.errors)")
            }
            let made = try Program.run("ashlar", ["mkfs", path])
            XCTAssertEqual(made.code, 1)
            XCTAssertEqual(made.errors, "ashlar: \(path) is an Ashlar store already\n")
            try assertUnchanged(image)
        }
    }

    func testStoresThatANewerProgramHasGoneOnWithAreNotListed() throws {
        for image in [GoldenImage.futureRecord, .futureSection] {
            let path = try store(image)
            for arguments in [["ls", path], ["cat", path, "/hello"], ["du", path]] {
                let result = try Program.run("ashlar", arguments)
                XCTAssertEqual(result.code, 10, "\(arguments)")
                XCTAssertEqual(
                    result.errors, "ashlar: \(path) was made by a newer version of Ashlar\n")
            }
            try assertUnchanged(image)
        }
    }
}
