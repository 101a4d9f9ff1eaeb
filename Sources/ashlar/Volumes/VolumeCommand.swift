// `ashlar volume`: the volumes of a store.
import ArgumentParser
import Console

/// Makes, lists, renames and removes volumes. Where a daemon has the store, it does it.
struct VolumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "volume",
        abstract: "Make, list, rename or remove the volumes of a store.",
        discussion: """
            A volume is a filesystem of its own; volumes of one store share its chunks, so that what is \
            in two of them is stored once. One daemon serves all that are mounted. For instance:

              ashlar volume create /srv/store backups
              ashlar mount -o volume=backups /srv/store /mnt/backups
            """,
        subcommands: [
            VolumeCreateCommand.self, VolumeListCommand.self, VolumeRenameCommand.self,
            VolumeRemoveCommand.self,
        ])
}

/// `ashlar volume create STORE NAME`.
struct VolumeCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make an empty volume.")

    @Argument(help: "The store.")
    var store: String

    @Argument(help: "The new volume's name.")
    var name: String

    func run() throws {
        try VolumeChange.create(name).perform(on: try StoreAddress(whole: store))
    }
}

/// `ashlar volume rename STORE OLD NEW`.
struct VolumeRenameCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename", abstract: "Give a volume another name, also while it is mounted.")

    @Argument(help: "The store.")
    var store: String

    @Argument(help: "The volume's name.")
    var name: String

    @Argument(help: "The name it gets.")
    var newName: String

    func run() throws {
        try VolumeChange.rename(name, to: newName).perform(on: try StoreAddress(whole: store))
    }
}

/// `ashlar volume remove STORE NAME --yes`.
struct VolumeRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove a volume and everything in it.",
        discussion: """
            There is no way back. Nobody may have it mounted. What other volumes share with it stays; \
            the rest of its space comes back as that of any deleted file.
            """)

    @Argument(help: "The store.")
    var store: String

    @Argument(help: "The volume's name.")
    var name: String

    @Flag(help: "Do it without asking; needed where standard input is no terminal.")
    var yes = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        if !yes {
            guard Confirmation.canAsk else {
                throw CommandFailure(
                    .usage, "removing a volume deletes all its files: give --yes to confirm")
            }
            let shown = DisplayText.escaped(name.utf8)
            guard Confirmation.ask("Delete the volume \(shown) and all files in it?", output)
            else { throw CommandFailure(.interrupted, "nothing was removed") }
        }
        try VolumeChange.remove(name).perform(on: try StoreAddress(whole: store))
    }
}
