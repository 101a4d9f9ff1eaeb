// `ashlar snapshot rollback` and `clone`.
import ArgumentParser
import Console

/// `ashlar snapshot rollback STORE NAME --yes`.
struct SnapshotRollbackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Make a volume what its snapshot has.",
        discussion: """
            What was changed since is gone, but for what other snapshots have: make one before. The \
            volume must not be mounted; other volumes of the store may be. It costs what differs. For \
            instance:

              ashlar snapshot create /srv/store before-rollback
              ashlar snapshot rollback /srv/store monday --yes
            """)

    @OptionGroup var arguments: SnapshotArguments

    @Flag(help: "Do it without asking; needed where standard input is no terminal.")
    var yes = false

    func run() throws {
        if !yes {
            guard Confirmation.canAsk else {
                throw CommandFailure(
                    .usage, "a rollback gives up what was changed since: give --yes to confirm")
            }
            let output = Output(program: CommandRunner.programName)
            let shown = DisplayText.escaped(arguments.name.utf8)
            guard
                Confirmation.ask(
                    "Give up all that was changed in \(arguments.volume) since \(shown)?", output)
            else { throw CommandFailure(.interrupted, "nothing was changed") }
        }
        let action = SnapshotAction(.rollback, arguments.name, of: arguments.volume)
        try arguments.perform(action, says: "rolled back to")
    }
}

/// `ashlar snapshot clone STORE NAME VOLUME`.
struct SnapshotCloneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clone", abstract: "Make a new, writable volume of a snapshot.",
        discussion: """
            Content is shared, not copied. For instance:

              ashlar snapshot clone /srv/store monday try-it
              ashlar mount -o volume=try-it /srv/store /mnt/try
            """)

    @OptionGroup var arguments: SnapshotArguments

    @Argument(help: "The new volume's name.")
    var newVolume: String

    func run() throws {
        var action = SnapshotAction(.clone, arguments.name, of: arguments.volume)
        action.newName = newVolume
        try arguments.perform(action, says: "made the volume \(newVolume) of")
    }
}
