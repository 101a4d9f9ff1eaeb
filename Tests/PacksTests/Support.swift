import Backends
import DiskFormat
import Foundation
import Packs
import XCTest

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), begun with ASHLAR_SEED or a random seed, which it
/// prints.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(_ test: String = #function) {
        let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap { UInt64($0) }
        state = given ?? UInt64.random(in: 0...UInt64.max)
        print("\(test): ASHLAR_SEED=\(state)")
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}

let parametersA = StoreParameters(
    storeID: UniqueID(random: (1, 2)), secret: StoreSecret(high: 3, low: 4),
    packBytes: StoreParameters.packBytesRange.lowerBound)
let parametersB = StoreParameters(
    storeID: UniqueID(random: (5, 6)), secret: StoreSecret(high: 7, low: 8))
let packOne = PackID(writer: 0xabcd, sequence: 1)
let packTwo = PackID(writer: 0xabcd, sequence: 2)
let headerEnd = UInt64(PackHeader.byteCount)

func makeWriter(
    _ backend: any Backend, _ id: PackID = packOne, parameters: StoreParameters = parametersA
) throws -> PackWriter {
    try PackWriter.create(
        in: backend, parameters: parameters, id: id, role: .main, now: (1_700_000_000, 5))
}

extension PackWriter {
    /// A record of one body, as commits are.
    @discardableResult
    func append(commit body: [UInt8]) throws -> UInt64 {
        try body.withUnsafeBytes { bytes in
            try append(
                PendingRecord(
                    kind: .commit, parts: [bytes], rawBytes: UInt32(bytes.count),
                    checksum: BodyChecksum(of: bytes)))
        }
    }

    /// A super-chunk of frames without compression, one chunk in each.
    @discardableResult
    func append(frames: [[UInt8]]) throws -> UInt64 {
        let prefix = makePrefix(frames)
        let head = prefix.encoded()
        let bodies = frames.flatMap { $0 }
        return try head.withUnsafeBytes { head in
            try bodies.withUnsafeBytes { bodies in
                try append(
                    PendingRecord(
                        kind: .superChunk, parts: [head, bodies], rawBytes: UInt32(bodies.count),
                        frameCount: UInt16(frames.count), itemCount: UInt32(frames.count),
                        checksum: BodyChecksum(of: head)))
            }
        }
    }
}

func makePrefix(_ frames: [[UInt8]]) -> SuperChunkPrefix {
    SuperChunkPrefix(
        frames: frames.map { frame in
            SuperChunkPrefix.Frame(
                storedBytes: UInt32(frame.count), rawBytes: UInt32(frame.count), codec: 0,
                checksum: frame.withUnsafeBytes { BodyChecksum(of: $0) })
        },
        chunks: frames.enumerated().map { index, frame in
            SuperChunkPrefix.Chunk(
                name: ChunkName(w0: UInt64(index), w1: 1, w2: 2, w3: 3),
                rawBytes: UInt32(frame.count), domain: .data)
        })
}

func contents(_ backend: any Backend, _ id: PackID = packOne) throws -> [UInt8] {
    try backend.readWhole(id.fileName, limitBytes: 1 << 30)
}

/// A backend with one pack of these bytes.
func backend(with bytes: [UInt8], _ id: PackID = packOne) throws -> MemoryBackend {
    let backend = MemoryBackend()
    try backend.writeWhole(id.fileName, bytes)
    return backend
}

func openA(_ backend: any Backend, _ id: PackID = packOne) throws -> PackReader {
    try PackReader(id, in: backend, expecting: StoreIdentity(parametersA))
}

/// What a scan tells; traps loops by a bound on its steps.
struct ScanResult {
    var offsets: [UInt64] = []
    var damaged: [Range<UInt64>] = []
    var end: PackEnd

    init(_ reader: PackReader, from start: UInt64 = headerEnd) throws {
        var scanner = try PackScanner(reader, from: start)
        var position = start
        for _ in 0..<100_000 {
            switch try scanner.next() {
            case .record(let offset, let header):
                XCTAssertEqual(offset, position)
                offsets.append(offset)
                position = offset + header.recordBytes
            case .damaged(let range):
                XCTAssertEqual(range.lowerBound, position)
                damaged.append(range)
                position = range.upperBound
            case .end(let end):
                XCTAssertEqual(end.offset, position)
                XCTAssertEqual(try scanner.next(), .end(end))
                self.end = end
                return
            }
        }
        throw PackError.full(pack: reader.id)
    }
}

func assertThrows<Result>(
    _ call: @autoclosure () throws -> Result, _ isExpected: (PackError) -> Bool,
    file: StaticString = #filePath, line: UInt = #line
) {
    XCTAssertThrowsError(try call(), file: file, line: line) { error in
        guard let error = error as? PackError, isExpected(error) else {
            return XCTFail("unexpected: \(error)", file: file, line: line)
        }
    }
}

func isFormat(_ error: PackError) -> Bool {
    if case .format = error { return true }
    return false
}
