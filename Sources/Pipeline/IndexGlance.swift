// A look at an index without opening its store: for those who compare it with the packs.
import DiskFormat
import Metadata

/// An index as it lies there, and the commit that it says it holds.
public struct IndexGlance: Sendable {
    /// Opened for reading; the caller closes it.
    public let store: any MetadataStore
    /// Hash of the last commit that the index holds; zero, which is no commit's, where the index
    /// was never finished or does not say: the next opening makes it anew.
    public let lastCommit: ChunkName
}

extension IndexProvider {
    /// Opens the index for reading; nil where there is none.
    ///
    /// Throws `damaged` where it cannot be read, `busy` where somebody else holds it.
    public func glance(memoryBytes: Int) throws(MetadataError) -> IndexGlance? {
        guard let store = try open(readOnly: true, memoryBytes: memoryBytes) else { return nil }
        var last = ChunkName.zero
        do throws(StoreError) {
            if let state = try store.state(), !state.isBuilding { last = state.hash }
        } catch {
            if case .index(let why) = error {
                // The first error is the one to report.
                try? store.close(flushing: false)
                throw why
            }
        }
        return IndexGlance(store: store, lastCommit: last)
    }
}
