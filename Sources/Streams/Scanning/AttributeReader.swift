import DiskFormat
import Pipeline
import Platform
import Trees

/// Reads the extended attributes of files in one directory. One thread.
struct AttributeReader {
    private let directory: OpenDirectory
    private let sink: ChunkSink

    init(_ directory: OpenDirectory, _ sink: ChunkSink) {
        self.directory = directory
        self.sink = sink
    }

    /// All attributes of a name, where they belong: small ones in place, else in a chunk.
    func read(_ name: [UInt8], _ path: [UInt8]) throws(FileReaders.Failure) -> AttributeStorage {
        var set = AttributeSet()
        var fits = true
        do throws(Errno) {
            for attribute in try directory.attributeNames(name) {
                guard let value = try directory.attribute(name, attribute) else { continue }
                do throws(FormatError) {
                    try set.set(attribute, to: value)
                } catch {
                    fits = false
                }
            }
        } catch {
            throw .problem(ScanProblem(path: path, kind: .failed("read attributes of", error)))
        }
        guard fits else { throw .problem(ScanProblem(path: path, kind: .attributes)) }
        let bytes = set.encoded()
        if bytes.isEmpty { return .none }
        if bytes.count <= DiskFormat.inlineAttributeBytesMax { return .inline(bytes) }
        do throws(TreeError) {
            let name = try bytes.withUnsafeBufferPointer { (buffer) throws(TreeError) in
                try sink.putAttributes(UnsafeRawBufferPointer(buffer))
            }
            return .chunk(name, byteCount: UInt32(bytes.count))
        } catch {
            if let reason = sink.failure { throw .store(reason) }
            throw .tree(error)
        }
    }
}

extension InodeImage {
    /// What the kernel says of a file; without number, names, content and attributes.
    init(facts: FileFacts) {
        func time(_ time: FileFacts.Time) -> DiskTime {
            DiskTime(seconds: time.seconds, nanoseconds: time.nanoseconds)
        }
        self.init(
            inode: 0, generation: facts.inode, mode: facts.mode, owner: facts.owner,
            group: facts.group, size: facts.isRegular ? facts.sizeBytes : 0,
            modificationTime: time(facts.modified), changeTime: time(facts.changed),
            accessTime: time(facts.modified), birthTime: time(facts.born))
        if facts.kind == 2 || facts.kind == 6 {
            device = (facts.deviceMajor, facts.deviceMinor)
        }
    }
}
