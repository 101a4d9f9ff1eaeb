// Purpose: the laws that every codec of the format keeps, checked by one helper.
//
//     1 round trip    decode(encode(x)) == x
//     2 truncation    every proper prefix throws (or, for a list without a count, is canonical)
//     3 bit flips     every one throws, or gives a value that encodes to exactly the flipped bytes;
//                     under a checksum every one throws
//     4 tail          one byte more throws
//     5 noise         random bytes, mutations and splices never trap, and what is accepted is
//                     canonical

import XCTest

@testable import DiskFormat

/// How a type goes to bytes and back, and which latitude its format leaves.
struct Codec<Value: Equatable> {
    var subject: String
    var make: (inout SeededGenerator) -> Value
    var encode: (Value) -> [UInt8]
    var decode: ([UInt8]) throws -> Value
    /// The bytes hold a checksum of themselves.
    var isChecksummed = false
    /// The bytes are a list to their end: a prefix may be a shorter list.
    var isOpenEnded = false
    /// The decoder takes the head of a longer buffer.
    var takesHead = false
    /// Optional parts that the decoder does not know are left out when encoding again.
    var skipsUnknown = false

    static func fromReader(
        _ subject: String, make: @escaping (inout SeededGenerator) -> Value,
        write: @escaping (Value, inout ByteWriter) -> Void,
        read: @escaping (inout ByteReader) throws(FormatError) -> Value
    ) -> Codec {
        Codec(
            subject: subject, make: make,
            encode: { value in
                var writer = ByteWriter()
                write(value, &writer)
                return writer.bytes
            },
            decode: { bytes in
                try bytes.withUnsafeBytes { raw in
                    var reader = ByteReader(raw, "test")
                    let value = try read(&reader)
                    try reader.expectEnd()
                    return value
                }
            })
    }

    /// Whether `bytes` are refused, or accepted as the only form of a value.
    func isRefusedOrCanonical(_ bytes: [UInt8]) -> Bool {
        guard let value = try? decode(bytes) else { return true }
        let again = encode(value)
        return takesHead ? bytes.starts(with: again) : again == bytes
    }
}

extension XCTestCase {
    /// All laws, on fresh random values.
    func assertLaws<Value>(_ codec: Codec<Value>, noise: Int = 20_000) throws {
        var generator = SeededGenerator.announced(codec.subject)
        try assertRoundTrips(codec, &generator)
        assertTruncationsThrow(codec, &generator)
        assertFlipsAreSeen(codec, &generator)
        assertNoiseIsHarmless(codec, &generator, count: noise)
    }

    private func assertRoundTrips<Value>(
        _ codec: Codec<Value>, _ generator: inout SeededGenerator
    ) throws {
        for _ in 0..<300 {
            let value = codec.make(&generator)
            let bytes = codec.encode(value)
            let decoded = try codec.decode(bytes)
            guard decoded == value, codec.encode(decoded) == bytes else {
                return XCTFail("\(codec.subject): \(value) came back as \(decoded)")
            }
            if !codec.takesHead {
                XCTAssertThrowsError(try codec.decode(bytes + [0x41]), "\(codec.subject): tail")
            }
        }
    }

    private func assertTruncationsThrow<Value>(
        _ codec: Codec<Value>, _ generator: inout SeededGenerator
    ) {
        for _ in 0..<5 {
            let bytes = codec.encode(codec.make(&generator))
            for count in 0..<bytes.count {
                let prefix = Array(bytes[..<count])
                let holds =
                    codec.isOpenEnded
                    ? codec.isRefusedOrCanonical(prefix) : (try? codec.decode(prefix)) == nil
                if !holds { return XCTFail("\(codec.subject): accepted \(count) of \(bytes)") }
            }
        }
    }

    /// On the shortest of some samples, to stay quick.
    private func assertFlipsAreSeen<Value>(
        _ codec: Codec<Value>, _ generator: inout SeededGenerator
    ) {
        let samples = (0..<24).map { _ in codec.encode(codec.make(&generator)) }
            .sorted { $0.count < $1.count }
        for sample in [samples[0], samples[samples[0].count < 1024 ? 8 : 1]] {
            var bytes = sample
            for bit in 0..<bytes.count * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8)
                let holds =
                    codec.isChecksummed
                    ? (try? codec.decode(bytes)) == nil : codec.isRefusedOrCanonical(bytes)
                if !holds {
                    return XCTFail("\(codec.subject): flipped bit \(bit), accepted: \(bytes)")
                }
                bytes[bit / 8] ^= 1 << (bit % 8)
            }
        }
    }

    private func assertNoiseIsHarmless<Value>(
        _ codec: Codec<Value>, _ generator: inout SeededGenerator, count: Int
    ) {
        let pool = (0..<32).map { _ in codec.encode(codec.make(&generator)) }
        for _ in 0..<count {
            let bytes = noise(&generator, pool)
            if codec.skipsUnknown {
                _ = try? codec.decode(bytes)
            } else if !codec.isRefusedOrCanonical(bytes) {
                return XCTFail("\(codec.subject): accepted, not canonical: \(bytes)")
            }
        }
    }

    private func noise(_ generator: inout SeededGenerator, _ pool: [[UInt8]]) -> [UInt8] {
        var bytes = generator.pick(pool)
        switch generator.below(4) {
        case 0: return generator.bytes(generator.below(200))
        case 1:
            for _ in 0..<1 + generator.below(4) {
                bytes[generator.below(bytes.count)] = generator.pick([
                    0, 1, 0x7f, 0x80, 0xff, generator.byte(),
                ])
            }
        case 2:
            let other = generator.pick(pool)
            bytes = Array(
                bytes[..<generator.below(bytes.count + 1)]
                    + other[generator.below(other.count + 1)...])
        default:
            let place = generator.below(bytes.count)
            let end = min(bytes.count, place + generator.below(9))
            bytes.replaceSubrange(place..<end, with: generator.bytes(generator.below(9)))
        }
        return bytes
    }
}
