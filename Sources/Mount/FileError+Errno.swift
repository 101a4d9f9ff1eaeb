import FileModel
import Glibc

extension FileError {
    /// The one place where a reason becomes an errno value.
    var errnoValue: Int32 {
        switch self {
        case .noEntry: ENOENT
        case .exists: EEXIST
        case .notDirectory: ENOTDIR
        case .isDirectory: EISDIR
        case .notEmpty: ENOTEMPTY
        case .invalid: EINVAL
        case .nameTooLong: ENAMETOOLONG
        case .noSpace: ENOSPC
        case .quota: EDQUOT
        case .readOnly: EROFS
        case .tooManyLinks: EMLINK
        case .fileTooBig: EFBIG
        case .noSuchPosition: ENXIO
        case .noAttribute: ENODATA
        case .rangeTooSmall: ERANGE
        case .tooBig: E2BIG
        case .notPermitted: EPERM
        case .accessDenied: EACCES
        case .notSupported: EOPNOTSUPP
        case .noSuchOperation: ENOTTY
        case .crossVolume: EXDEV
        case .busy: EBUSY
        case .stale: ESTALE
        case .interrupted: EINTR
        case .outOfMemory: ENOMEM
        case .damaged, .io: EIO
        }
    }
}
