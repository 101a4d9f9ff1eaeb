// The store's lock, for a mount.
import Backends
import Console
import Platform

/// The lock of a store that is to be mounted. On a read-only medium a read-only mount shares it.
struct StoreHold {
    let lock: StoreLock
    /// Whether the store's directory can be written.
    let isWritable: Bool

    /// - Throws: `busy`, naming the holder; `mountRefused` on a read-only medium.
    init(_ store: String, isReadOnly: Bool) throws(CommandFailure) {
        do throws(StoreLockError) {
            lock = try StoreLock(storePath: store, mode: .exclusive)
            isWritable = true
        } catch {
            guard case .system(_, let code, _) = error,
                Errno(rawValue: code) == .readOnlyFileSystem
            else { throw CommandFailure(error, store: store) }
            guard isReadOnly else {
                throw CommandFailure(
                    .mountRefused,
                    "\(DisplayText.escaped(store.utf8)) lies on a read-only filesystem",
                    advice: "Mount it with -o ro.")
            }
            do throws(StoreLockError) {
                lock = try StoreLock(storePath: store, mode: .shared)
                isWritable = false
            } catch {
                throw CommandFailure(error, store: store)
            }
        }
    }

    /// Writes this process into the lock, after a fork.
    func announce() { lock.announce() }
}
