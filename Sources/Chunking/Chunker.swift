/// # Chunking: where files are cut into chunks
///
/// Words: a *cut* is a piece, data or zeros; a *candidate* is a position whose gear hash has no bit
/// of a mask; a *segment* is what lies between two runs of zeros.
///
/// The rules of `gear`, in which nothing but the file's bytes counts:
/// 1. Every maximal run of at least `zeroRunMinimumBytes` zeros is a cut of zeros, and ends the
///    chunk before it, however short that is.
/// 2. Within a segment, a chunk ends at the first length p with minimum <= p < mean where there is
///    a strict candidate; else at the first with mean <= p < maximum where there is a loose one;
///    else at the maximum, or where the segment ends. (Xia et al., "FastCDC", USENIX ATC 2016,
///    without its rolling two bytes.) The minimum is at least the hash's window of 64 bytes, so
///    the hash never looks back beyond the chunk.
///
/// The rule of `fixed`: cuts at the multiples of `meanBytes` of the file's offset; a block that is
/// wholly zero is zeros.
///
/// Invariants, for whoever cuts a part of a file again after a change:
/// - A cut at c is decided by the bytes from the chunk's start to c + `zeroRunMinimumBytes`. So cuts
///   at or below (first changed offset) - `zeroRunMinimumBytes` stand, and the last of them is where
///   to begin. What used to be the end of the file counts as changed when bytes are appended.
/// - Where an old and a new cutting of bytes that are equal from there to the end have a cut in
///   common, all later cuts are common.
///
/// Threads: a chunker is immutable; any number may use it, each with scratch of its own.

import CKernels
import DiskFormat

/// Cuts the files of one store; see the rules above.
public struct Chunker: Sendable {
    /// As given, and sane.
    public let parameters: ChunkerParameters
    /// Table 1 with the seed XORed in.
    private let table: [UInt64]
    private let minimumBytes: Int
    private let meanBytes: Int
    private let maximumBytes: Int
    private let zeroRunMinimumBytes: Int

    /// `parameters` must be sane (`areSane`): whoever read them from a store has checked that.
    public init(parameters: ChunkerParameters) {
        precondition(parameters.areSane, "chunker parameters were not checked")
        self.parameters = parameters
        table = withUnsafeBytes(of: ashlar_gear_table_1) { words in
            words.bindMemory(to: UInt64.self).map { $0 ^ parameters.seed }
        }
        minimumBytes = Int(parameters.minimumBytes)
        meanBytes = Int(parameters.meanBytes)
        maximumBytes = Int(parameters.maximumBytes)
        zeroRunMinimumBytes = Int(parameters.zeroRunMinimumBytes)
    }

    /// A call of `cut` with at least so many bytes cuts something, also where more will follow. The
    /// longest chunk, and, for gear, as much behind it as may turn zeros at its end into a run.
    public var lookaheadBytes: Int {
        switch parameters.algorithm {
        case .gear: maximumBytes + zeroRunMinimumBytes
        case .fixed: meanBytes
        }
    }

    /// Cuts `bytes`, which begin at a cut (or at the file's beginning), and appends to `cuts`.
    ///
    /// However a file is divided into calls, the cuts are the same, once neighbouring cuts of zeros
    /// are joined: where the last call's last cut was zeros, zeros at the beginning of this one's
    /// bytes continue that run, however few they are.
    ///
    /// - Parameters:
    ///   - fileOffset: where in the file `bytes` begin; counts for `fixed` only.
    ///   - isEnd: the file ends behind `bytes`, which are then cut to the last.
    ///   - followsZeros: the cut before `bytes` was zeros.
    /// - Returns: how many bytes were cut. The others have to come again with more behind them:
    ///   their place depends on what follows. Never so when `isEnd`; more than 0 when `bytes` are
    ///   `lookaheadBytes`.
    public func cut(
        _ bytes: UnsafeRawBufferPointer, at fileOffset: UInt64, isEnd: Bool, followsZeros: Bool,
        into cuts: inout [Cut], scratch: inout ChunkerScratch
    ) -> Int {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return 0 }
        switch parameters.algorithm {
        case .gear:
            let input = Input(
                start: start.assumingMemoryBound(to: UInt8.self), count: bytes.count, isEnd: isEnd)
            return cutByContent(input, followsZeros, into: &cuts, scratch: &scratch)
        case .fixed:
            return cutByOffset(bytes, at: fileOffset, isEnd: isEnd, into: &cuts)
        }
    }
}

// MARK: - By content

