import Checking
@testable import Console
import DiskFormat
import Packs
import XCTest

@testable import ashlar

/// Sizes, escaping, reports and exit codes.
final class WordsTests: XCTestCase {
    func testSizesAreRead() {
        let good: [(String, UInt64)] = [
            ("0", 0), ("1", 1), ("64K", 65536), ("64k", 65536), ("64KiB", 65536), ("1M", 1 << 20),
            ("3G", 3 << 30), ("2T", 2 << 40), ("1P", 1 << 50), ("0000", 0),
            ("9223372036854775807", UInt64(Int64.max)),
        ]
        for (text, bytes) in good { XCTAssertEqual(ByteSize.parse(text), bytes, text) }
        let bad = [
            "", "K", "iB", "1KB", "1B", "1iB", "1.5G", "-1", "+1", " 1", "1 K", "1E", "8192P",
            "9223372036854775808", "0x10", "1KiBiB", "١",
        ]
        for text in bad { XCTAssertNil(ByteSize.parse(text), text) }
    }

    func testSizesAreShown() {
        let shown: [(UInt64, String)] = [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"),
            (10 << 10, "10 KiB"), (1_048_575, "1.0 MiB"), (1 << 20, "1.0 MiB"),
            (1023 << 20, "1023 MiB"), (UInt64.max, "16384 PiB"),
        ]
        for (bytes, text) in shown { XCTAssertEqual(ByteSize.text(bytes), text) }
    }

    func testExactSizesAreReadBack() {
        var random = SeededGenerator()
        for shift in 0..<62 {
            let bytes = random.next() >> UInt64(shift + 2)
            XCTAssertEqual(ByteSize.parse(ByteSize.exact(bytes)), bytes)
            XCTAssertEqual(ByteSize.parse(ByteSize.exact(UInt64(1) << shift)), UInt64(1) << shift)
        }
        XCTAssertEqual(ByteSize.exact(65536), "64K")
        XCTAssertEqual(ByteSize.exact(1000), "1000")
    }

