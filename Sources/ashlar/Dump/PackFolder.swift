// The packs of a store that may be damaged and may be in use.
import Backends
import Console
import DiskFormat
import Packs
import Platform

/// The packs of a store, opened for reading; nothing is locked or changed.
struct PackFolder {
    let backend: any Backend
    /// Every pack with its file's bytes, ascending.
    let packs: [(id: PackID, fileBytes: UInt64)]

    /// - Throws: `notFound` where there is nothing, `notAStore` where there are no packs.
    init(path: String) throws(CommandFailure) {
        do throws(BackendError) {
            try self.init(DirectoryBackend(path: path, isReadOnly: true))
        } catch {
            if case .noSuchFile = error {
                throw CommandFailure(.notFound, "\(path): no such directory")
            }
            throw CommandFailure(error)
        }
        if packs.isEmpty {
            throw CommandFailure(.notAStore, "\(path) is not an Ashlar store: it has no packs")
        }
    }

    init(_ backend: any Backend) throws(BackendError) {
        self.backend = backend
        packs = try backend.list(prefix: "packs/").compactMap { file in
            PackID(fileName: file.name).map { ($0, file.size) }
        }.sorted { $0.0 < $1.0 }
    }

    /// The pack that `text` names: its id, or a beginning or end of one that no other pack has.
    func pack(named text: String) throws(CommandFailure) -> PackID {
        let found = packs.map(\.id).filter {
            $0.description.hasPrefix(text) || $0.description.hasSuffix(text)
        }
        guard let first = found.first, !text.isEmpty else {
            throw CommandFailure(.notFound, "no pack \(DisplayText.escaped(text.utf8))")
        }
        if found.count > 1, found.allSatisfy({ $0.description != text }) {
            throw CommandFailure(
                .usage, "\(text) may be any of \(found.count) packs",
                advice: found.prefix(8).map(\.description).joined(separator: "\n"))
        }
        return found.first { $0.description == text } ?? first
    }

    /// Opens a pack. Where its header is damaged, with the parameters that another pack tells.
    func open(_ id: PackID) throws(CommandFailure) -> PackReader {
        do throws(PackError) {
            return try PackReader(id, in: backend, expecting: nil)
        } catch {
            // Damage, not something that a newer program would read.
            guard case .format(let damage, _, 0) = error, !damage.isNewer,
                let reader = salvage(id)
            else { throw CommandFailure(error) }
            return reader
        }
    }

    private func salvage(_ id: PackID) -> PackReader? {
        for other in packs where other.id != id {
            guard let sound = try? PackReader(other.id, in: backend, expecting: nil) else {
                continue
            }
            return try? PackReader(
                salvaging: id, in: backend, parameters: sound.header.parameters)
        }
        return nil
    }

    /// `PACK:OFFSET`, the offset in decimal or with 0x.
    func place(_ text: String) throws(CommandFailure) -> (reader: PackReader, offset: UInt64) {
        guard let colon = text.lastIndex(of: ":"),
            let offset = Self.number(text[text.index(after: colon)...])
        else {
            throw CommandFailure(
                .usage, "\(DisplayText.escaped(text.utf8)) is not of the form PACK:OFFSET")
        }
        return (try open(try pack(named: String(text[..<colon]))), offset)
    }

    static func number(_ text: some StringProtocol) -> UInt64? {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }
}
