import DiskFormat

/// What tells one store's packs from another's.
public struct StoreIdentity: Hashable, Sendable {
    public var storeID: UniqueID
    public var secret: StoreSecret

    public init(storeID: UniqueID, secret: StoreSecret) {
        self.storeID = storeID
        self.secret = secret
    }

    public init(_ parameters: StoreParameters) {
        self.init(storeID: parameters.storeID, secret: parameters.secret)
    }
}
