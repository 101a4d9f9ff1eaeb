// `ashlar restore`: files of a snapshot, made again in any directory.
import ArgumentParser
import Checking
import Console
import DiskFormat
import Glibc
import Platform
import Restoring
import Trees

/// Restores what a snapshot or volume has.
struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Make files of a snapshot again, in any directory.",
        discussion: """
            A source is SNAPSHOT for all of it, or SNAPSHOT:PATH; without a name before the colon it is \
            the volume as it is now. PATH comes into DEST under its last name; with a slash at its end \
            what is in it comes into DEST itself. Owners, modes, times, extended attributes, access \
            lists, hard links, holes and devices come back, too. Each file appears whole, under its \
            name, when its source was read to the end; run again, the command goes on where it \
            was ended. Nothing is deleted without --delete. For instance:

              ashlar restore /srv/store monday /mnt/new
              ashlar restore /srv/store monday:/etc/fstab monday:/home/me/ /tmp/back
              ashlar restore --dry-run --delete /srv/store monday:/www/ /www

            Exit codes: 0 everything is there, 1 something could not be written, 3 something could not \
            be read.
            """)

    @Argument(help: "The store or a mountpoint.")
    var store: String

    @Argument(help: "Sources, SNAPSHOT[:PATH], and then the directory that they are restored into.")
    var places: [String]

    @Option(
        help: ArgumentHelp("The volume; main where nothing else is mounted.", valueName: "name"))
    var volume: String?

    @Option(
        help: ArgumentHelp(
            """
            What is done about files that are there: if-changed replaces those of another size or time, \
            if-newer keeps those that are newer, always replaces all, never none.
            """, valueName: "when"))
    var overwrite = "if-changed"

    @Flag(help: "Delete in the end what the source does not have, if nothing failed.")
    var delete = false

    @Flag(help: "Compare each byte: of files in place, and of what was written.")
    var verify = false

    @Flag(
        help: ArgumentHelp(
            """
            Do not wait until everything is on the medium (syncfs): a power cut within a minute may then \
            leave files that look right, and a second run passes over them.
            """))
    var noSync = false

    @Flag(name: [.customShort("n"), .long], help: "Tell what would be done, and do nothing.")
    var dryRun = false

    @Flag(name: .shortAndLong, help: "Tell each name.")
    var verbose = false

    @Flag(help: "Draw no progress.")
    var noProgress = false

    @Flag(help: "JSON: one object a line, the last one the summary.")
    var json = false

    func validate() throws {
        guard RestoreOverwriting(rawValue: overwrite) != nil else {
            let all = RestoreOverwriting.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--overwrite: \(overwrite) is none of \(all).")
        }
    }

    func run() throws {
        let output = Output(
            program: CommandRunner.programName, verbosity: noProgress || json ? .quiet : .normal)
        let place = try StorePlace(store, volume: volume)
        guard let destination = places.last, places.count > 1 || place.address.snapshot != nil
        else {
            throw CommandFailure(
                .usage, "name a source and a directory",
                advice: "For instance: ashlar restore STORE SNAPSHOT DIRECTORY")
        }
        let sources = try RestoreSource.all(Array(places.dropLast()), of: place)
        try RestoreDestination.check(destination, store: place.address.path, deletes: delete)
        var options = RestoreOptions()
        options.overwriting = RestoreOverwriting(rawValue: overwrite) ?? .ifChanged
        options.deletes = delete
        options.verifies = verify
        options.synchronizes = !noSync
        options.isDryRun = dryRun
        options.isPrivileged = geteuid() == 0
        let work = RestoreWork(
            sources: sources, destination: destination, options: options,
            teller: RestoreTeller(
                output: output, destination: destination, isVerbose: verbose || dryRun,
                isJSON: json, totalBytes: RestoreSource.bytes(sources)))
        Interruption.catchSignals()
        try work.run()
    }
}

/// What is restored: an inode of a volume.
struct RestoreSource {
    let volume: VolumeState
    let image: InodeImage
    /// The name it gets; nil: what is in it comes into the destination itself.
    let name: [UInt8]?

