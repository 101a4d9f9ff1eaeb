/// Which frame: the index's number of the pack, the record's first byte in it, the frame's number.
public struct FrameKey: Hashable, Sendable {
    public let pack: UInt32
    public let offset: UInt64
    public let frame: UInt16

    public init(pack: UInt32, offset: UInt64, frame: UInt16) {
        self.pack = pack
        self.offset = offset
        self.frame = frame
    }
}
