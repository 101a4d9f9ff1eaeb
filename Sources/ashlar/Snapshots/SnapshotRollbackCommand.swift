// `ashlar snapshot rollback` and `clone`.
import ArgumentParser
import Console

/// `ashlar snapshot rollback STORE NAME --yes`.
struct SnapshotRollbackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Make a volume what its snapshot has.",
        discussion: """
            What was changed since is gone, but for what other snapshots have: make one before. The \
            volume must not be mounted, since programs that use it would find other files under their \
            open descriptors; other volumes of the store may be. With --remount it is unmounted for \
            the moment, which is refused while somebody uses it, and mounted again with the same \
            options. It costs what differs. For instance:

              ashlar snapshot create /srv/store before-rollback
              ashlar snapshot rollback /srv/store monday --yes --remount
            """)

    @OptionGroup var arguments: SnapshotArguments

    @Flag(help: "Do it without asking; needed where standard input is no terminal.")
    var yes = false

    @Flag(help: "Unmount the volume for it where it is mounted, and mount it again.")
    var remount = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let store = try StoreAddress(whole: arguments.store).path
        let mount = try Remounting.find(arguments.volume, ofStore: store)
        if let mount, !remount {
            let shown = DisplayText.escaped(mount.mountpoint.utf8)
            throw CommandFailure(
                .busy,
                "the volume \(DisplayText.escaped(arguments.volume.utf8)) is mounted on \(shown)",
                advice: "Unmount it first, or give --remount; other volumes of the store may stay.")
        }
        try confirm(output)
        let action = SnapshotAction(.rollback, arguments.name, of: arguments.volume)
        guard let mount else { return try arguments.perform(action, says: "rolled back to") }
        try checkIsThere(store)
        try mount.around(output) { try arguments.perform(action, says: "rolled back to") }
    }

    private func confirm(_ output: Output) throws(CommandFailure) {
        if yes { return }
        guard Confirmation.canAsk else {
            throw CommandFailure(
                .usage, "a rollback gives up what was changed since: give --yes to confirm")
        }
        let shown = DisplayText.escaped(arguments.name.utf8)
        guard
            Confirmation.ask(
                "Give up all that was changed in \(arguments.volume) since \(shown)?", output)
        else { throw CommandFailure(.interrupted, "nothing was changed") }
    }

    /// Nothing is unmounted for a snapshot that there is not.
    private func checkIsThere(_ store: String) throws {
        var address = try StoreAddress(store)
        address.path = store
        address.snapshot = arguments.name
        _ = try StoreView(address, volume: arguments.volume).volume()
    }
}

/// `ashlar snapshot clone STORE NAME VOLUME`.
struct SnapshotCloneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clone", abstract: "Make a new, writable volume of a snapshot.",
        discussion: """
            Nothing is copied, and it costs the same however much is in it: directories \
            are looked at when somebody asks for them. The snapshot may be deleted \
            afterwards. For instance:

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
