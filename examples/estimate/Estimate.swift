/// # Module: estimate — what would Ashlar save?
///
/// Purpose: an example of the libraries below the store. Cuts files as a store would, counts equal
/// chunks once, compresses what is left, and tells what that comes to; nothing is written anywhere.
///
///     estimate DIRECTORY…
///
/// Threads: one. Memory: 32 bytes for each different chunk, and a window of a few mebibytes.
import Chunking
import Compression
import DiskFormat
import Foundation
import Hashing

@main
struct Estimate {
    private let chunker = Chunker(parameters: .gear(meanBytes: 32 << 10))
    private let hasher: ChunkHasher
    private let compression = CompressionPool(idleMax: 1)
    private var scratch = ChunkerScratch()
    private var seen: Set<ChunkName> = []
    /// New chunks gathered for one frame, as a super-chunk would have them.
    private var frame: [UInt8] = []
    private var files = 0
    private var logicalBytes = 0
    private var uniqueBytes = 0
    private var storedBytes = 0

    private static let frameBytes = 1 << 20
    private static let windowBytes = 4 << 20

    private init() throws {
        hasher = try ChunkHasher(.sha256)
    }

    static func main() throws {
        let paths = CommandLine.arguments.dropFirst()
        guard !paths.isEmpty else {
            FileHandle.standardError.write(Data("usage: estimate DIRECTORY...\n".utf8))
            exit(2)
        }
        var estimate = try Estimate()
        for path in paths { estimate.add(path) }
        estimate.closeFrame()
        estimate.tell()
    }

    /// Adds a file, or all regular files below a directory.
    private mutating func add(_ path: String) {
        let manager = FileManager.default
        let names = manager.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
        for file in names.isEmpty ? [path] : names.map({ path + "/" + $0 }) {
            let type = try? manager.attributesOfItem(atPath: file)[.type] as? FileAttributeType
            guard type == .typeRegular else { continue }
            do {
                try addFile(file)
            } catch {
                FileHandle.standardError.write(Data("estimate: \(file): \(error)\n".utf8))
            }
        }
    }

    private mutating func addFile(_ path: String) throws {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? handle.close() }
        files += 1
        var window: [UInt8] = []
        var offset: UInt64 = 0
        var followsZeros = false
        while true {
            let more = try handle.read(upToCount: Self.windowBytes) ?? Data()
            window.append(contentsOf: more)
            logicalBytes += more.count
            let isEnd = more.count < Self.windowBytes
            var cuts: [Cut] = []
            // What is not decided yet comes again, with more behind it.
            let used = window.withUnsafeBytes {
                chunker.cut(
                    $0, at: offset, isEnd: isEnd, followsZeros: followsZeros, into: &cuts,
                    scratch: &scratch)
            }
            take(cuts, of: window)
            followsZeros = cuts.last.map { $0.kind == .zeros } ?? followsZeros
            window.removeFirst(used)
            offset += UInt64(used)
            if isEnd { return }
        }
    }

    private mutating func take(_ cuts: [Cut], of window: [UInt8]) {
        var start = 0
        for cut in cuts {
            defer { start += cut.length }
            guard cut.kind == .data else { continue }
            let name = window.withUnsafeBytes {
                hasher.name(
                    of: UnsafeRawBufferPointer(rebasing: $0[start..<start + cut.length]),
                    domain: .data)
            }
            guard seen.insert(name).inserted else { continue }
            uniqueBytes += cut.length
            frame += window[start..<start + cut.length]
            if frame.count >= Self.frameBytes { closeFrame() }
        }
    }

    private mutating func closeFrame() {
        guard !frame.isEmpty else { return }
        var room = [UInt8](repeating: 0, count: frame.count)
        let compressed = frame.withUnsafeBytes { raw in
            room.withUnsafeMutableBytes {
                compression.compress(raw, into: $0, method: .standard)
            }
        }
        storedBytes += compressed ?? frame.count
        frame.removeAll(keepingCapacity: true)
    }

    private func tell() {
        func line(_ words: String, _ bytes: Int) {
            let percent = logicalBytes == 0 ? 100 : 100 * Double(bytes) / Double(logicalBytes)
            print(String(format: "%@ %12ld  %6.1f %%", words, bytes, percent))
        }
        print("files    \(files), \(seen.count) different chunks")
        line("logical ", logicalBytes)
        line("unique  ", uniqueBytes)
        line("stored  ", storedBytes)
    }
}
