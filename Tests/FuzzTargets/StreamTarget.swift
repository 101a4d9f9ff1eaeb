// A snapshot or a difference as a file, changed as an input says, then opened, verified and used.
import Checking
import DiskFormat
import Glibc
import Hashing
import Platform
import Streams

/// The fuzzer's way into everything that reads `.snap` and `.diff` files.
///
///     input:  0 which file, and what is done (u8) · edits × 8 bytes
///     edit:   as `Edit`; those that are not of packs change the head, or the table and the trailer
///
///     which file:    0 and 1 of the four of `StreamScene` ·
///                    2 and 3: checksums that are right: none, the file's, records' too, commits' too
///     what is done:  16 read as what it is not, too · 32 the difference is applied back
public final class StreamTarget {
    private let scene: StreamScene
    private let bases: [(forgery: StreamForgery, bytes: [UInt8])]
    private let hasher: ChunkHasher
    /// A file that has no name, and the path of its descriptor.
    private let descriptor: Descriptor
    private let path: String
    private let scratch: ScratchDirectory

    public init() throws {
        hasher = try ChunkHasher(.sha256)
        let hasher = hasher
        scene = try StreamScene()
        bases = scene.files.map { head, packs in
            let forgery = StreamForgery(head: head, packs: packs, hasher)
            return (forgery, forgery.file(isSealed: false, hasher))
        }
        scratch = try ScratchDirectory()
        descriptor = try scratch.unnamedFile()
        path = "/proc/self/fd/\(descriptor.number)"
    }

    deinit { removeScratch() }

    /// Removes what it has made on the machine: for programs that end without giving it up.
    public func removeScratch() {
        _ = try? LinuxSystemCalls().close(descriptor)
        scratch.remove()
    }

    /// Does what an input says.
    ///
    /// - Returns: what is wrong with the program, not with the file; nil where nothing is.
    public func run(_ input: UnsafeRawBufferPointer) -> String? {
        guard let plan = input.first else { return nil }
        let base = bases[Int(plan & 3)]
        let bytes = made(input, base.forgery)
        do {
            try write(bytes)
        } catch {
            return "the file could not be written: \(error)"
        }
        let isOriginal = bytes == base.bytes
        let file: StreamFile
        do {
            file = try StreamFile(path: path, kind: nil)
        } catch {
            return isOriginal ? "refused: \(error)" : nil
        }
        do {
            try file.backend.verify()
        } catch {
            return isOriginal ? "not verified: \(error)" : nil
        }
        if plan >> 2 & 3 == 0, !isOriginal { return "another file passes for what was written" }
        let use = StreamUse(file: file, scene: scene, scratch: scratch, isOriginal: isOriginal)
        if let complaint = use.imported() { return complaint }
        if let complaint = use.applied(isReverse: plan & 32 != 0) { return complaint }
        return plan & 16 == 0 ? nil : use.misread()
    }

    private func made(_ input: UnsafeRawBufferPointer, _ base: StreamForgery) -> [UInt8] {
        var forgery = base
        let sealing = (input.first ?? 0) >> 2 & 3
        for edit in Edit.list(input) {
            if !edit.apply(to: &forgery.packs) { forgery.apply(edit) }
        }
        switch sealing {
        case 2: forgery.packs.seal(.records, hasher)
        case 3: forgery.packs.seal(.chain, hasher)
        default: break
        }
        return forgery.file(isSealed: sealing > 0, hasher)
    }

    private func write(_ bytes: [UInt8]) throws {
        try LinuxSystemCalls().truncate(descriptor, to: 0)
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes {
                pwrite(descriptor.number, $0.baseAddress, $0.count, off_t(done))
            }
            guard count > 0 else { throw Errno(rawValue: errno) }
            done += count
        }
    }
}
