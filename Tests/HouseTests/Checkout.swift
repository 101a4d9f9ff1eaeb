import Foundation

/// The checkout that these tests were compiled from, read as text. Symbolic links in the path of
/// this file are resolved, so that a build elsewhere over linked folders sees the real tree.
struct Checkout {
    /// A source file: its path relative to the top, and its text.
    typealias File = (path: String, text: String)

    enum CheckoutError: Error {
        case unreadableFolder(path: String)
        case git(exitCode: Int32)
    }

    let top: URL

    /// Finds the top of the checkout from the path of this file, `Tests/HouseTests/…`.
    init() {
        top = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    }

    /// The names of all modules that have a folder, with the folder's path relative to the top.
    func moduleFolders() throws -> [(name: String, path: String)] {
        let names = try FileManager.default
            .contentsOfDirectory(atPath: top.appendingPathComponent("Sources").path)
            .filter { !$0.hasPrefix(".") }.sorted()
        return names.map { ($0, "Sources/\($0)") } + [("fsck", "fsck"), ("CFuseShim", "CFuseShim")]
    }

    /// The Swift, C and C++ files below a folder, in the order of their paths; none where the
    /// folder does not exist. Not those in hidden folders: what was built is not ours.
    func sources(below folder: String) throws -> [File] {
        let url = top.appendingPathComponent(folder)
        guard FileManager.default.fileExists(atPath: url.path) else { return [] }
        guard let walk = FileManager.default.enumerator(atPath: url.path) else {
            throw CheckoutError.unreadableFolder(path: folder)
        }
        let extensions: Set<String> = ["swift", "c", "cpp", "cc", "h", "hpp", "S"]
        let names = walk.compactMap { $0 as? String }
            .filter { extensions.contains(URL(fileURLWithPath: $0).pathExtension) }
            .filter { !$0.split(separator: "/").contains { $0.hasPrefix(".") } }
            .sorted()
        return try names.map { ("\(folder)/\($0)", try text(of: "\(folder)/\($0)")) }
    }

    /// The text of one file.
    func text(of path: String) throws -> String {
        try String(contentsOf: top.appendingPathComponent(path), encoding: .utf8)
    }

    /// The paths of all files that git keeps, or nil where there is no repository (a release's
    /// archive) or no git.
    func committedPaths() throws -> [String]? {
        let git = "/usr/bin/git"
        let files = FileManager.default
        guard files.fileExists(atPath: top.appendingPathComponent(".git").path),
            files.isExecutableFile(atPath: git)
        else { return nil }
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: git)
        process.arguments = ["-c", "safe.directory=\(top.path)", "-C", top.path, "ls-files", "-z"]
        process.standardOutput = output
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw CheckoutError.git(exitCode: process.terminationStatus)
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\0").map(String.init)
    }
}
