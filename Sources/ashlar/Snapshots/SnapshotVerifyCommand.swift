// `ashlar snapshot verify`: whether all of a snapshot can be read.
import ArgumentParser
import Checking
import Console
import DiskFormat
import Trees

/// `ashlar snapshot verify STORE NAME`.
struct SnapshotVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Read all of a snapshot, and tell what cannot be read.",
        discussion: """
            Every name, attribute and byte is read and its checksum verified; nothing is changed. Exit \
            code 3 where anything is damaged. "ashlar fsck" checks whole stores.
            """)

    @OptionGroup var arguments: SnapshotArguments

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        var address = try StoreAddress(whole: arguments.store)
        address.snapshot = arguments.name
        let (_, view) = try StoreView(address).volume(named: arguments.volume)
        let verification = SnapshotVerification(view, output)
        try verification.run()
        try output.report(verification.report(arguments.name), asJSON: arguments.json)
        try output.flush()
        if verification.damagedCount > 0 {
            throw CommandFailure(
                .damaged, "\(verification.damagedCount) places of the snapshot cannot be read",
                advice: "See fsck.ashlar(8): what is lost may be found elsewhere.")
        }
    }
}

/// One reading of a snapshot. One thread.
final class SnapshotVerification {
    private static let stepBytes = 1 << 20
    private static let damagedMax = 1000

    private let view: VolumeState
    private let progress: Progress
    private var files: UInt64 = 0
    private var directories: UInt64 = 0
    private var others: UInt64 = 0
    private var bytes: UInt64 = 0
    /// Inodes with several names that were read.
    private var linked: Set<UInt64> = []
    private(set) var damagedCount: UInt64 = 0
    private var damaged: [[ReportValue]] = []

    init(_ view: VolumeState, _ output: Output) {
        self.view = view
        progress = Progress("verifying", on: output)
    }

    func run() throws {
        defer { progress.finish() }
        var pending: [(image: InodeImage, path: [UInt8])] = [(view.directory, [])]
        while let (image, path) = pending.popLast() {
            if image.isLinked, !linked.insert(image.inode).inserted { continue }
            verify(path) { () throws(TreeError) in _ = try view.attributes(of: image) }
            switch image.mode >> 12 {
            case 8:
                files += 1
                read(image, path)
            case 4:
                directories += 1
                verify(path) { () throws(TreeError) in
                    try view.forEachEntry(of: image) { entry throws(TreeError) in
                        guard let child = try view.image(of: entry) else {
                            throw .format(.badValue("entry without an inode"), node: view.rootName)
                        }
                        pending.append((child, path + [UInt8(ascii: "/")] + entry.name))
                        return true
                    }
                }
            default: others += 1
            }
        }
    }

    private func verify(_ path: [UInt8], _ body: () throws(TreeError) -> Void) {
        do throws(TreeError) {
            try body()
        } catch {
            tell(path, nil, error)
        }
    }

    private func read(_ image: InodeImage, _ path: [UInt8]) {
        var offset: UInt64 = 0
        while offset < image.size {
            do throws(TreeError) {
                let read = try view.read(image, at: offset, count: Self.stepBytes)
                bytes += UInt64(read.count)
            } catch {
                tell(path, offset, error)
            }
            offset += UInt64(Self.stepBytes)
            progress.update(
                doneBytes: bytes, totalBytes: view.root.statistics.logicalBytes,
                detail: DisplayText.escaped(path))
        }
    }

    private func tell(_ path: [UInt8], _ offset: UInt64?, _ error: TreeError) {
        damagedCount += 1
        guard damaged.count < Self.damagedMax else { return }
        let shown = path.isEmpty ? [UInt8(ascii: "/")] : path
        damaged.append(
            [
                .name(shown), offset.map { .number($0) } ?? .none,
                .text(CommandFailure(tree: error, what: "").message),
            ])
    }

    func report(_ name: String) -> Report {
        var report: Report = [
            "snapshot": .text(name), "files": .number(files), "directories": .number(directories),
            "others": .number(others), "read_bytes": .bytes(bytes),
            "damaged_places": .number(damagedCount),
        ]
        if !damaged.isEmpty {
            report.add(
                "damaged",
                .table(ReportTable(columns: ["path", "from_byte", "why"], rows: damaged)))
        }
        return report
    }
}
