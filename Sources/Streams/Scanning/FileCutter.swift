import Chunking
import DiskFormat
import Folding
import Platform
import Trees

/// What was made of a file's content.
struct CutFile: Equatable, Sendable {
    var key: ContentKey
    /// Bytes that were there to be read: the size that the key makes.
    var size: UInt64
    var allocatedBytes: UInt64
}

/// Cuts open files into the chunks of their keys. One for each worker; one thread.
///
/// Memory: the folder's window, and the map of a file's holes, in steps of so many that it is
/// bounded.
final class FileCutter {
    enum Failure: Error {
        case cancelled
        case reading(Errno)
        /// It has become shorter.
        case shrunk
        case tree(TreeError)
    }

    /// Stretches of data between holes that are folded in one step.
    private static let extentsPerStep = 4096

    let sink: ChunkSink
    private let folder: Folder<ChunkSink>
    private let isCancelled: @Sendable () -> Bool
    private let onRead: @Sendable (Int) -> Void

    /// - Parameters:
    ///   - isCancelled: asked once a window.
    ///   - onRead: told of bytes that were read.
    init(
        _ chunker: ChunkerParameters, _ sink: ChunkSink,
        isCancelled: @escaping @Sendable () -> Bool, onRead: @escaping @Sendable (Int) -> Void
    ) {
        self.sink = sink
        folder = Folder(chunker: Chunker(parameters: chunker), store: sink)
        self.isCancelled = isCancelled
        self.onRead = onRead
    }

    /// The key of the first `size` bytes of an open file.
    ///
    /// - Parameter mayHaveHoles: false spares looking for them.
    func cut(
        _ file: Descriptor, size: UInt64, mayHaveHoles: Bool
    ) throws(Failure) -> CutFile {
        sink.reset()
        let bytes = OpenFileBytes(file, isCancelled: isCancelled, onRead: onRead)
        var content = StoredContent()
        var position: UInt64 = 0
        var extentsMax = FileCutter.extentsPerStep
        while true {
            let (patches, end) = try extents(
                of: file, from: position, to: size, mayHaveHoles, limit: extentsMax)
            let isLast = end >= size
            let result: FoldResult
            do throws(TreeError) {
                result = try folder.fold(
                    content, patches: patches, bytes: bytes, newSize: isLast ? size : end,
                    mode: isLast ? .complete : .upToDecidedCut)
            } catch {
                if let failure = bytes.failure { throw failure }
                throw .tree(error)
            }
            if let failure = bytes.failure { throw failure }
            if isLast {
                return CutFile(
                    key: result.content.key, size: size, allocatedBytes: result.allocatedBytes)
            }
            // Where no cut was decided within so many extents, more of them are taken.
            if result.foldedSize == position { extentsMax *= 2 }
            content = result.content
            position = result.foldedSize
        }
    }

    /// Where the file has data, as patches; and up to where they are all there are.
    private func extents(
        of file: Descriptor, from start: UInt64, to size: UInt64, _ mayHaveHoles: Bool, limit: Int
    ) throws(Failure) -> ([Patch], end: UInt64) {
        guard size > 0, mayHaveHoles else {
            return (size > start ? [Patch(range: start..<size, kind: .bytes)] : [], size)
        }
        var patches: [Patch] = []
        var position = start
        while position < size {
            guard patches.count < limit else { return (patches, position) }
            let data: UInt64?
            var end = size
            do throws(Errno) {
                data = try OpenDirectory.nextData(of: file, from: position)
                if let data { end = try OpenDirectory.nextHole(of: file, from: data) }
            } catch {
                throw .reading(error)
            }
            guard let data, data < size else { break }
            end = min(end, size)
            guard end > data else { throw .shrunk }
            patches.append(Patch(range: data..<end, kind: .bytes))
            position = end
        }
        return (patches, size)
    }
}

/// The bytes of an open file for a fold. Remembers why they could not be had.
private final class OpenFileBytes: PatchBytes {
    private let file: Descriptor
    private let isCancelled: @Sendable () -> Bool
    private let onRead: @Sendable (Int) -> Void
    private(set) var failure: FileCutter.Failure?

    init(
        _ file: Descriptor, isCancelled: @escaping @Sendable () -> Bool,
        onRead: @escaping @Sendable (Int) -> Void
    ) {
        self.file = file
        self.isCancelled = isCancelled
        self.onRead = onRead
    }

    func copy(
        _ range: Range<UInt64>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(TreeError) {
        if failure == nil, isCancelled() { failure = .cancelled }
        var done = 0
        while failure == nil, done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            do throws(Errno) {
                let count = try LinuxSystemCalls().read(
                    file, into: rest, at: range.lowerBound + UInt64(done))
                if count == 0 { failure = .shrunk }
                done += count
            } catch {
                failure = .reading(error)
            }
        }
        onRead(done)
        if failure != nil { throw .storage(node: nil) }
    }
}
