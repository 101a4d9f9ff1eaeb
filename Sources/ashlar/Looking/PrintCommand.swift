// `ashlar cat`: the bytes of files, without mounting their volume.
import ArgumentParser
import Checking
import Console
import DiskFormat
import Trees

/// Writes files to standard output.
struct PrintCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat", abstract: "Write files of a volume to standard output.")

    @Argument(help: "The store or a mountpoint, or either with @SNAPSHOT.")
    var store: String

    @Argument(help: "Paths in the volume.")
    var paths: [String]

    @Option(
        help: ArgumentHelp("The volume; main where nothing else is mounted.", valueName: "name"))
    var volume: String?

    /// Read and written at once.
    private static let stepBytes = 1 << 20

    func validate() throws {
        if paths.isEmpty { throw ValidationError("Name a file.") }
    }

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let (_, view) = try StoreView(StorePlace(store, volume: volume)).volume()
        for path in paths {
            let image = try StoreView.resolve(path, in: view)
            let shown = DisplayText.escaped(path.utf8)
            switch image.mode >> 12 {
            case 8: try write(image, of: view, shown, to: output)
            case 4: throw CommandFailure(.notFound, "\(shown): is a directory")
            default: throw CommandFailure(.notFound, "\(shown): is not a regular file")
            }
        }
        try output.flush()
    }

    private func write(
        _ image: InodeImage, of view: VolumeState, _ shown: String, to output: Output
    ) throws {
        var offset: UInt64 = 0
        while offset < image.size {
            let bytes: [UInt8]
            do throws(TreeError) {
                bytes = try view.read(image, at: offset, count: Self.stepBytes)
            } catch {
                throw CommandFailure(tree: error, what: "\(shown), from byte \(offset)")
            }
            output.bytes(bytes)
            // A closed pipe or a full disk ends it here, not after a hundred gigabytes.
            try output.flush()
            offset += UInt64(bytes.count)
        }
    }
}
