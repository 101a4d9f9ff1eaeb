// A store as it is written on a command line.
import Console
import DiskFormat
import Glibc

/// `STORE` or `STORE@SNAPSHOT`. An existing path wins over the reading of `@` (DESIGN §6).
struct StoreAddress: Equatable {
    var path: String
    var snapshot: String?

    /// - Throws: `usage` where the text is empty or what follows the `@` is no snapshot's name.
    init(
        _ text: String, exists: (String) -> Bool = { access($0, F_OK) == 0 }
    ) throws(CommandFailure) {
        guard !text.isEmpty else { throw CommandFailure(.usage, "the store's path is empty") }
        guard !exists(text), let at = text.lastIndex(of: "@"), at != text.startIndex else {
            path = text
            return
        }
        let name = String(text[text.index(after: at)...])
        let folder = String(text[..<at])
        // What is neither there nor looks like a snapshot is a path that does not exist.
        guard exists(folder) else {
            path = text
            return
        }
        guard ObjectName.isAcceptable(name) else {
            throw CommandFailure(
                .usage, "\(DisplayText.escaped(name.utf8)) is no name of a snapshot")
        }
        path = folder
        snapshot = name
    }

    /// Of a command that is about a store as a whole.
    ///
    /// - Throws: also `usage` where a snapshot is named.
    init(whole text: String) throws(CommandFailure) {
        try self.init(text)
        guard snapshot == nil else {
            throw CommandFailure(
                .usage, "\(DisplayText.escaped(text.utf8)): a store is wanted, not a snapshot")
        }
    }
}
