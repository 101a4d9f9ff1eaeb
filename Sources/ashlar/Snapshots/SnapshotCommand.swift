// `ashlar snapshot`: what a volume was, kept under a name.
import ArgumentParser
import Console
import Volume

/// Makes, lists, changes, checks and deletes snapshots. Where a daemon has the store, it does it.
struct SnapshotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot",
        abstract: "Make, list, change, verify, delete and go back to snapshots of a volume.",
        discussion: """
            A snapshot is a volume as it was at one instant, read-only, under a name. It costs what \
            changed since the last one, and keeps what it has until it is deleted. It is read as \
            STORE@NAME by ls, cat, du, dump and mount, and in a mounted volume as .snapshots/NAME, \
            which directories do not list. For instance:

              ashlar snapshot create /srv/store before-upgrade --description 'as it worked'
              ashlar ls /srv/store@before-upgrade /etc
              ls /mnt/.snapshots/before-upgrade/etc
            """,
        subcommands: [
            SnapshotCreateCommand.self, SnapshotImportCommand.self, SnapshotListCommand.self,
            SnapshotShowCommand.self,
            SnapshotRenameCommand.self, SnapshotDescribeCommand.self, SnapshotPinCommand.self,
            SnapshotUnpinCommand.self, SnapshotVerifyCommand.self, SnapshotDeleteCommand.self,
            SnapshotRollbackCommand.self, SnapshotCloneCommand.self, SnapshotScheduleCommand.self,
        ])
}

/// What all subcommands about one snapshot are given.
struct SnapshotArguments: ParsableArguments {
    @Argument(help: "The store.")
    var store: String

    @Argument(help: "The snapshot's name.")
    var name: String

    @Option(help: ArgumentHelp("The volume.", valueName: "name"))
    var volume = "main"

    @Flag(help: "Print one JSON object.")
    var json = false

    func perform(_ action: SnapshotAction, says word: String) throws {
        let output = Output(program: CommandRunner.programName)
        let snapshot = try action.perform(on: try StoreAddress(whole: store))
        if json {
            try output.report(snapshot.report, asJSON: true)
        } else {
            output.line("\(word) \(snapshot.volume)@\(snapshot.name)")
        }
        try output.flush()
    }
}

/// `ashlar snapshot create STORE NAME`.
struct SnapshotCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a snapshot of a volume as it is now, or of a directory of the machine.",
        discussion: """
            Everything that was written before is in it. Writers go on meanwhile. For instance:

              ashlar snapshot create /srv/store "daily-$(date +%F)" --tag daily

            With --source a directory is scanned into the store, by the daemon where it is mounted: files of \
            every kind, with owners, permissions, times of modification, attributes, access lists, \
            holes and hard links. Files are not read again that are as an earlier snapshot of the \
            same directory has them, by size, times of modification and change, and inode number. \
            Ended by a signal it makes no snapshot, keeps what was stored, and finds it there when it \
            is repeated. For instance:

              ashlar snapshot create --source /home /srv/store home-1 --exclude '*.o' --exclude cache/

            Exit codes: 1 also where files could not be read, and are not in the snapshot.
            """)

    @OptionGroup var arguments: SnapshotArguments

    @Option(help: ArgumentHelp("What it is for.", valueName: "text"))
    var description = ""

    @Option(
        name: .customLong("tag"), parsing: .singleValue,
        help: ArgumentHelp("A tag; may be repeated.", valueName: "tag"))
    var tags: [String] = []

    @Flag(help: "Pin it: it is not deleted before it is unpinned.")
    var pin = false

    @Option(
        help: ArgumentHelp("Scan this directory, in place of a volume.", valueName: "directory"))
    var source: String?

    @OptionGroup(title: "Options of --source") var scan: ScanArguments

    func validate() throws {
        if source == nil, scan.isGiven {
            throw ValidationError("Give --source with the options of a scan.")
        }
    }

    func run() throws {
        if let source {
            var draft = SnapshotDraft(name: arguments.name)
            draft.description = description
            draft.tags = tags
            draft.isPinned = pin
            let snapshot = DirectorySnapshot(
                store: arguments.store, volume: arguments.volume, draft: draft)
            return try snapshot.run(source, scan, asJSON: arguments.json)
        }
        var action = SnapshotAction(.create, arguments.name, of: arguments.volume)
        action.description = description
        action.tags = tags
        action.isPinned = pin
        try arguments.perform(action, says: "made")
    }
}

