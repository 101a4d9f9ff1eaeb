// What a mount needs of a store: the border between the life of mounts and the store behind them.
import Console
import Control
import FileModel

/// A filesystem of a store while it is mounted. Calls come from one thread at a time.
protocol ServedFilesystem: AnyObject, Sendable {
    var filesystem: any FilesystemOperations { get }
    /// The volume's name, as it is now.
    var volumeName: String { get }
    /// From now on the kernel can be told what to let go of.
    func attach(_ notifier: any KernelNotifier)
    /// The mount is gone: makes what was received durable. Once, after the last request.
    func release() throws
}

/// An open store, of which filesystems are served. Any thread.
protocol MountableStore: AnyObject, Sendable {
    /// Begins to serve what `request` names.
    ///
    /// - Throws: `CommandFailure`: `notFound` where the store has no such volume, `busy` where it is
    ///   mounted already, since two kernels' caches of one volume would contradict each other.
    func serve(_ request: MountRequest) throws -> any ServedFilesystem
    /// Commands of the control socket beside those that every daemon has.
    var handlers: [String: ControlHandler] { get }
    /// What is wrong with the store though it can be mounted, for whoever mounts it: nil where nothing
    /// is.
    var notice: String? { get }
    /// Makes everything durable and closes the store. Once, after the last filesystem was released.
    func finish() throws
}

extension MountableStore {
    var notice: String? { nil }
}

/// Opens the store of a mount. Called in the daemon: threads may be made.
typealias StoreOpener = (_ place: MountPlace, _ request: MountRequest) throws -> any MountableStore
