import CKernels

/// The readdir cookie of a name: where an entry stands in the order in which a directory is listed.
///
/// `XXH3-64(name, seed: secret) >> 16 << 15 | collision`: below 2^63, never below 2^15 (0, 1 and 2
/// are the start, "." and ".."). Derived, so it survives a rebuild of the index and every change of
/// other entries; keyed, so nobody can make up names that collide without knowing the store.
public enum DirectoryCookie {
    /// Most entries of one directory whose names hash alike.
    public static let collisionsMax = 256

    public static func cookie(
        of name: UnsafeRawBufferPointer, collision: UInt8, secret: StoreSecret
    ) -> UInt64 {
        let hash = ashlar_xxh3_64(name.baseAddress, name.count, secret.low ^ secret.high)
        return max(hash >> 16, 1) << 15 | UInt64(collision)
    }

    public static func collision(of cookie: UInt64) -> UInt8 {
        UInt8(truncatingIfNeeded: cookie)
    }
}