/// `ashlar snapshot rename STORE OLD NEW`.
struct SnapshotRenameCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename", abstract: "Give a snapshot another name.")

    @OptionGroup var arguments: SnapshotArguments

    @Argument(help: "The name it gets.")
    var newName: String

    func run() throws {
        var action = SnapshotAction(.edit, arguments.name, of: arguments.volume)
        action.newName = newName
        try arguments.perform(action, says: "renamed \(arguments.name) to")
    }
}

/// `ashlar snapshot describe STORE NAME`.
struct SnapshotDescribeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Set a snapshot's description or tags.",
        discussion: """
            What is not given stays as it is. For instance:

              ashlar snapshot describe /srv/store daily-1 --description 'the good one' --tag keep
            """)

    @OptionGroup var arguments: SnapshotArguments

    @Option(help: ArgumentHelp("What it is for; empty for nothing.", valueName: "text"))
    var description: String?

    @Option(
        name: .customLong("tag"), parsing: .singleValue,
        help: ArgumentHelp("A tag, in place of all it has; may be repeated.", valueName: "tag"))
    var tags: [String] = []

    @Flag(help: "Take all tags away.")
    var noTags = false

    func validate() throws {
        if description == nil, tags.isEmpty, !noTags {
            throw ValidationError("Give --description, --tag or --no-tags.")
        }
    }

    func run() throws {
        var action = SnapshotAction(.edit, arguments.name, of: arguments.volume)
        action.description = description
        action.tags = noTags || !tags.isEmpty ? tags : nil
        try arguments.perform(action, says: "described")
    }
}

/// `ashlar snapshot pin STORE NAME`.
struct SnapshotPinCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "Keep a snapshot from being deleted.")

    @OptionGroup var arguments: SnapshotArguments

    func run() throws {
        var action = SnapshotAction(.edit, arguments.name, of: arguments.volume)
        action.isPinned = true
        try arguments.perform(action, says: "pinned")
    }
}

/// `ashlar snapshot unpin STORE NAME`.
struct SnapshotUnpinCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unpin", abstract: "Let a pinned snapshot be deleted.")

    @OptionGroup var arguments: SnapshotArguments

    func run() throws {
        var action = SnapshotAction(.edit, arguments.name, of: arguments.volume)
        action.isPinned = false
        try arguments.perform(action, says: "unpinned")
    }
}

/// `ashlar snapshot delete STORE NAME…`.
struct SnapshotDeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete snapshots.",
        discussion: """
            What only they have is given back by later checkpoints; "ashlar du STORE@NAME" says \
            beforehand how much that is. Pinned ones are refused.
            """)

    @Argument(help: "The store.")
    var store: String

    @Argument(help: "Names of snapshots.")
    var names: [String]

    @Option(help: ArgumentHelp("The volume.", valueName: "name"))
    var volume = "main"

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if names.isEmpty { throw ValidationError("Name a snapshot.") }
    }

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let address = try StoreAddress(whole: store)
        var deleted: [ListedSnapshot] = []
        for name in names {
            let snapshot = try SnapshotAction(.delete, name, of: volume).perform(on: address)
            deleted.append(snapshot)
            if !json { output.line("deleted \(snapshot.volume)@\(snapshot.name)") }
        }
        if json {
            try output.report(
                ["deleted": .list(deleted.map { .object($0.report) })], asJSON: true)
        }
        try output.flush()
    }
}
