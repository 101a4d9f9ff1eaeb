// What `ashlar reclaim` and `ashlar optimize` have in common: work on a store's packs, done by the daemon
// that has the store, or here.
import Console
import Control
import FileModel
import Volume

enum SpaceWork {
    /// `--rate`: bytes in a second; nil where none is given.
    static func bytesPerSecond(_ rate: String?) throws(CommandFailure) -> UInt64? {
        guard let rate else { return nil }
        guard let bytes = ByteSize.parse(rate), bytes >= 1 << 16 else {
            throw CommandFailure(
                .usage, "--rate: \(DisplayText.escaped(rate.utf8)) is not a size of at least 64K")
        }
        return bytes
    }

    /// Asks the daemon of the store, or opens the store and does it.
    ///
    /// - Parameters:
    ///   - command: the daemon's name for the work.
    ///   - here: the work on an open store; gives what the daemon would answer.
    ///   - failure: what an error of it means.
    static func answer(
        to command: String, _ arguments: [String: JSONValue], storePath: String,
        _ progress: Progress,
        here: (LiveStore) throws(FileError) -> JSONValue,
        failure: (FileError) -> CommandFailure
    ) throws -> JSONValue {
        let client = ControlClient(storePath: storePath)
        if try client.isAnswered() {
            // A signal ends this process, and the daemon stops when it sees that.
            return try client.call(command, arguments, silenceNanoseconds: nil) { value in
                if let text = value["text"]?.text { progress.update(text) }
            }
        }
        Interruption.catchSignals()
        let store = try WritableStore(storePath)
        let answer: JSONValue
        do throws(FileError) {
            answer = try here(store.live)
        } catch {
            // The first failure is the one to tell.
            try? store.close()
            throw failure(error)
        }
        try store.close()
        return answer
    }
}
