import Platform

extension SystemCalls {
    /// Writes all of `buffers`, one behind the other, at byte `offset`, in as many calls as it takes.
    func writeAll(
        _ file: Descriptor, _ buffers: [UnsafeRawBufferPointer], at offset: UInt64
    ) throws(Errno) {
        var vectors: [IOVector] = []
        vectors.reserveCapacity(buffers.count)
        var countBytes = 0
        for buffer in buffers {
            guard let base = buffer.baseAddress, buffer.count > 0 else { continue }
            // struct iovec serves reading too, hence its mutable pointer.
            vectors.append(
                IOVector(
                    iov_base: UnsafeMutableRawPointer(mutating: base), iov_len: buffer.count))
            countBytes += buffer.count
        }
        guard offset <= SystemLimits.offsetMax - UInt64(countBytes) else { throw .fileTooLarge }

        var first = 0
        var position = offset
        while first < vectors.count {
            let end = min(vectors.count, first + SystemLimits.vectorsMax)
            let written = try vectors.withUnsafeBufferPointer { (all) throws(Errno) in
                try write(file, UnsafeBufferPointer(rebasing: all[first..<end]), at: position)
            }
            // A call that writes nothing and reports nothing would be repeated for ever.
            guard written > 0 else { throw .ioError }
            position += UInt64(written)
            first = Self.advance(&vectors, from: first, by: written)
        }
    }

    /// Takes `written` bytes off the vectors; returns the first one that is not used up.
    private static func advance(
        _ vectors: inout [IOVector], from first: Int, by written: Int
    ) -> Int {
        var first = first
        var rest = written
        while rest > 0, rest >= vectors[first].iov_len {
            rest -= vectors[first].iov_len
            first += 1
        }
        if rest > 0 {
            vectors[first].iov_base = vectors[first].iov_base.map { $0 + rest }
            vectors[first].iov_len -= rest
        }
        return first
    }

    /// Reads until `buffer` is full or the file ends; returns how many bytes.
    func readAll(
        _ file: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        guard offset <= SystemLimits.offsetMax else { return 0 }
        var have = 0
        while have < buffer.count {
            // No file reaches beyond the highest offset.
            guard UInt64(have) <= SystemLimits.offsetMax - offset else { break }
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[have...])
            let got = try read(file, into: rest, at: offset + UInt64(have))
            if got == 0 { break }
            have += got
        }
        return have
    }

    /// Closes a descriptor whose data is synchronised or not promised: what close reports then means
    /// nothing to anybody.
    func closeQuietly(_ file: Descriptor) {
        try? close(file)
    }
}
