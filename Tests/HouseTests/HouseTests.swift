import XCTest

/// Keeps the house tidy: the rules of ENGINEERING §2 and §3 that text alone can show, held against
/// the checkout. That each rule can fail is shown by `HouseRuleTests`.
final class HouseTests: XCTestCase {
    private let checkout = Checkout()

    func testEveryModuleHasALevel() throws {
        let folders = try checkout.moduleFolders()
        XCTAssertGreaterThan(folders.count, 10, "found no modules in \(checkout.top.path)")
        assertNone(folders.compactMap { Layers.unknown($0.name) })
    }

    func testManifestPointsDown() throws {
        let manifest = Manifest(text: try checkout.text(of: "Package.swift"))
        XCTAssertGreaterThan(manifest.modules.count, 10, "Package.swift was not understood")
        XCTAssertTrue(
            manifest.modules.contains { !$0.dependencies.isEmpty },
            "no dependency in Package.swift was understood")
        assertNone(manifest.violations)
    }

    func testImportsPointDown() throws {
        var importCount = 0
        var violations: [String] = []
        for folder in try checkout.moduleFolders() {
            for file in try checkout.sources(below: folder.path) where file.path.isSwift {
                let imported = ImportReader.modules(in: file.text)
                importCount += imported.count
                violations += imported.compactMap { module in
                    Layers.violation(of: folder.name, using: module).map { "\(file.path): \($0)" }
                }
            }
        }
        XCTAssertGreaterThan(importCount, 20, "imports were not found")
        assertNone(violations)
    }

    func testFilesAreShort() throws {
        let folders = ["Sources", "Tests", "CFuseShim", "fsck", "examples", "Benchmarks"]
        let files = try folders.flatMap(checkout.sources(below:))
        XCTAssertGreaterThan(files.count, 50, "files were not found")
        assertNone(files.compactMap { TextRules.lengthViolation(path: $0.path, text: $0.text) })
    }

    func testNothingForbiddenInShippedCode() throws {
        let files = try ["Sources", "CFuseShim", "fsck"].flatMap(checkout.sources(below:))
        assertNone(files.flatMap { TextRules.forbiddenWords(path: $0.path, text: $0.text) })
    }

    func testEveryModuleIsExplained() throws {
        let folders = try checkout.moduleFolders()
        assertNone(
            try folders.compactMap { folder in
                TextRules.headingViolation(
                    module: folder.name, files: try checkout.sources(below: folder.path))
            })
    }

    func testTopLevelHoldsWhatItMay() throws {
        guard let paths = try checkout.committedPaths() else {
            throw XCTSkip("no git repository in \(checkout.top.path)")
        }
        XCTAssertTrue(paths.contains("Package.swift"), "git listed another repository")
        assertNone(TextRules.topLevelViolations(paths: paths))
    }

    /// Fails once per complaint, so that all of them are seen in one run.
    private func assertNone(_ complaints: [String], line: UInt = #line) {
        for complaint in complaints { XCTFail(complaint, line: line) }
    }
}

extension String {
    /// Whether this path is one of a Swift file.
    fileprivate var isSwift: Bool { hasSuffix(".swift") }
}
