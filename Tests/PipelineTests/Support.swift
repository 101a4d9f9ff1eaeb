import Backends
import ChunkIndex
import Compression
import DiskFormat
import Foundation
import Metadata
import NamespaceIndex
import Platform
import XCTest

@testable import Pipeline

/// Repeats itself from ASHLAR_SEED, or from a random seed that it prints.
func seeded(_ test: String = #function) -> SeededGenerator {
    let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap(UInt64.init)
    let seed = given ?? UInt64.random(in: 0 ... .max)
    print("\(test): ASHLAR_SEED=\(seed)")
    return SeededGenerator(seed: seed)
}

extension SeededGenerator {
    mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}

let secret = StoreSecret(high: 3, low: 4)
let volumeID = UniqueID(random: (7, 8))

/// The smallest sizes that the format allows.
func smallParameters(copies: UInt8 = 2) -> StoreParameters {
    StoreParameters(
        storeID: UniqueID(random: (1, 2)), secret: secret, superChunkBytes: 64 << 10,
        packBytes: 1 << 20, metadataCopies: copies)
}

func directory(_ inode: UInt64, parent: UInt64? = nil) -> InodeImage {
    InodeImage(inode: inode, generation: 1, mode: 0o040755, linkCount: 1, parent: parent)
}

func file(
    _ inode: UInt64, parent: UInt64? = 1, size: UInt64 = 0, content: ContentKey = .none
) -> InodeImage {
    InodeImage(
        inode: inode, generation: 1, mode: 0o100644, linkCount: 1, parent: parent, size: size,
        allocatedBytes: size, content: content)
}

func makeStore(
    _ backend: any Backend, _ index: any IndexProvider,
    parameters: StoreParameters = smallParameters()
) throws {
    try ChunkStore.create(
        in: backend, index: index, parameters: parameters,
        volumes: [NewVolume(name: "main", volumeID: volumeID, root: directory(1))])
}

/// Events, in order.
final class EventLog: Sendable {
    private let log = ConditionMutex<[StoreEvent]>([])
    var events: [StoreEvent] { log.withLock { $0 } }
    func add(_ event: StoreEvent) { log.withLock { $0.append(event) } }

    var text: String { events.map { "\($0)" }.joined(separator: "\n") }
}

func options(
    readOnly: Bool = false, workers: Int = 1, log: EventLog? = nil
) -> StoreOptions {
    var options = StoreOptions()
    options.isReadOnly = readOnly
    options.workerCount = workers
    options.memoryBytes = 32 << 20
    options.onEvent = { log?.add($0) }
    return options
}

extension ChunkStore {
    @discardableResult
    func put(_ bytes: [UInt8], _ domain: ChunkDomain = .data) throws(StoreError) -> ChunkName {
        try bytes.withUnsafeBufferPointer { (buffer) throws(StoreError) in
            try put(UnsafeRawBufferPointer(buffer), domain: domain)
        }
    }

    /// A draft with the changes that `body` makes to the only volume.
    func draft(
        checkpoint: Bool = false, _ body: (inout VolumeChanges) throws -> Void
    ) rethrows -> CommitDraft {
        let next = (try? volumes().first?.record.nextInode) ?? 2
        var changes = VolumeChanges(
            volumeID: volumeID, volumeName: "main", epoch: 0, sequence: 0, nextInode: next)
        try body(&changes)
        return CommitDraft(
            volumes: [changes], isCheckpoint: checkpoint, time: DiskTime(seconds: 9, nanoseconds: 0)
        )
    }
}

extension MetadataStore {
    /// Everything of one family, as bytes.
    func family(_ letter: Character) throws -> [[UInt8]: [UInt8]] {
        var result: [[UInt8]: [UInt8]] = [:]
        try scan(prefix: [letter.asciiValue ?? 0]) { key, value in
            result[Array(key)] = Array(value)
            return true
        }
        return result
    }
}

func cookie(_ name: String, collision: UInt8 = 0) -> UInt64 {
    Array(name.utf8).withUnsafeBytes {
        DirectoryCookie.cookie(of: $0, collision: collision, secret: secret)
    }
}
