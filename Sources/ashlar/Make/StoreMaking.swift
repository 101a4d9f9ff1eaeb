// Making a store, all but the store itself.
import Console
import DiskFormat
import Glibc
import Platform

/// Makes the first packs of a store in an empty directory (which may have to be made): everything
/// is durable when it returns.
typealias StoreMaker = (
    _ path: String, _ parameters: StoreParameters, _ volume: String
) throws -> Void

/// `ashlar mkfs` with what makes stores handed in.
struct StoreMaking {
    let arguments: MakeArguments
    let output: Output

    /// Checks arguments and place, makes the store, and tells what was made.
    func run(_ make: StoreMaker) throws {
        let parameters = try arguments.parameters()
        try Self.checkPlace(arguments.store)
        try make(arguments.store, parameters, arguments.volume)
        if arguments.json || !arguments.quiet {
            try output.report(report(parameters), asJSON: arguments.json)
        }
        try output.flush()
    }

    private func report(_ parameters: StoreParameters) -> Report {
        [
            "store": .name(Array(arguments.store.utf8)),
            "store_id": .text(parameters.storeID.description),
            "volume": .text(arguments.volume), "chunker": .text(parameters.chunker.label),
            "super_chunk_size": .bytes(UInt64(parameters.superChunkBytes)),
            "pack_size": .bytes(parameters.packBytes), "hash": .text(parameters.hash.label),
            "compression": .text(
                parameters.codec == 0 ? "none" : "zstd:\(parameters.level)"),
        ]
    }

    /// Whether a store may be made there: an empty directory, or none in one that exists.
    ///
    /// - Throws: `notAStore` for whatever is there already, `notFound` where the directory above is
    ///   missing.
    static func checkPlace(_ path: String) throws(CommandFailure) {
        let shown = DisplayText.escaped(path.utf8)
        let calls = LinuxSystemCalls()
        let directory: Descriptor
        do throws(Errno) {
            directory = try calls.open(at: .currentDirectory, path, [.directory], mode: 0)
        } catch {
            switch error {
            case .noSuchFileOrDirectory: return try checkParent(of: path)
            case .notDirectory: throw CommandFailure(.notAStore, "\(shown) is not a directory")
            default: throw CommandFailure(error, "cannot open \(shown)")
            }
        }
        defer { _ = try? calls.close(directory) }
        let isEmpty: Bool
        do throws(Errno) {
            isEmpty = try isEmptyDirectory(directory, calls)
        } catch {
            throw CommandFailure(error, "cannot read \(shown)")
        }
        if isEmpty { return }
        if (try? calls.status(at: directory, "packs"))?.kind == .directory {
            throw CommandFailure(.notAStore, "\(shown) is an Ashlar store already")
        }
        throw CommandFailure(
            .notAStore, "\(shown) is not empty", advice: "A store needs a directory of its own.")
    }

    /// By readdir(3) itself: `SystemCalls.names` leaves out names that are not UTF-8.
    private static func isEmptyDirectory(
        _ directory: Descriptor, _ calls: LinuxSystemCalls
    ) throws(Errno) -> Bool {
        let copy = dup(directory.number)
        if copy < 0 { throw Errno(rawValue: errno) }
        guard let stream = fdopendir(copy) else {
            let reason = errno
            close(copy)
            throw Errno(rawValue: reason)
        }
        defer { closedir(stream) }
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw Errno(rawValue: errno) }
                return true
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name != [0x2e] && name != [0x2e, 0x2e] { return false }
        }
    }

    private static func checkParent(of path: String) throws(CommandFailure) {
        var parts = path.split(separator: "/", omittingEmptySubsequences: true)
        _ = parts.popLast()
        let folder = (path.hasPrefix("/") ? "/" : "./") + parts.joined(separator: "/")
        do throws(Errno) {
            let calls = LinuxSystemCalls()
            let parent = try calls.open(at: .currentDirectory, folder, [.directory], mode: 0)
            try calls.close(parent)
        } catch {
            throw CommandFailure(error, "cannot open \(DisplayText.escaped(folder.utf8))")
        }
    }
}
