// `ashlar mkfs`, mkfs.ashlar.
import ArgumentParser
import Backends
import Console
import DiskFormat
import Glibc
import Pipeline
import Platform

/// Makes a store with one empty volume.
struct MakeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mkfs",
        abstract: "Make a store in an empty directory.",
        discussion: """
            What is chosen here is fixed for the store's life, since equal bytes are found again only \
            when cut and named in the same way.
            """)

    @OptionGroup var arguments: MakeArguments

    func run() throws {
        let output = Output(
            program: CommandRunner.programName,
            verbosity: arguments.quiet ? .quiet : .normal)
        try StoreMaking(arguments: arguments, output: output).run(Self.make)
    }

    static func make(
        _ path: String, _ parameters: StoreParameters, _ volume: String
    ) throws {
        StoreLayout.keepPrivate()
        let backend = try DirectoryBackend(path: path, isReadOnly: false, create: true)
        let lock = try StoreLock(storePath: path, mode: .exclusive)
        defer { lock.release() }
        let (seconds, nanoseconds) = wallClock()
        let now = DiskTime(seconds: seconds, nanoseconds: nanoseconds)
        do throws(StoreError) {
            try ChunkStore.create(
                in: backend, index: RocksIndexProvider(path: StoreLayout.index(of: path)),
                parameters: parameters,
                volumes: [NewVolume(name: volume, at: now)])
        } catch {
            throw CommandFailure(error, store: path)
        }
    }
}

/// Where things lie in a store that is a directory.
enum StoreLayout {
    static func index(of store: String) -> String { store + "/index" }

    /// From now on this process makes files for its own user alone: whoever reads the packs or the
    /// index reads everybody's files.
    static func keepPrivate() { umask(0o077) }
}
