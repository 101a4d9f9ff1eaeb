// Contradictions that a writer's fault would leave: one at a time, found once, with their paths.
import DiskFormat
import Trees
import XCTest

@testable import Checking

final class VolumeDamageTests: XCTestCase {
    private func expect(
        _ scene: Scene, _ kind: Problem.Kind, _ paths: [String], line: UInt = #line
    ) throws {
        let report = try scene.check()
        XCTAssertEqual(report.complaints.map(\.kind), [kind], report.text, line: line)
        XCTAssertEqual(
            report.complaints.first?.paths.map(\.text).sorted(), paths.sorted(), report.text,
            line: line)
    }

    /// A scene whose checkpoint is written anew with something wrong in it.
    private func scene(
        root: ((inout RootImage) -> Void)? = nil, entry: ((inout DirectoryEntry) -> Void)? = nil
    ) throws -> Scene {
        let scene = try Scene(commits: false)
        scene.volume.tamperRoot = root
        scene.volume.tamperEntry = entry
        try scene.volume.checkpoint()
        return scene
    }

    private func changing(
        _ name: String, _ change: @escaping (inout InodeImage) -> Void
    ) -> (inout DirectoryEntry) -> Void {
        { entry in
            guard entry.name == Array(name.utf8), case .only(var image) = entry.target else {
                return
            }
            change(&image)
            entry.target = .only(image)
        }
    }

    func testDanglingKey() throws {
        let bytes = [UInt8](repeating: 9, count: 333)
        let scene = try Scene(commits: false)
        let name = bytes.withUnsafeBytes { scene.store.hasher.name(of: $0, domain: .data) }
        scene.store.omitted = [name]
        let a = try scene.volume.makeFile("a", bytes)
        try scene.volume.makeFile("b", in: try scene.inode("etc"), bytes)
        try scene.volume.link(a, "c")
        try scene.volume.commit()
        try expect(scene, .chunkMissing, ["/a", "/c", "/etc/b"])
        let report = try scene.check()
        XCTAssertEqual(report.complaints.first?.place, .chunk(name))
        XCTAssertEqual(report.complaints.first?.severity, .loss)
    }

    func testDanglingChunkWithinARecipe() throws {
        let scene = try Scene(commits: false)
        var random = SeededGenerator(seed: 3)
        let content = random.bytes(3_000)
        let part = Array(content[700..<1_400])
        let name = part.withUnsafeBytes { scene.store.hasher.name(of: $0, domain: .data) }
        scene.store.omitted = [name]
        try scene.volume.makeFile("a", content)
        try scene.volume.makeFile("b", content)
        try scene.volume.commit()
        try expect(scene, .chunkMissing, ["/a", "/b"])
    }

    func testWrongSizeAllocationParentAndLimit() throws {
        try expect(
            try scene(entry: changing("small") { $0.size += 1 }), .sizeWrong, ["/etc/small"])
        try expect(
            try scene(entry: changing("long") { $0.allocatedBytes -= 1 }), .allocatedWrong,
            ["/etc/deep/long"])
        try expect(
            try scene(entry: changing("small") { $0.parent = 1 }), .parentWrong, ["/etc/small"])
        try expect(
            try scene(entry: changing("file-3") { $0.linkCount = 2 }), .linkCountWrong,
            ["/many/file-3"])
        try expect(
            try scene(entry: changing("deep") { $0.linkCount = 7 }), .linkCountWrong, ["/etc/deep"])
        let limit = try Scene(commits: false)
        let last = limit.volume.nextInode - 1
        try expect(
            try scene(entry: changing("small") { $0.inode = last + 100 }), .inodeLimit,
            ["/etc/small"])
    }

    func testWrongLinkCountOfALinkedInode() throws {
        let scene = try Scene(commits: false)
        let inode = try scene.inode("linked")
        scene.volume.images[inode]?.linkCount = 4
        try scene.volume.checkpoint()
        try expect(scene, .linkCountWrong, ["/etc/deep/two", "/etc/three", "/one"])
    }