    func testNamesAreEscaped() {
        let cases: [([UInt8], String)] = [
            (Array("plain.txt".utf8), "plain.txt"),
            (Array("größe 漢字".utf8), "größe 漢字"),
            (Array("a\nb\u{1b}[2J\u{7f}".utf8), #"a\x0ab\x1b[2J\x7f"#),
            (Array("back\\slash".utf8), #"back\\slash"#),
            ([0x61, 0xff, 0xfe, 0x62], #"a\xff\xfeb"#),
            ([0xc3], #"\xc3"#), ([0xe2, 0x82, 0x41], #"\xe2\x82A"#),
            // C1 controls, an override of direction, a line separator.
            (Array("\u{9b}\u{202e}\u{2028}".utf8), #"\xc2\x9b\xe2\x80\xae\xe2\x80\xa8"#),
            ([], ""),
        ]
        for (bytes, text) in cases { XCTAssertEqual(DisplayText.escaped(bytes), text) }
    }

    /// Whatever the bytes are: one line, no control, and the bytes can be had back.
    func testEscapingLosesNothing() throws {
        var random = SeededGenerator()
        for _ in 0..<2000 {
            let bytes = random.bytes(Int(random.next() % 40))
            let text = DisplayText.escaped(bytes)
            XCTAssertFalse(text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f })
            XCTAssertEqual(unescaped(text), bytes, text)
        }
    }

    private func unescaped(_ text: String) -> [UInt8] {
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                continue
            }
            if rest.first == UInt8(ascii: "\\") {
                result.append(0x5c)
                rest = rest.dropFirst()
            } else {
                let digits = String(decoding: rest.dropFirst().prefix(2), as: UTF8.self)
                result.append(UInt8(digits, radix: 16) ?? 0)
                rest = rest.dropFirst(3)
            }
        }
        return result
    }

    func testReportsAsTextAndJSON() throws {
        let report: Report = [
            "store_id": .text("x"), "size": .bytes(1536), "gone": .none, "ok": .flag(true),
            "name": .name([0x61, 0xff]), "when": .time(0, 5),
            "rows": .table(
                ReportTable(
                    columns: ["name", "bytes"],
                    rows: [[.text("a"), .bytes(1)], [.text("long"), .bytes(2048)]])),
            "inner": .object(["ratio": .ratio(1.23456)]),
        ]
        XCTAssertEqual(
            report.textLines(),
            [
                "store id:  x", "size:      1.5 KiB (1536)", "ok:        yes",
                #"name:      a\xff"#, "when:      1970-01-01T00:00:00.000000005Z", "rows:",
                "  NAME    BYTES", "  a         1 B", "  long  2.0 KiB", "inner:",
                "  ratio:  1.235",
            ])
        XCTAssertEqual(
            try report.json(isCompact: true),
            #"{"gone":null,"inner":{"ratio":1.235},"name":"a\\xff","name_base64":"Yf8=","#
                + #""ok":true,"rows":[{"bytes":1,"name":"a"},{"bytes":2048,"name":"long"}],"#
                + #""size":1536,"store_id":"x","when":"1970-01-01T00:00:00.000000005Z"}"# + "\n")
    }

    func testTimesFarAway() {
        XCTAssertEqual(ReportTime.text(-1, 0), "1969-12-31T23:59:59Z")
        XCTAssertEqual(ReportTime.text(Int64.max, 0), "@\(Int64.max)")
    }

    func testExitCodesOfTheFamilies() {
        for kind in FailureKind.allCases {
            XCTAssertEqual(ProgramFamily.make.exitCode(for: kind), 1)
            XCTAssertTrue([1, 2, 4, 8, 32].contains(ProgramFamily.mount.exitCode(for: kind)))
            XCTAssertTrue([8, 16, 32].contains(ProgramFamily.check.exitCode(for: kind)))
            XCTAssertNotEqual(ProgramFamily.general.exitCode(for: kind), 0)
        }
        XCTAssertEqual(ProgramFamily.mount.exitCode(for: .usage), 1)
        XCTAssertEqual(ProgramFamily.mount.exitCode(for: .busy), 32)
        XCTAssertEqual(ProgramFamily.mount.exitCode(for: .interrupted), 8)
        XCTAssertEqual(ProgramFamily.check.exitCode(for: .usage), 16)
        XCTAssertEqual(ProgramFamily.check.exitCode(for: .interrupted), 32)
        XCTAssertEqual(ProgramFamily.check.exitCode(for: .busy), 8)
        XCTAssertEqual(ProgramFamily.general.exitCode(for: .notAStore), 10)
    }

    /// `.interrupted` is a kind of failure, and an error number too.
    func testWhatASignalEnds() {
        let failure = CommandFailure(.interrupted, "ended by a signal")
        XCTAssertEqual(failure.message, "ended by a signal")
        XCTAssertEqual(ProgramFamily.general.exitCode(for: failure.kind), 130)
        XCTAssertEqual(CommandFailure(CheckingError.cancelled, store: "/s").kind, .interrupted)
    }

    func testErrorsInWords() {
        let pack = PackID(writer: 1, sequence: 2)
        let newer = CommandFailure(.format(.newerVersion(9), pack: pack, offset: 0))
        XCTAssertEqual(newer.kind, .notAStore)
        XCTAssertTrue(newer.message.contains("newer version of Ashlar (format 9"), newer.message)
        let damage = CommandFailure(.format(.checksum("frame"), pack: pack, offset: 4096))
        XCTAssertEqual(damage.kind, .damaged)
        XCTAssertEqual(
            damage.message,
            "pack 0000000000000001-0000000000000002, offset 4096: wrong checksum (frame)")
    }

    func testNamesOfTheProgram() {
        func arguments(_ name: String) -> [String] { Invocation([name, "a", "-n"]).arguments }
        XCTAssertEqual(arguments("/usr/bin/ashlar"), ["a", "-n"])
        XCTAssertEqual(arguments("/sbin/mkfs.ashlar"), ["mkfs", "a", "-n"])
        XCTAssertEqual(arguments("mount.ashlar"), ["mount-helper", "a", "-n"])
        XCTAssertEqual(arguments("mount.fuse.ashlar"), ["mount-helper", "a", "-n"])
        XCTAssertEqual(arguments("./umount.ashlar"), ["umount", "a", "-n"])
        XCTAssertEqual(arguments("umount.fuse.ashlar"), ["umount", "a", "-n"])
        XCTAssertEqual(arguments("fsck.ashlar"), ["fsck", "a", "-n"])
        XCTAssertEqual(Invocation(["ashlar", "umount", "x"]).family, .mount)
        XCTAssertEqual(Invocation(["ashlar", "fsck", "x"]).family, .check)
        XCTAssertEqual(Invocation(["mkfs.ashlar"]).family, .make)
        XCTAssertEqual(Invocation(["ashlar", "dump"]).family, .general)
        XCTAssertEqual(Invocation([]).program, "ashlar")
    }

    func testProgressLine() {
        XCTAssertEqual(
            Progress.line(
                label: "checking", doneBytes: 512 << 20, totalBytes: 1 << 30, seconds: 2,
                detail: "x"),
            "checking  50%  512 MiB of 1.0 GiB  256 MiB/s  0:02 left  x")
    }
}

/// Sizes and times for searching.
final class MeasureTests: XCTestCase {
    func testMeasures() {
        let cases: [(String, UInt64?)] = [
            ("1500", 1500), ("64K", 65_536), ("1.5M", 1_572_864), ("1.5MB", 1_500_000),
            ("64KB", 64_000), ("0.5KiB", 512), ("2b", 2), ("1.2.3M", nil), (".5M", nil),
            ("M", nil), ("-1", nil), ("1X", nil), ("", nil), ("99999999999P", nil),
        ]
        for (text, bytes) in cases { XCTAssertEqual(ByteSize.parseMeasure(text), bytes, text) }
    }

    func testTimes() {
        let cases: [(String, Int64?, UInt32)] = [
            ("1970-01-01", 0, 0), ("2026-11-27T08:00:00Z", 1_795_766_400, 0),
            ("2026-11-27T09:00:00+01:00", 1_795_766_400, 0),
            ("2026-11-27 08:00:00.25z", 1_795_766_400, 250_000_000),
            ("1969-12-31T23:59:59Z", -1, 0), ("@-5", -5, 0), ("@1795766400", 1_795_766_400, 0),
            ("2016-12-31T23:59:60Z", 1_483_228_800, 0), ("2026-02-31", nil, 0),
            ("2026-13-01", nil, 0), ("2026-11-27T25:00:00Z", nil, 0),
            ("2026-11-27T08:00:00", nil, 0), ("2026-11-27T08:00:00.Z", nil, 0),
            ("2026-11-27T08:00:00+1:00", nil, 0), ("yesterday", nil, 0), ("", nil, 0),
        ]
        for (text, seconds, nanoseconds) in cases {
            let expected = seconds.map { DiskTime(seconds: $0, nanoseconds: nanoseconds) }
            XCTAssertEqual(TimeText.parse(text), expected, text)
        }
    }
}
