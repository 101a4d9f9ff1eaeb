import Backends
import Checking
import DiskFormat
import Platform
import Trees

/// Why a `.snap` or `.diff` file was not read or written.
public enum StreamFileError: Error, Sendable {
    /// The system refused, with what was tried.
    case system(String, Errno)
    /// Not such a file, or not what it should be.
    case format(FormatError)
    /// A pack in it is not what its table says.
    case digest(PackID)
    /// The store in it cannot be read.
    case store(CheckingError)
    /// It does not have what it should: a snapshot of that name.
    case lacks(String)
    case tree(TreeError)
    /// It is a snapshot, or a difference, where the other is wanted.
    case isOther(StreamHead.Kind)
    case cancelled

    static func formatted<Result>(
        _ body: () throws(FormatError) -> Result
    ) throws(StreamFileError) -> Result {
        do throws(FormatError) {
            return try body()
        } catch {
            throw .format(error)
        }
    }

    static func stored<Result>(
        _ body: () throws(BackendError) -> Result
    ) throws(StreamFileError) -> Result {
        do throws(BackendError) {
            return try body()
        } catch {
            throw .store(.backend(error))
        }
    }
}
