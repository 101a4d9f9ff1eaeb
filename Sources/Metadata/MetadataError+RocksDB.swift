import CRocksDB

extension MetadataError {
    /// The error of a code other than OK, NOT_FOUND and TOO_SMALL, with the text of the calling
    /// thread's last failure; to be made before another call of the shim.
    init(_ code: ashlar_rocks_code) {
        let text = String(cString: ashlar_rocks_error_text())
        switch code {
        case ASHLAR_ROCKS_DAMAGED: self = .damaged(text)
        case ASHLAR_ROCKS_BUSY: self = .busy(text)
        case ASHLAR_ROCKS_NO_SPACE: self = .noSpace(text)
        case ASHLAR_ROCKS_INVALID_BATCH:
            preconditionFailure("a MetadataBatch that is not well-formed")
        default: self = .io(text)
        }
    }

    /// Throws what `code` means, unless that is success.
    static func check(_ code: ashlar_rocks_code) throws(MetadataError) {
        if code != ASHLAR_ROCKS_OK { throw MetadataError(code) }
    }
}
