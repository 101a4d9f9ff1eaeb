import Platform

/// A first walk through a source that only counts: what percentages are made of.
public struct ScanSizing: Sendable {
    /// Everything that has a name.
    public private(set) var entries: UInt64 = 0
    /// Sum of the sizes of regular files.
    public private(set) var logicalBytes: UInt64 = 0

    public init() {}

    /// Walks. What cannot be read is not counted: the scan tells of it.
    ///
    /// - Parameter onProgress: now and then.
    /// - Returns: false where `isCancelled` ended it.
    public mutating func run(
        _ source: OpenDirectory, _ options: ScanOptions, isCancelled: () -> Bool,
        onProgress: (ScanSizing) -> Void
    ) -> Bool {
        guard let device = try? source.facts().device else { return true }
        var pending = [(directory: source, name: [UInt8](), path: [UInt8](), depth: 0)]
        while let next = pending.popLast() {
            // Opened late: descriptors are few, and directories may be many.
            let opened = next.name.isEmpty ? source : try? next.directory.directory(next.name)
            guard let directory = opened,
                let names = try? directory.names()
            else { continue }
            let base = next.path.isEmpty ? [] : next.path + [UInt8(ascii: "/")]
            for index in 0..<names.count {
                if isCancelled() { return false }
                let name = names[index]
                guard let facts = try? directory.facts(name),
                    !options.omitted.contains(FileIdentity(facts)),
                    !options.isExcluded(base + name, facts.isDirectory)
                else { continue }
                entries += 1
                if facts.isRegular { logicalBytes &+= facts.sizeBytes }
                let isFarther =
                    options.staysOnFilesystem && facts.device != device
                    || options.depthMax.map { next.depth + 1 >= $0 } ?? false
                guard facts.isDirectory, !isFarther else { continue }
                pending.append((directory, name, base + name, next.depth + 1))
            }
            onProgress(self)
        }
        return true
    }
}
