// Where an interrupted deep check leaves off.
import Backends
import Console
import Glibc
import Platform

/// The note of a store's deep check: `STORE/check-note`, or with `-n`, which changes nothing in the
/// store, a file in the user's state directory that is named by the store's path.
///
/// A note is a convenience: what cannot be written or read costs time at the next check, and one
/// that belongs to another store or state is passed over by the checker.
struct CheckNotes {
    static let fileName = "check-note"
    static let noteBytesMax = 16 << 20

    private let folder: String
    private let name: String

    /// - Parameter isOutside: keeps the note out of the store.
    init(storePath: String, isOutside: Bool) {
        guard isOutside else {
            folder = storePath
            name = Self.fileName
            return
        }
        folder = Self.stateFolder() + "/ashlar"
        let real = realpath(storePath, nil)
        defer { free(real) }
        let path = real.map { String(cString: $0) } ?? storePath
        // FNV-1a, 64 bits: a short name that differs from path to path.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in path.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        name = "\(Self.fileName)-\(String(hash, radix: 16))"
    }

    /// XDG Base Directory Specification: $XDG_STATE_HOME, or $HOME/.local/state.
    private static func stateFolder() -> String {
        if let state = getenv("XDG_STATE_HOME").map({ String(cString: $0) }), state.hasPrefix("/") {
            return state
        }
        let home = getenv("HOME").map { String(cString: $0) } ?? "/root"
        return home + "/.local/state"
    }

    func read() -> [UInt8]? {
        guard let backend = try? DirectoryBackend(path: folder, isReadOnly: true) else {
            return nil
        }
        return try? backend.readWhole(name, limitBytes: Self.noteBytesMax)
    }

    /// Keeps the note; the reason where that fails.
    func write(_ note: [UInt8]) -> String? {
        do {
            makeFolders()
            try DirectoryBackend(path: folder).writeWhole(name, note)
            return nil
        } catch {
            return "the note to go on from could not be kept: \(error)"
        }
    }

    func remove() {
        // It may never have been written.
        try? DirectoryBackend(path: folder).removeFile(name)
    }

    /// The state directory and those above it, for their owner only.
    private func makeFolders() {
        var path = ""
        for part in folder.split(separator: "/") {
            path += "/" + part
            mkdir(folder.hasPrefix("/") ? path : String(path.dropFirst()), 0o700)
        }
    }
}
