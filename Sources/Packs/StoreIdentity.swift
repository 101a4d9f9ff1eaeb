// Guards against packs that were copied in from another store.
import DiskFormat

/// What tells one store's packs from another's.
public struct StoreIdentity: Hashable, Sendable {
    /// The store's name for people and machines.
    public var storeID: UniqueID
    /// The key of its header checksums.
    public var secret: StoreSecret

    /// From its parts.
    public init(storeID: UniqueID, secret: StoreSecret) {
        self.storeID = storeID
        self.secret = secret
    }

    /// Of the store with these parameters.
    public init(_ parameters: StoreParameters) {
        self.init(storeID: parameters.storeID, secret: parameters.secret)
    }
}
