// The images that are kept are those that the generator makes: a change of the format fails here.
import DiskFormat
import Foundation
import XCTest

final class GeneratorTests: XCTestCase {
    /// libzstd by which images that depend on it were written.
    private static let libraryVersionWritten: UInt32 = 10_504
    /// All images together: they are in git for ever.
    private static let bytesMax = 360 << 10

    private var isWriting: Bool {
        ProcessInfo.processInfo.environment["ASHLAR_WRITE_IMAGES"] == "1"
    }

    /// No image is missing; with ASHLAR_WRITE_IMAGES=1 those that are are written. One that is there is
    /// never written over.
    func testMissingImagesAreWritten() throws {
        for image in GoldenImage.allCases where try ImageFiles.load(image).isEmpty {
            guard isWriting else {
                XCTFail("image \(image.rawValue) is missing")
                continue
            }
            try ImageFiles.write(
                try image.make(),
                to: ImageFiles.folder.appendingPathComponent(image.rawValue))
            print("wrote image \(image.rawValue)")
        }
    }

    func testImagesAreWhatTheGeneratorMakes() throws {
        for image in GoldenImage.allCases {
            let kept = try ImageFiles.load(image)
            let made = try image.make()
            if image.dependsOnLibrary, libraryVersion() != Self.libraryVersionWritten { continue }
            XCTAssertEqual(
                kept.keys.sorted(), made.keys.sorted(), "\(image.rawValue): \(advice)")
            for (name, bytes) in made {
                guard let other = kept[name], other != bytes else { continue }
                let place =
                    zip(other, bytes).enumerated().first { $1.0 != $1.1 }?.offset
                    ?? min(other.count, bytes.count)
                XCTFail("\(image.rawValue): \(name) differs from byte \(place) on. \(advice)")
            }
        }
    }

    /// `ZSTD_versionNumber()`, which our shim has no need of; nil where it is not found.
    private func libraryVersion() -> UInt32? {
        guard let symbol = dlsym(nil, "ZSTD_versionNumber") else { return nil }
        return unsafeBitCast(symbol, to: (@convention(c) () -> UInt32).self)()
    }

    private let advice = """
        The format, or the code that the generator uses, has changed. Stores like this image exist: \
        if the change was not meant, take it back. If it was, it needs a feature bit or a new \
        version, and a new image beside this one (ASHLAR_WRITE_IMAGES=1 swift test --filter \
        GeneratorTests writes those that are missing); old images are never written anew.
        """

    /// The generator depends on nothing but itself.
    func testTheGeneratorRepeatsItself() throws {
        for image in GoldenImage.allCases {
            XCTAssertEqual(try image.make(), try image.make(), image.rawValue)
        }
    }

    func testNothingElseIsAmongTheImages() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: ImageFiles.folder.path)
        XCTAssertEqual(
            names.filter { !$0.hasPrefix(".") }.sorted(),
            GoldenImage.allCases.map(\.rawValue).sorted())
        XCTAssertEqual(
            Set(GoldenImage.allCases.map(\.number)).count, GoldenImage.allCases.count)
        var bytes = 0
        for image in GoldenImage.allCases {
            bytes += try ImageFiles.load(image).values.reduce(0) { $0 + $1.count }
        }
        XCTAssertLessThan(bytes, Self.bytesMax)
    }
}
