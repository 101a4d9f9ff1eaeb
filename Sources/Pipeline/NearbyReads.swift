// Reads that move through packs: what lies behind them is loaded before it is asked for.
import ChunkIndex
import DiskFormat
import Packs
import Platform
import SuperChunks

/// Follows where frames are read, and says what to load ahead.
///
/// Files that were written together lie together, and whoever reads a tree asks for them in another order,
/// but hardly from afar: a *stream* is a place in a pack near which frames are read again and again. What
/// lies behind a stream is to be loaded until a *front*, in steps, so that most moves ask for nothing. A
/// frame far from all streams begins a stream, and asks for nothing: reads here and there load nothing that
/// they do not need.
///
/// Any thread.
final class NearbyReads: Sendable {
    /// Stored bytes between two frames that are read one after the other in a stream.
    static let nearBytes: UInt64 = 4 << 20
    /// Stored bytes that are loaded behind the frame that is read.
    static let aheadBytes: UInt64 = 1 << 20
    /// As many readers as may read through packs at the same time.
    static let streamsMax = 4

    /// A part of a pack. It begins at a record, and ends anywhere.
    struct Stretch: Equatable {
        var pack: UInt32
        var range: Range<UInt64>
    }

    private struct Stream {
        var pack: UInt32
        /// Where a frame was read last.
        var position: UInt64
        /// As far as was asked for.
        var front: UInt64
    }

    /// The one that moved last comes first.
    private let streams: ConditionMutex<[Stream]> = ConditionMutex([])

    /// A frame of the place was read, and another one before.
    ///
    /// - Returns: what is to be loaded, where that was not asked for yet or begins with what was.
    func moved(to place: ChunkPlace) -> Stretch? {
        let end = place.recordOffset + DiskFormat.aligned(UInt64(place.recordBytes))
        return streams.withLock { streams in
            func distance(_ stream: Stream) -> UInt64 {
                max(stream.position, place.recordOffset)
                    - min(stream.position, place.recordOffset)
            }
            let known = streams.indices
                .filter {
                    streams[$0].pack == place.pack && distance(streams[$0]) <= Self.nearBytes
                }
                .min { distance(streams[$0]) < distance(streams[$1]) }
            guard let known else {
                let stream = Stream(pack: place.pack, position: place.recordOffset, front: end)
                streams.insert(stream, at: 0)
                streams.removeLast(max(0, streams.count - Self.streamsMax))
                return nil
            }
            var stream = streams.remove(at: known)
            stream.position = place.recordOffset
            defer { streams.insert(stream, at: 0) }
            let wanted = end + Self.aheadBytes
            // Where a stream went back far, what it asked for may be let go of by now.
            if stream.front > wanted + Self.nearBytes { stream.front = end }
            guard wanted >= max(end, stream.front) + Self.aheadBytes / 2 else { return nil }
            stream.front = wanted
            return Stretch(pack: place.pack, range: end..<wanted)
        }
    }
}

extension ChunkStore {
    /// Has loaded what a stream of reads will want, on another thread, unless all are busy.
    func readAhead(behind place: ChunkPlace) {
        guard let stretch = nearbyReads.moved(to: place) else { return }
        _ = readAhead.trySubmit { [self] in load(stretch) }
    }

    /// Loads the super-chunks of data that begin in a stretch, as far as commits vouch for the pack. Those
    /// of large files have frames of their own size, and readers that know what comes next. Errors are
    /// left to the reader who wants a chunk.
    private func load(_ stretch: NearbyReads.Stretch) {
        guard let pack = try? shelf.reader(stretch.pack),
            let valid = try? index.pack(stretch.pack)?.validBytes
        else { return }
        var offset = stretch.range.lowerBound
        while offset < min(stretch.range.upperBound, valid) {
            guard let header = try? pack.header(at: offset) else { return }
            if header.kind == .superChunk, header.frameCount == 1 {
                loadData(FrameKey(pack: stretch.pack, offset: offset, frame: 0), header, pack)
            }
            offset += DiskFormat.aligned(header.recordBytes)
        }
    }

    private func loadData(_ key: FrameKey, _ header: RecordHeader, _ pack: PackReader) {
        guard reader.frames.keptFrame(for: key) == nil, key.offset <= ChunkPlace.recordOffsetMax,
            let prefix = try? pack.readPrefix(at: key.offset).prefix,
            prefix.chunks.first?.domain == .data
        else { return }
        _ = try? reader.frame(
            ChunkPlace(
                pack: key.pack, recordOffset: key.offset,
                recordBytes: UInt32(clamping: header.recordBytes), frame: 0, frameOffset: 0))
    }
}
