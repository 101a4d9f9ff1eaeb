// The end of what the source does not have: only where that was asked for, and after everything else
// was restored.
import Checking
import DiskFormat
import Glibc
import Platform
import Trees

extension Restorer {
    /// Deletes below a directory that was restored what its source does not have.
    func prune(_ path: [UInt8], _ image: InodeImage) throws(RestoreError) {
        guard let root else { return }
        var pending = [(path: path, image: image)]
        while let (path, image) = pending.popLast() {
            if isCancelled() { throw .cancelled }
            do throws(RestoreError) {
                let directory = try self.directory(at: path, below: root)
                let device = try directory.file.status().st_dev
                var hasChanged = false
                for name in try directory.names().sorted(by: {
                    $0.lexicographicallyPrecedes($1)
                }) {
                    let own = Self.join(path, name)
                    let child = try source { () throws(TreeError) in
                        try volume.lookUp(name, in: image).map { entry throws(TreeError) in
                            try volume.image(of: entry)
                        } ?? nil
                    }
                    if let child {
                        if child.isDirectory { pending.append((own, child)) }
                        continue
                    }
                    if try delete(name, in: directory, own, device) { hasChanged = true }
                }
                // The source's times again. In a dry run nothing has changed them.
                if hasChanged, !options.isDryRun {
                    _ = try setAttributes(image, directory.file)
                }
            } catch .system(.noSuchFileOrDirectory, _) where options.isDryRun {
                // It would have been made.
                continue
            } catch {
                try fail(error, path)
            }
        }
    }

    /// Deletes a file, or a directory with all below it that lies on the same filesystem.
    private func delete(
        _ name: [UInt8], in directory: DestinationDirectory, _ path: [UInt8], _ device: dev_t
    ) throws(RestoreError) -> Bool {
        do throws(RestoreError) {
            guard let status = try directory.status(name) else { return false }
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            if isDirectory {
                // What is mounted there is somebody else's.
                guard status.st_dev == device else { throw .inTheWay }
                let below = try directory.openDirectory(name)
                for child in try below.names() {
                    _ = try delete(child, in: below, Self.join(path, child), device)
                }
            }
            if !options.isDryRun { try directory.remove(name, isDirectory: isDirectory) }
            tell(.deleted, path)
            return true
        } catch {
            try fail(error, path)
            return false
        }
    }
}
