import Backends
import FileModel
import Metadata
import NamespaceIndex
import Pipeline
import XCTest

@testable import Volume

/// An index that can be read and says what cannot be.
final class WrongIndexTests: XCTestCase {
    /// It was looked up, and loaded as the other one, and looked up again.
    func testAnInodeUnderAnothersNumber() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let first = try OpenStore(backend, index)
        let inodes = try ["one", "two"].map {
            try first.volume.makeFile(Array($0.utf8), in: 1).inode
        }
        let number = first.volume.number
        try first.live.close()
        let damaged = index.crash(keepingBatches: .max)
        let store = try XCTUnwrap(damaged.current)
        let other = try XCTUnwrap(store.get(NamespaceKey.inode(number, inodes[1])))
        var batch = MetadataBatch()
        batch.put(NamespaceKey.inode(number, inodes[0]), other)
        try store.write(batch)
        let open = try OpenStore(backend, damaged)
        XCTAssertThrowsError(try open.volume.find(Array("one".utf8), in: 1)) {
            XCTAssertEqual($0 as? FileError, .io)
        }
        XCTAssertThrowsError(try open.volume.attributes(of: inodes[0]))
        XCTAssertEqual(try open.volume.find(Array("two".utf8), in: 1)?.inode, inodes[1])
        try? open.live.close()
    }
}