    /// - Parameter texts: `SNAPSHOT`, `SNAPSHOT:PATH`, `:PATH`; where the store was given with a
    ///   snapshot, paths.
    static func all(
        _ texts: [String], of place: StorePlace
    ) throws -> [RestoreSource] {
        var state: State?
        func view(_ snapshot: String?) throws -> VolumeState {
            var address = place.address
            address.snapshot = snapshot
            var look = try StoreView(address)
            // Files lie together that are not restored together.
            look.cacheBytes = 64 << 20
            let (opened, volume) = try look.volume(named: place.volume, in: state)
            state = opened
            return volume
        }
        guard place.address.snapshot == nil else {
            let volume = try view(place.address.snapshot)
            return try (texts.isEmpty ? ["/"] : texts).map { try source($0, in: volume) }
        }
        var views: [String: VolumeState] = [:]
        return try texts.map { text in
            let colon = text.firstIndex(of: ":")
            let name = String(text[..<(colon ?? text.endIndex)])
            guard name.isEmpty || ObjectName.isAcceptable(name), !text.isEmpty else {
                throw CommandFailure(
                    .usage,
                    "\(DisplayText.escaped(text.utf8)) is neither SNAPSHOT nor SNAPSHOT:PATH")
            }
            let volume = try views[name] ?? view(name.isEmpty ? nil : name)
            views[name] = volume
            return try source(
                colon.map { String(text[text.index(after: $0)...]) } ?? "/", in: volume)
        }
    }

    private static func source(
        _ path: String, in volume: VolumeState
    ) throws -> RestoreSource {
        let image = try StoreView.resolve(path, in: volume)
        let parts = path.utf8.split(separator: UInt8(ascii: "/")).filter {
            !$0.elementsEqual([0x2e])
        }
        let isDirectory = image.mode >> 12 == 4
        if !isDirectory, path.hasSuffix("/") {
            throw CommandFailure(
                .notFound, "\(DisplayText.escaped(path.utf8)): is not a directory")
        }
        let comesItself = path.hasSuffix("/") || path.isEmpty
        return RestoreSource(
            volume: volume, image: image,
            name: comesItself ? nil : parts.last.map { Array($0) })
    }

    /// The sizes of the files together, where that is known without looking.
    static func bytes(_ sources: [RestoreSource]) -> UInt64? {
        guard sources.count == 1, let only = sources.first,
            only.image.inode == RootImage.rootInode, only.volume.isSnapshot
        else { return nil }
        return only.volume.root.statistics.logicalBytes
    }
}

/// Where is restored.
enum RestoreDestination {
    /// - Throws: where restoring there would write into the store, or delete it.
    static func check(_ path: String, store: String, deletes: Bool) throws(CommandFailure) {
        let shown = DisplayText.escaped(path.utf8)
        guard let realStore = real(store) else {
            throw CommandFailure(Errno(rawValue: errno), DisplayText.escaped(store.utf8))
        }
        // What is not there yet lies in its parent.
        let parent = path.contains("/") ? path + "/.." : "."
        guard let realPath = real(path) ?? real(parent) else { return }
        let ofStore = try MountPlace.identities(upFrom: realStore)
        let ofPath = try MountPlace.identities(upFrom: realPath)
        if let first = ofStore.first, ofPath.contains(first) {
            throw CommandFailure(.usage, "\(shown) lies inside the store")
        }
        if deletes, let first = ofPath.first, real(path) != nil, ofStore.contains(first) {
            throw CommandFailure(
                .usage, "\(shown) has the store in it, which --delete would delete")
        }
    }

    private static func real(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }

    /// Makes the directory where it is missing; says whether it is new, or as good as new.
    static func make(_ path: String, isDryRun: Bool) throws(CommandFailure) -> Bool {
        let shown = DisplayText.escaped(path.utf8)
        if !isDryRun, mkdir(path, 0o700) == 0 { return true }
        if !isDryRun, errno != EEXIST {
            let reason = Errno(rawValue: errno)
            var failure = CommandFailure(reason, "cannot make \(shown)")
            if reason == .noSuchFileOrDirectory {
                failure.advice = "Make the directory above it first."
            }
            throw failure
        }
        guard let stream = opendir(path) else {
            if isDryRun, errno == ENOENT { return true }
            throw CommandFailure(Errno(rawValue: errno), "cannot open \(shown)")
        }
        defer { closedir(stream) }
        var count = 0
        while readdir(stream) != nil { count += 1 }
        return count <= 2
    }
}
