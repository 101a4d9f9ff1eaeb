import Backends
import DiskFormat
import Hashing
import Platform

/// Makes a `.snap` or `.diff` file of the packs of a store that nobody writes any more.
public struct StreamFileWriter {
    private let output: OpenDirectory
    private let name: [UInt8]
    private let calls = LinuxSystemCalls()

    /// - Parameters:
    ///   - directory: where the file is to be.
    ///   - name: of the file there; one that is there is replaced when the new one is whole.
    public init(in directory: OpenDirectory, name: [UInt8]) {
        output = directory
        self.name = name
    }

    /// Writes the file, durable when this returns. One that is not finished has another name.
    ///
    /// - Returns: its bytes.
    public func write(
        _ head: StreamHead, packsOf backend: any Backend, isCancelled: () -> Bool = { false }
    ) throws(StreamFileError) -> UInt64 {
        let temporary = Array((".ashlar-" + String(randomUInt64(), radix: 16)).utf8)
        let file: Descriptor
        do throws(Errno) {
            file = try output.createFile(temporary, mode: 0o600)
        } catch {
            throw .system("create", error)
        }
        defer { _ = try? calls.close(file) }
        do throws(StreamFileError) {
            let size = try fill(file, head, backend, isCancelled)
            do throws(Errno) {
                try calls.synchronize(file)
                try output.rename(temporary, to: name)
                try calls.synchronize(output.descriptor)
            } catch {
                throw .system("write", error)
            }
            return size
        } catch {
            // The first failure is the one to tell.
            _ = try? output.remove(temporary, isDirectory: false)
            throw error
        }
    }

    private func fill(
        _ file: Descriptor, _ head: StreamHead, _ backend: any Backend,
        _ isCancelled: () -> Bool
    ) throws(StreamFileError) -> UInt64 {
        let headBytes = head.encoded()
        try put(headBytes, to: file, at: 0)
        var table = StreamTable(sections: [])
        let packs = try StreamFileError.stored { () throws(BackendError) in
            try backend.list(prefix: "packs/")
        }
        for pack in packs {
            guard let id = PackID(fileName: pack.name) else { continue }
            let source = try StreamFileError.stored { () throws(BackendError) in
                try backend.openFile(pack.name, writable: false)
            }
            let offset = table.offset
            let digest = try copy(source, pack.size, to: file, at: offset, isCancelled)
            table.sections.append(
                .init(pack: id, offset: offset, byteCount: pack.size, digest: digest))
        }
        let tail = table.encoded(head: headBytes)
        try put(tail, to: file, at: table.offset)
        return table.offset + UInt64(tail.count)
    }

    /// Returns the digest of what was copied.
    private func copy(
        _ source: any BackendFile, _ size: UInt64, to file: Descriptor, at offset: UInt64,
        _ isCancelled: () -> Bool
    ) throws(StreamFileError) -> ChunkName {
        let hasher: ChunkHasher
        do throws(HashingError) {
            hasher = try ChunkHasher(.sha256)
        } catch {
            throw .store(.hashing(error))
        }
        hasher.begin(domain: .data)
        var done: UInt64 = 0
        while done < size {
            if isCancelled() { throw .cancelled }
            var bytes = [UInt8](repeating: 0, count: Int(min(1 << 20, size - done)))
            let count = try StreamFileError.stored { () throws(BackendError) in
                try bytes.filling { (buffer) throws(BackendError) in
                    try source.read(at: done, into: buffer)
                }
            }
            guard count == bytes.count else { throw .format(.truncated("pack")) }
            bytes.withUnsafeBytes { hasher.update($0) }
            try put(bytes, to: file, at: offset + done)
            done += UInt64(count)
        }
        return hasher.finish()
    }

    private func put(
        _ bytes: [UInt8], to file: Descriptor, at offset: UInt64
    ) throws(StreamFileError) {
        var done = 0
        do throws(Errno) {
            while done < bytes.count {
                done += try bytes.borrowing { (raw) throws(Errno) in
                    let vector = IOVector(
                        iov_base: UnsafeMutableRawPointer(
                            mutating: raw.baseAddress.map { $0 + done }),
                        iov_len: raw.count - done)
                    return try withUnsafePointer(to: vector) { (pointer) throws(Errno) in
                        try calls.write(
                            file, UnsafeBufferPointer(start: pointer, count: 1),
                            at: offset + UInt64(done))
                    }
                }
            }
        } catch {
            throw .system("write", error)
        }
    }
}

extension [UInt8] {
    /// As `borrowing`, to be written into.
    mutating func filling<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeMutableBufferPointer { (buffer) throws(Failure) in
            try body(UnsafeMutableRawBufferPointer(buffer))
        }
    }
}
