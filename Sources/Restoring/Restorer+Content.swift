// Bytes of files: read from the source in big runs, written, and compared.
import CLinux
import Checking
import DiskFormat
import Glibc
import Platform
import Trees

extension Restorer {
    /// Bytes of one read of the source: several super-chunks, each decompressed once.
    private static let runBytes: UInt64 = 4 << 20

    /// Writes all of a file's content: data where data is, nothing where holes are.
    func writeContent(_ image: InodeImage, to file: OpenFile) throws(RestoreError) {
        try Calls.check(ftruncate(file.descriptor, off_t(image.size)), "ftruncate")
        try forEachRun(of: image) { (range, isData) throws(RestoreError) in
            guard isData else {
                // Space that nothing was written to; without it the zeros are a hole.
                let length = Int64(range.upperBound - range.lowerBound)
                _ = ashlar_fallocate(file.descriptor, 0, Int64(range.lowerBound), length)
                return
            }
            let bytes = try source { () throws(TreeError) in
                try volume.read(
                    image, at: range.lowerBound, count: Int(range.upperBound - range.lowerBound))
            }
            try Self.write(bytes, to: file, at: range.lowerBound)
            try progress(doneBytes: UInt64(bytes.count), writtenBytes: UInt64(bytes.count))
        }
    }

    /// Visits runs of data, and of zeros that have space of their own, in order.
    private func forEachRun(
        of image: InodeImage, _ body: (Range<UInt64>, Bool) throws(RestoreError) -> Void
    ) throws(RestoreError) {
        var run: Range<UInt64>?
        var failure: RestoreError?
        func flush() -> Bool {
            guard let range = run else { return true }
            run = nil
            do throws(RestoreError) {
                try body(range, true)
                return true
            } catch {
                failure = error
                return false
            }
        }
        try source { () throws(TreeError) in
            try volume.forEachExtent(of: image) { extent in
                guard case .data = extent.source else {
                    guard flush() else { return false }
                    guard case .zeros = extent.source else { return true }
                    do throws(RestoreError) {
                        try body(extent.range, false)
                        return true
                    } catch {
                        failure = error
                        return false
                    }
                }
                let start = run?.lowerBound ?? extent.range.lowerBound
                run = start..<extent.range.upperBound
                return extent.range.upperBound - start < Self.runBytes || flush()
            }
        }
        if failure == nil { _ = flush() }
        if let failure { throw failure }
    }

    private static func write(
        _ bytes: [UInt8], to file: OpenFile, at offset: UInt64
    ) throws(RestoreError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { raw in
                pwrite(
                    file.descriptor, raw.baseAddress.map { $0 + done }, raw.count - done,
                    off_t(offset) + off_t(done))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw .system(Errno(rawValue: count < 0 ? errno : EIO), call: "pwrite")
            }
            done += count
        }
    }

    // MARK: comparing

    /// What was written, read from the medium and not from memory.
    func verify(_ image: InodeImage, _ file: OpenFile) throws(RestoreError) {
        try Calls.check(fdatasync(file.descriptor), "fdatasync")
        guard try hasContent(image, file) else { throw .notWhatWasWritten }
    }

    /// Whether a file has the source's bytes, no more and no fewer.
    func hasContent(_ image: InodeImage, _ file: OpenFile) throws(RestoreError) -> Bool {
        _ = posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED)
        guard try UInt64(file.status().st_size) == image.size else { return false }
        var offset: UInt64 = 0
        while offset < image.size {
            let position = offset
            let expected = try source { () throws(TreeError) in
                try volume.read(image, at: position, count: Int(Self.runBytes))
            }
            guard try Self.read(file, at: offset, count: expected.count) == expected else {
                return false
            }
            offset += UInt64(expected.count)
            try progress(doneBytes: 0)
        }
        return true
    }

    /// Fewer only at the end.
    private static func read(
        _ file: OpenFile, at offset: UInt64, count: Int
    ) throws(RestoreError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let part = bytes.withUnsafeMutableBytes { raw in
                pread(
                    file.descriptor, raw.baseAddress.map { $0 + done }, count - done,
                    off_t(offset) + off_t(done))
            }
            if part < 0, errno == EINTR { continue }
            guard part >= 0 else { throw .system(Errno(rawValue: errno), call: "pread") }
            if part == 0 { return Array(bytes.prefix(done)) }
            done += part
        }
        return bytes
    }

    /// Makes everything below the destination durable.
    func synchronize(_ root: DestinationDirectory) throws(RestoreError) {
        try Calls.check(ashlar_syncfs(root.file.descriptor), "syncfs")
    }
}
