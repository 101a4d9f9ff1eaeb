import XCTest

/// Shows that each rule of the house complains of made-up bad input, and of nothing else.
final class HouseRuleTests: XCTestCase {
    func testLayersRefuseUpAndSideways() {
        XCTAssertNil(Layers.violation(of: "Chunking", using: "DiskFormat"))
        XCTAssertNil(Layers.violation(of: "Chunking", using: "Glibc"))
        XCTAssertNotNil(Layers.violation(of: "DiskFormat", using: "Chunking"))
        XCTAssertNotNil(Layers.violation(of: "Chunking", using: "Hashing"))
        XCTAssertNotNil(Layers.violation(of: "Platform", using: "DiskFormat"))
        XCTAssertNotNil(Layers.violation(of: "Mount", using: "Server"))
        XCTAssertNotNil(Layers.violation(of: "Mount", using: "ashlar"))
    }

    func testOnlyMountUsesTheShim() {
        XCTAssertNil(Layers.violation(of: "Mount", using: "CFuseShim"))
        for module in Layers.modulesByLevel.joined() where module != "Mount" {
            XCTAssertNotNil(Layers.violation(of: module, using: "CFuseShim"), module)
        }
    }

    func testCheckingIsIndependentOfThePipeline() {
        XCTAssertNil(Layers.violation(of: "Checking", using: "Packs"))
        XCTAssertNil(Layers.violation(of: "Volume", using: "Pipeline"))
        XCTAssertNotNil(Layers.violation(of: "Checking", using: "Pipeline"))
    }

    func testFoundationStaysInTheFaces() {
        XCTAssertNil(Layers.violation(of: "Server", using: "FoundationEssentials"))
        XCTAssertNotNil(Layers.violation(of: "Server", using: "Foundation"))
        XCTAssertNil(Layers.violation(of: "fsck", using: "FoundationEssentials"))
        XCTAssertNotNil(Layers.violation(of: "Volume", using: "Foundation"))
        XCTAssertNotNil(Layers.violation(of: "DiskFormat", using: "FoundationEssentials"))
    }

    func testUnknownModuleIsNamedWithItsRemedy() throws {
        XCTAssertNil(Layers.unknown("Packs"))
        let message = try XCTUnwrap(Layers.unknown("Mortar"))
        XCTAssertTrue(message.contains("Mortar") && message.contains("add it"), message)
        XCTAssertNotNil(Layers.violation(of: "Mortar", using: "Packs"))
    }

    func testEveryModuleHasOneLevel() {
        let all = Array(Layers.modulesByLevel.joined())
        XCTAssertEqual(Set(all).count, all.count)
    }

    func testImportsAreFoundInEveryForm() {
        let text = """
            // import Commented
            import Plain
                import Indented
            @testable import Tested
            @_exported import struct SystemPackage.Errno
            @_spi(Store) public import Spied
            package import Packaged // why
            import First; import Second
            let important = "import"
            """
        XCTAssertEqual(
            ImportReader.modules(in: text),
            [
                "Plain", "Indented", "Tested", "SystemPackage", "Spied", "Packaged", "First",
                "Second",
            ])
    }

    func testManifestIsRead() {
        let manifest = Manifest(
            text: """
                func layer(_ name: String) -> Target { .target(name: name) }
                let system = .product(name: "SystemPackage", package: "swift-system")
                let package = Package(targets: [
                    shim("CZstd", libraries: ["zstd"]),
                    // layer("Gone", ["Packs"]),
                    layer("Packs", ["Backends", system,
                        .product(name: "Logging", package: "swift-log")]),
                    .executableTarget(
                        name: "ashlar", dependencies: ["Mount", "Server"], path: "Sources/ashlar"),
                    suite("PacksTests", ["Packs"]),
                ])
                """)
        XCTAssertEqual(
            manifest.modules.sorted { $0.name < $1.name },
            [
                Manifest.Module(name: "CZstd", dependencies: []),
                Manifest.Module(name: "Packs", dependencies: ["Backends"]),
                Manifest.Module(name: "ashlar", dependencies: ["Mount", "Server"]),
            ])
        XCTAssertEqual(manifest.violations, [])
    }

    func testManifestThatPointsUpIsRefused() {
        let text = """
            targets: [
                layer("Packs", ["Pipeline"]), layer("Mortar", []), layer("Volume", ["Sand"]),
                layer("Checking", ["Pipeline"]), layer("Server", ["CFuseShim"]),
            ]
            """
        XCTAssertEqual(Manifest(text: text).violations.count, 5)
    }

    func testLongFilesAreRefused() {
        let most = String(repeating: "\n", count: TextRules.fileLinesMax)
        XCTAssertNil(TextRules.lengthViolation(path: "a", text: most))
        XCTAssertNil(TextRules.lengthViolation(path: "a", text: ""))
        XCTAssertNotNil(TextRules.lengthViolation(path: "a", text: most + "x"))
        XCTAssertNotNil(TextRules.lengthViolation(path: "a", text: most + "\n"))
    }

    func testForbiddenWordsAreFoundWithTheirLine() {
        for word in TextRules.forbiddenWords {
            let found = TextRules.forbiddenWords(path: "a", text: "x\n\n  // \(word): y\n")
            XCTAssertEqual(found, ["a:3: \(word) has no place here"])
        }
        XCTAssertEqual(
            TextRules.forbiddenWords(path: "a", text: "try? f(); HACKATHON(mkXXXXXX); retry!"), [])
        XCTAssertEqual(
            TextRules.forbiddenWords(path: "a", text: "try!f(); fatalError(\"x\")").count, 2)
    }

    func testUnexplainedModulesAreRefused() {
        func complaint(_ path: String, _ text: String) -> String? {
            TextRules.headingViolation(module: "M", files: [("M/Other.\(path)", text)])
        }
        XCTAssertNil(complaint("swift", "/// # M: what for\n"))
        XCTAssertNil(complaint("swift", "// # M: what for\n"))
        XCTAssertNotNil(complaint("swift", "/// What for.\n"))
        XCTAssertNotNil(complaint("swift", "import Glibc\n/// # M: too late\n"))
        XCTAssertNil(complaint("h", "/* What for. */\n"))
        XCTAssertNotNil(complaint("h", "#pragma once\n/* Too late. */\n"))
        XCTAssertNotNil(complaint("c", "/* A C module wants a header. */\n"))
        XCTAssertNil(TextRules.headingViolation(module: "M", files: []))
    }

    func testStrangersAtTheTopAreRefused() {
        let allowed = ["Package.swift", "Sources/M/A.swift", ".gitignore", ".ci/run", "docs/A.md"]
        XCTAssertEqual(TextRules.topLevelViolations(paths: allowed), [])
        XCTAssertEqual(
            TextRules.topLevelViolations(paths: allowed + ["notes.txt", "src/a.c", "src/b.c"])
                .count,
            2)
    }
}
