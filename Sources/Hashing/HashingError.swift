import DiskFormat

/// Why a hasher could not be made. Hashing itself does not fail.
public enum HashingError: Error, Equatable {
    /// OpenSSL as configured here (a FIPS provider, say) does not offer the algorithm.
    case unavailable(HashAlgorithm)
    case outOfMemory
}