    func testNameOfAnInodeThatIsGone() throws {
        let scene = try Scene(commits: false)
        scene.volume.changes.inodes.append(.gone(try scene.inode("small")))
        try scene.volume.commit()
        try expect(scene, .nameDangling, ["/etc/small"])
        let linked = try Scene(commits: false)
        linked.volume.changes.inodes.append(.gone(try linked.inode("linked")))
        try linked.volume.commit()
        let report = try linked.check()
        XCTAssertEqual(
            report.complaints.map(\.kind), [.nameDangling, .nameDangling, .nameDangling])
    }

    func testInodeWithTwoNamesThatIsNotLinked() throws {
        let scene = try Scene(commits: false)
        let small = try XCTUnwrap(scene.volume.images[try scene.inode("small")])
        scene.volume.put(small)
        scene.volume.changes.names.append(
            NameChange(
                parent: 1, name: Array("again".utf8), collision: 0,
                target: .init(inode: small.inode, kind: 8)))
        try scene.volume.commit()
        let report = try scene.check()
        // The name met first (of the root) is in the wrong place, the other one is the second.
        XCTAssertEqual(
            Set(report.complaints.map(\.kind)), [.inodeTwice, .parentWrong], report.text)
    }

    func testDirectoryWithinItself() throws {
        let scene = try Scene(commits: false)
        let etc = try scene.inode("etc")
        let deep = try scene.inode("deep")
        let image = try XCTUnwrap(scene.volume.images[etc])
        scene.volume.put(image)
        scene.volume.changes.names.append(
            NameChange(
                parent: deep, name: Array("loop".utf8), collision: 0,
                target: .init(inode: etc, kind: 4)))
        try scene.volume.commit()
        try expect(scene, .inodeTwice, ["/etc/deep/loop"])
    }

    func testDirectoryMovedBelowItself() throws {
        let scene = try Scene(commits: false)
        let etc = try scene.inode("etc")
        var image = try XCTUnwrap(scene.volume.images[etc])
        image.parent = try scene.inode("deep")
        scene.volume.put(image)
        scene.volume.changes.names += [
            NameChange(parent: 1, name: Array("etc".utf8), collision: 0, target: nil),
            NameChange(
                parent: try scene.inode("deep"), name: Array("etc".utf8), collision: 0,
                target: .init(inode: etc, kind: 4)),
        ]
        try scene.volume.commit()
        let report = try scene.check()
        XCTAssertTrue(
            report.complaints.contains {
                $0.kind == .inodeUnreachable
                    && $0.place == .inode(volume: scene.volume.id, etc)
            }, report.text)
    }

    func testWrongKindOfAName() throws {
        let scene = try Scene(commits: false)
        let small = try XCTUnwrap(scene.volume.images[try scene.inode("small")])
        scene.volume.put(small)
        scene.volume.changes.names.append(
            NameChange(
                parent: try scene.inode("etc"), name: Array("small".utf8), collision: 0,
                target: .init(inode: small.inode, kind: 10)))
        try scene.volume.commit()
        try expect(scene, .nameKind, ["/etc/small"])
    }

    func testWrongKindOfANameOfALinkedInode() throws {
        let scene = try Scene(commits: false)
        let inode = try scene.inode("linked")
        scene.volume.changes.names.append(
            NameChange(
                parent: 1, name: Array("one".utf8), collision: 0,
                target: .init(inode: inode, kind: 10)))
        try scene.volume.commit()
        try expect(scene, .nameKind, ["/one"])
    }

    func testChunkWithTheBytesOfAnother() throws {
        let scene = try Scene(commits: false)
        let right = [UInt8](repeating: 4, count: 200)
        let name = right.withUnsafeBytes { scene.store.hasher.name(of: $0, domain: .data) }
        try scene.store.putLie(name, [UInt8](repeating: 5, count: 200))
        try scene.volume.makeFile("a", right)
        try scene.volume.makeFile("b", right)
        try scene.volume.commit()
        XCTAssertEqual(try scene.check(.full).complaints, [])
        let report = try scene.check(.deep)
        XCTAssertEqual(report.complaints.map(\.kind), [.chunkMismatch], report.text)
        XCTAssertEqual(report.complaints.first?.severity, .loss)
        XCTAssertEqual(report.complaints.first?.paths.map(\.text).sorted(), ["/a", "/b"])
        let volume = try XCTUnwrap(try State.open(scene.store.backend).volumes.first)
        let image = try XCTUnwrap(try volume.resolve("/a"))
        XCTAssertThrowsError(try volume.read(image, at: 0, count: 10))
    }

