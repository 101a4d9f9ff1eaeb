extension MetadataBatch {
    /// One operation of a batch; the buffers lie in the batch and are valid while it is.
    public enum Operation {
        case put(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)
        case delete(key: UnsafeRawBufferPointer)
    }

    /// Visits the operations of a packed batch in order. A layout that breaks its promise can only
    /// come from a fault of this module, hence it traps.
    public static func forEachOperation(in bytes: [UInt8], _ body: (Operation) -> Void) {
        let headerBytes = 9
        bytes.withUnsafeBytes { raw in
            var at = 0
            while at < raw.count {
                precondition(raw.count - at >= headerBytes, "torn header in a batch")
                let keyLength = Int(littleEndian: raw, at: at + 1)
                let valueLength = Int(littleEndian: raw, at: at + 5)
                let keyAt = at + headerBytes
                precondition(keyLength + valueLength <= raw.count - keyAt, "torn entry in a batch")
                let key = UnsafeRawBufferPointer(rebasing: raw[keyAt..<(keyAt + keyLength)])
                let end = keyAt + keyLength + valueLength
                switch raw[at] {
                case 1:
                    let value = UnsafeRawBufferPointer(rebasing: raw[(keyAt + keyLength)..<end])
                    body(.put(key: key, value: value))
                case 2: body(.delete(key: key))
                default: preconditionFailure("unknown operation in a batch")
                }
                at = end
            }
        }
    }
}

extension Int {
    /// The unsigned 32-bit little-endian number at a byte offset of `raw`.
    fileprivate init(littleEndian raw: UnsafeRawBufferPointer, at offset: Int) {
        self = Int(
            UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }
}
