import Platform

extension BackendError {
    /// The system's error in the backend's words.
    init(_ error: Errno, name: String, call: StaticString) {
        switch error {
        case .noSuchFileOrDirectory: self = .noSuchFile(name: name)
        case .fileExists: self = .exists(name: name)
        case .noSpace, .diskQuotaExceeded: self = .noSpace(name: name)
        case .readOnlyFileSystem: self = .readOnly(name: name)
        default: self = .system(name: name, code: error.rawValue, call: call)
        }
    }
}