    func testInnerRecipeNodeThatLies() throws {
        let scene = try Scene(commits: false)
        let leaf = try scene.store.writeNode(
            RecipeNode.leaf([.hole(length: 500), .zeros(length: 10)]).encoded(), domain: .recipe)
        for (measures, isRight) in [([510, 510], true), ([510, 500], false)] as [([UInt64], Bool)] {
            let node = RecipeNode.inner(
                level: 1, measures.map { InnerEntry(child: leaf, measure: $0, firstKey: []) })
            let name = try scene.store.writeNode(node.encoded(), domain: .recipe)
            var image = InodeImage(
                inode: scene.volume.nextInode, generation: 1, mode: 0o100644, parent: 1,
                size: node.length, allocatedBytes: 20,
                content: .recipe(NodeReference(name: name, level: 1)))
            scene.volume.nextInode += 1
            image.linkCount = 1
            scene.volume.put(image)
            scene.volume.changes.names.append(
                NameChange(
                    parent: 1, name: Array("inner-\(isRight)".utf8), collision: 0,
                    target: .init(inode: image.inode, kind: 8)))
            try scene.volume.commit()
            if isRight { XCTAssertEqual(try scene.check().complaints, []) }
        }
        try expect(scene, .nodeMalformed, ["/inner-false"])
    }

    func testCookiesTwice() {
        var numbers: [UInt64] = [5, 9, 3, 9, 5]
        XCTAssertEqual(VolumeCheck.firstTwice(&numbers), 5)
        numbers = [3, 1, 2]
        XCTAssertNil(VolumeCheck.firstTwice(&numbers))
    }

    func testWrongStatistics() throws {
        try expect(try scene(root: { $0.statistics.files += 1 }), .statisticsWrong, [])
        try expect(try scene(root: { $0.statistics.logicalBytes += 1 }), .statisticsWrong, [])
    }

    func testOrphanThatHasAName() throws {
        let scene = try Scene(commits: false)
        let inode = try scene.inode("small")
        let image = try XCTUnwrap(scene.volume.images[inode])
        scene.volume.tamperRoot = { root in
            var orphan = image
            orphan.linkCount = 0
            orphan.parent = nil
            root.orphans.append(orphan)
        }
        try scene.volume.checkpoint()
        try expect(scene, .inodeTwice, ["/etc/small"])
    }

    func testMalformedAttributes() throws {
        let scene = try Scene(commits: false)
        var image = try XCTUnwrap(scene.volume.images[try scene.inode("small")])
        image.attributes = .inline([5, 1])
        scene.volume.put(image)
        try scene.volume.commit()
        try expect(scene, .attributesMalformed, ["/etc/small"])
    }

    func testRecipeThatLies() throws {
        let scene = try Scene(commits: false)
        let chunk = [UInt8](repeating: 1, count: 500)
        let name = try scene.store.put(chunk, .data)
        try scene.volume.makeFile(
            "liar", extents: [.data(name, length: 400), .hole(length: 100)],
            reading: [UInt8](repeating: 0, count: 500))
        try scene.volume.commit()
        try expect(scene, .sizeWrong, ["/liar"])
    }

    func testPathsAreBoundedAndCounted() throws {
        let bytes = [UInt8](repeating: 9, count: 333)
        let scene = try Scene(commits: false)
        scene.store.omitted = [
            bytes.withUnsafeBytes { scene.store.hasher.name(of: $0, domain: .data) }
        ]
        for index in 0..<50 { try scene.volume.makeFile("copy-\(index)", bytes) }
        try scene.volume.commit()
        var options = CheckOptions()
        options.pathsMax = 7
        let report = try StoreCheck.run(scene.store.backend, options: options)
        XCTAssertEqual(report.complaints.count, 1)
        XCTAssertEqual(report.complaints[0].paths.count, 7)
        XCTAssertEqual(report.complaints[0].pathCount, 50)
    }
}
