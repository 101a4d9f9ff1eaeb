import DiskFormat
import Platform
import Trees

/// Why a difference was not applied. Paths are below the directory.
public enum ApplyError: Error, Sendable {
    /// What is there is neither what the difference begins with nor what it ends with; in words, what
    /// of it.
    case isOther(path: [UInt8], what: String)
    /// The system refused, with what was tried.
    case system(path: [UInt8], call: String, Errno)
    case tree(TreeError)
    /// Content that the file of the difference should have, or that of the directory.
    case lacksContent(path: [UInt8])
    /// The store cuts or names content in another way than the difference: their keys do not compare.
    case cutsOtherwise
    /// What was put could not be made durable.
    case stream(StreamError)
    case cancelled
}

extension ApplyError {
    /// Runs what reads a tree: its errors are those of applying then.
    static func reading<Result>(
        _ body: () throws(TreeError) -> Result
    ) throws(ApplyError) -> Result {
        do throws(TreeError) {
            return try body()
        } catch {
            throw .tree(error)
        }
    }
}
