import Platform

extension DirectoryBackend {
    /// Walks the folders from the last `/` of `prefix` down. Only regular files with valid names are
    /// files of the backend; what disappears meanwhile is left out.
    public func list(prefix: String) throws(BackendError) -> [(name: String, size: UInt64)] {
        var folders = [try BackendName.folder(ofPrefix: prefix)]
        var files: [(name: String, size: UInt64)] = []
        while let folder = folders.popLast() {
            for part in try parts(of: folder) {
                let name = BackendName.join(folder, part)
                guard name.hasPrefix(prefix), BackendName.isValid(name) else { continue }
                guard let status = try status(name) else { continue }
                switch status.kind {
                case .regular: files.append((name, status.sizeBytes))
                case .directory: folders.append(name)
                case .symbolicLink, .other: continue
                }
            }
        }
        return files.sorted { BackendName.precedes($0.name, $1.name) }
    }

    private func parts(of folder: String) throws(BackendError) -> [String] {
        let path = folder.isEmpty ? "." : folder
        let descriptor: Descriptor
        do {
            descriptor = try systemCalls.open(at: root, path, [.directory], mode: 0)
        } catch {
            if error == .noSuchFileOrDirectory || error == .notDirectory { return [] }
            throw BackendError(error, name: path, call: "open")
        }
        defer { systemCalls.closeQuietly(descriptor) }
        return try run(path, "readdir") { () throws(Errno) in
            try systemCalls.names(in: descriptor)
        }
    }

    private func status(_ name: String) throws(BackendError) -> FileStatus? {
        do {
            return try systemCalls.status(at: root, name)
        } catch {
            if error == .noSuchFileOrDirectory { return nil }
            throw BackendError(error, name: name, call: "stat")
        }
    }
}