extension Chunker {
    private struct Input {
        var start: UnsafePointer<UInt8>
        var count: Int
        var isEnd: Bool
    }

    /// A stretch of the input without a run of zeros.
    private struct Segment {
        var start: Int
        var end: Int
        /// Whether a run of zeros or the file's end is known to follow.
        var isClosed: Bool
        /// Cuts behind this have zeros before them that bytes yet unseen may make a run of.
        var decidedEnd: Int
    }

    private func cutByContent(
        _ input: Input, _ followsZeros: Bool, into cuts: inout [Cut],
        scratch: inout ChunkerScratch
    ) -> Int {
        var position = 0
        if followsZeros {
            position = ashlar_zero_prefix(input.start, input.count)
            cuts.append(zeros: position)
        }
        while position < input.count {
            var runLength = 0
            let runStart = ashlar_zero_run_find(
                input.start, input.count, position, zeroRunMinimumBytes, &runLength)
            var segment = Segment(
                start: position, end: runStart, isClosed: runLength > 0 || input.isEnd,
                decidedEnd: runStart)
            if !segment.isClosed {
                segment.decidedEnd -= ashlar_zero_suffix(
                    input.start + position, input.count - position)
            }
            position = cutSegment(segment, of: input, into: &cuts, scratch: &scratch)
            guard position == runStart else { break }
            cuts.append(zeros: runLength)
            position += runLength
        }
        return position
    }

    /// Returns where the last cut is: the segment's end where that is closed.
    private func cutSegment(
        _ segment: Segment, of input: Input, into cuts: inout [Cut],
        scratch: inout ChunkerScratch
    ) -> Int {
        // The chunk under way begins here.
        var start = segment.start
        // Candidates up to here have been seen, and those that remain unused are of no more use:
        // a strict one comes before any loose one that counts, so one pass forward is enough.
        var scanned = segment.start
        while scanned < segment.end {
            let first = max(scanned, start + minimumBytes - 1)
            guard first < segment.end else { break }
            let end = min(first + ChunkerScratch.blockBytes, segment.end)
            let found = ashlar_gear_scan(
                table, input.start + first, end - first, parameters.strictMask,
                parameters.looseMask, &scratch.positions)
            for index in 0..<found {
                let mark = scratch.positions[index]
                let position = first + Int(mark & ~ASHLAR_GEAR_STRICT)
                while position - start >= maximumBytes {
                    guard cuts.append(to: start + maximumBytes, from: &start, segment.decidedEnd)
                    else { return start }
                }
                let length = position - start
                let isStrict = mark & ASHLAR_GEAR_STRICT != 0
                if length >= meanBytes || (isStrict && length >= minimumBytes) {
                    guard cuts.append(to: position, from: &start, segment.decidedEnd)
                    else { return start }
                }
            }
            while end - start >= maximumBytes {
                guard cuts.append(to: start + maximumBytes, from: &start, segment.decidedEnd)
                else { return start }
            }
            scanned = end
        }
        if segment.isClosed && start < segment.end {
            _ = cuts.append(to: segment.end, from: &start, segment.decidedEnd)
        }
        return start
    }
}

// MARK: - By offset

extension Chunker {
    private func cutByOffset(
        _ bytes: UnsafeRawBufferPointer, at fileOffset: UInt64, isEnd: Bool,
        into cuts: inout [Cut]
    ) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        var position = 0
        var zeroBytes = 0
        var toBoundary = meanBytes - Int(fileOffset % UInt64(meanBytes))
        while position < bytes.count {
            let length = min(toBoundary, bytes.count - position)
            guard length == toBoundary || isEnd else { break }
            if ashlar_zero_prefix(base + position, length) == length {
                zeroBytes += length
            } else {
                cuts.append(zeros: zeroBytes)
                zeroBytes = 0
                cuts.append(Cut(kind: .data, length: length))
            }
            position += length
            toBoundary = meanBytes
        }
        cuts.append(zeros: zeroBytes)
        return position
    }
}

extension [Cut] {
    fileprivate mutating func append(zeros length: Int) {
        if length > 0 { append(Cut(kind: .zeros, length: length)) }
    }

    /// Ends the chunk from `start` at `end` and begins the next there; false where that is not
    /// decided yet.
    @inline(__always)
    fileprivate mutating func append(
        to end: Int, from start: inout Int, _ decidedEnd: Int
    ) -> Bool {
        guard end <= decidedEnd else { return false }
        append(Cut(kind: .data, length: end - start))
        start = end
        return true
    }
}
