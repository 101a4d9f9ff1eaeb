// Where buffers of unusual sizes come from.
import Platform

extension BufferPool {
    /// A buffer for `byteCount` bytes: one of the pool where that wastes less than half of it,
    /// otherwise one of its own size that goes back to the allocator, so that many small frames in
    /// a cache do not each hold a whole buffer, and a chunk beyond the usual size has a place.
    public func takeFitting(_ byteCount: Int) -> PooledBuffer {
        if byteCount <= capacityBytes && byteCount > capacityBytes / 2 { return take() }
        return BufferPool(capacityBytes: max(1, byteCount), keptBytesMax: 0).take()
    }
}
