// A mount taken away for a moment, and made again as it was.
import Console
import Control
import Glibc
import Platform

/// How a volume is mounted by the daemon of its store.
struct Remounting: Equatable {
    let store: String
    let mountpoint: String
    /// The values of all `-o`.
    let options: [String]
    let isVerbose: Bool

    /// The mount of a volume; nil where it is not mounted, or not by a daemon that answers.
    static func find(_ volume: String, ofStore store: String) throws(ControlError) -> Remounting? {
        let client = ControlClient(storePath: store)
        guard try client.isAnswered(), case .list(let mounts) = try client.call("status")["mounts"]
        else { return nil }
        let own = mounts.first {
            $0["volume"]?.text == volume && $0["snapshot"]?.text == nil
        }
        guard let own, let mountpoint = own["mountpoint"]?.text else { return nil }
        var options: [String] = []
        if case .list(let values) = own["options"] { options = values.compactMap(\.text) }
        return Remounting(
            store: MountTable.realPath(store) ?? store, mountpoint: mountpoint, options: options,
            isVerbose: own["verbose"]?.flag ?? false)
    }

    /// Unmounts, runs `body`, and mounts again, whatever has become of that.
    ///
    /// - Throws: what `body` does; `busy` where somebody uses the mount, which then stays.
    func around<Result>(_ output: Output, _ body: () throws -> Result) throws -> Result {
        try Unmounting(output: output).unmount(mountpoint)
        let result: Result
        do {
            result = try body()
        } catch {
            do { try mount() } catch { output.report(CommandFailure(anyError: error)) }
            throw error
        }
        try mount()
        return result
    }

    /// By a process of its own: this one may have had threads, and is no good to be forked.
    private func mount() throws(CommandFailure) {
        var words = ["ashlar", "mount"]
        for value in options { words += ["-o", value] }
        if isVerbose { words.append("--verbose") }
        words += ["--", store, mountpoint]
        var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, "/proc/self/exe", nil, nil, pointers, environ)
        guard code == 0 else { throw Self.failure("errno \(code)", mountpoint) }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else { throw Self.failure("errno \(errno)", mountpoint) }
        }
        // It has said itself what is wrong.
        guard status == 0 else { throw Self.failure("see above", mountpoint) }
    }

    private static func failure(_ why: String, _ mountpoint: String) -> CommandFailure {
        CommandFailure(
            .mountRefused,
            "\(DisplayText.escaped(mountpoint.utf8)) could not be mounted again: \(why)")
    }
}
