// Packs under wrong names.
import Backends
import DiskFormat
import Packs

extension Repairing {
    /// Gives pack files the names that their headers say, where no right one is in the way. Which
    /// store counts is what most headers say.
    ///
    /// Two packs whose names were swapped go by way of names that are no packs': what an
    /// interruption leaves under those is found again by its header.
    mutating func renameMisnamed() throws(RepairError) {
        let backend = session.target.backend
        do throws(BackendError) {
            let files = try backend.list(prefix: "packs/").map(\.name)
            var owners: [StoreIdentity: Int] = [:]
            var headers: [String: PackHeader] = [:]
            for name in files {
                guard let header = Repairing.header(of: name, in: backend) else { continue }
                headers[name] = header
                owners[StoreIdentity(header.parameters), default: 0] += 1
            }
            guard let store = owners.max(by: { $0.value < $1.value })?.key else { return }
            var wrong = headers.filter {
                $0.value.id.fileName != $0.key && StoreIdentity($0.value.parameters) == store
            }
            // One that lies under its own name stays: the other is a copy.
            wrong = wrong.filter { headers[$0.value.id.fileName]?.id != $0.value.id }
            guard Set(wrong.values.map(\.id)).count == wrong.count, !wrong.isEmpty else { return }
            for (name, header) in wrong {
                try backend.renameFile(name, to: Repairing.wayName(header.id))
            }
            for header in wrong.values {
                try backend.renameFile(Repairing.wayName(header.id), to: header.id.fileName)
            }
            try backend.synchronizeNames()
            let moved = wrong.map { "\($0.key) is \($0.value.id)" }.sorted()
            note(
                .packsRenamed, UInt64(wrong.count), moved.joined(separator: ", "),
                packs: wrong.values.map(\.id).sorted())
        } catch {
            throw .backend(error)
        }
    }

    private static func wayName(_ id: PackID) -> String { "packs/\(id).moving" }

    private static func header(of name: String, in backend: any Backend) -> PackHeader? {
        var bytes = [UInt8](repeating: 0, count: PackHeader.byteCount)
        guard let file = try? backend.openFile(name, writable: false) else { return nil }
        let count = bytes.withUnsafeMutableBytes { try? file.read(at: 0, into: $0) }
        guard count == bytes.count else { return nil }
        return bytes.withUnsafeBytes { try? PackHeader($0) }
    }
}
