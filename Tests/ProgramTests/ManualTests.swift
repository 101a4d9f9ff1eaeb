import ArgumentParser
import Foundation
import XCTest

@testable import ashlar
@testable import fsck

/// The manual pages say what the programs do: options both ways, mount options, installed files.
final class ManualTests: DirectoryTestCase {
    private let top = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private func page(_ name: String) throws -> String {
        try String(
            contentsOf: top.appendingPathComponent("packaging/man/\(name)"), encoding: .utf8)
    }

    /// The options at the beginnings of a page's items: `\fB\-q\fR, \fB\-\-quiet\fR`.
    private func documented(_ page: String) -> Set<String> {
        var options: Set<String> = []
        var isTag = false
        for line in page.split(separator: "\n") {
            if isTag, line.hasPrefix("\\fB\\-") { options.formUnion(self.options(in: line)) }
            isTag = line == ".TP"
        }
        return options
    }

    private func options(in text: some StringProtocol) -> Set<String> {
        let plain = text.replacingOccurrences(of: "\\-", with: "-")
            .replacingOccurrences(of: "\\fB", with: " ").replacingOccurrences(of: "\\fR", with: " ")
        let words = plain.split { " ,[]|".contains($0) }
        return Set(words.filter { $0.hasPrefix("-") && $0.count > 1 }.map(String.init))
    }

    /// The options that a help text lists.
    private func offered(_ help: String) -> Set<String> {
        let lines = help.split(separator: "\n").filter { $0.hasPrefix("  -") }
        return lines.reduce(into: []) { options, line in
            let tag = line.dropFirst(2).prefix { $0 != "<" }
            options.formUnion(self.options(in: tag.components(separatedBy: "  ")[0]))
        }
    }

    private func assertSame(
        _ pageName: String, _ helps: [String], line: UInt = #line
    ) throws {
        let common: Set<String> = ["-h", "--help", "--version"]
        let offered = helps.reduce(into: Set<String>()) { $0.formUnion(self.offered($1)) }
        XCTAssertGreaterThan(offered.count, 1, "help was not understood", line: line)
        XCTAssertEqual(
            documented(try page(pageName)).subtracting(common).sorted(),
            offered.subtracting(common).sorted(), pageName, line: line)
    }

    func testOptionsOfThePages() throws {
        try assertSame("mkfs.ashlar.8", [MakeArguments.helpMessage()])
        try assertSame("mount.ashlar.8", [MountHelperArguments.helpMessage()])
        try assertSame("umount.ashlar.8", [UnmountCommand.helpMessage()])
        try assertSame("fsck.ashlar.8", [FsckCommand.helpMessage()])
        try assertSame(
            "ashlar.1",
            [
                DumpCommand.helpMessage(), MountArguments.helpMessage(),
                ListCommand.helpMessage(), PrintCommand.helpMessage(),
                StatisticsCommand.helpMessage(), UsageCommand.helpMessage(),
                VolumeListCommand.helpMessage(), VolumeRemoveCommand.helpMessage(),
                ReclaimCommand.helpMessage(), QueryCommand.helpMessage(),
                FindDuplicatesCommand.helpMessage(), RetentionApplyCommand.helpMessage(),
                RestoreCommand.helpMessage(), HistoryCommand.helpMessage(),
                FindChangesCommand.helpMessage(), RetentionSetCommand.helpMessage(),
                SnapshotScheduleSetCommand.helpMessage(), RetentionShowCommand.helpMessage(),
                FindLargestCommand.helpMessage(),
                SnapshotCreateCommand.helpMessage(), SnapshotImportCommand.helpMessage(),
                StreamSnapshotCommand.helpMessage(), StreamDifferenceCommand.helpMessage(),
                ApplyCommand.helpMessage(), DifferenceInfoCommand.helpMessage(),
                SnapshotListCommand.helpMessage(), SnapshotShowCommand.helpMessage(),
                SnapshotRenameCommand.helpMessage(), SnapshotDescribeCommand.helpMessage(),
                SnapshotVerifyCommand.helpMessage(), SnapshotDeleteCommand.helpMessage(),
                DifferenceCommand.helpMessage(),
                SnapshotRollbackCommand.helpMessage(), SnapshotCloneCommand.helpMessage(),
            ])
    }

    /// Every subcommand has its place in ashlar(1).
    func testCommandsOfThePage() throws {
        let text = try page("ashlar.1")
        for command in Ashlar.configuration.subcommands {
            let configuration = command.configuration
            guard configuration.shouldDisplay, let name = configuration.commandName else {
                continue
            }
            XCTAssertTrue(text.contains("ashlar \(name)\\fR"), name)
        }
        for kind in DumpKind.allCases {
            XCTAssertTrue(text.contains("\\fB\(kind.rawValue)\\fR"), kind.rawValue)
        }
    }

    /// What the page says can be given to -o can be given.
    func testMountOptionsOfThePage() throws {
        let text = try page("mount.ashlar.8")
        let part = try XCTUnwrap(
            text.components(separatedBy: ".SH MOUNT OPTIONS\n").last?
                .components(separatedBy: ".SH EXIT STATUS").first)
        let examples = [
            "volume": "v", "snapshot": "s", "memory": "64M", "commit": "1", "reclaim": "0",
            "optimize": "600", "threads": "1",
        ]
        var seen: Set<String> = []
        for line in part.split(separator: "\n") where line.hasPrefix(".B") {
            guard !line.contains("(") else { continue }
            let words = line.split(separator: " ").dropFirst()
            let first = words.first.map { $0.replacingOccurrences(of: "\\-", with: "-") } ?? ""
            guard first != "main" else { continue }
            for word in line.hasPrefix(".BR") && words.count > 2
                ? Array(words) : [words.first ?? ""]
            {
                var option = word.replacingOccurrences(of: "\\-", with: "-")
                    .replacingOccurrences(of: "*", with: "a")
                guard option.contains(where: \.isLetter) else { continue }
                if option.hasSuffix("="), let value = examples[String(option.dropLast())] {
                    option += value
                }
                XCTAssertNoThrow(try MountSettings(parsing: [option]), option)
                seen.insert(option)
            }
        }
        XCTAssertTrue(
            seen.isSuperset(of: [
                "ro", "nolazytime", "remount", "_netdev", "x-a", "comment=", "volume=v",
                "memory=64M", "commit=1", "reclaim=0", "optimize=600", "threads=1",
                "allow_other", "noallow_other", "default_permissions", "acl", "noacl",
                "io_uring", "noio_uring",
            ]), "\(seen.sorted())")
    }

    // MARK: installing

    private func make(_ target: String) throws -> ProgramResult {
        let make = "/usr/bin/make"
        guard FileManager.default.isExecutableFile(atPath: make) else {
            throw XCTSkip("make is not installed")
        }
        return try BuiltProgram.run(
            make,
            [
                "-s", "-C", top.path, target, "DESTDIR=\(path("root"))", "PREFIX=/opt/a",
                "BIN=\(BuiltProgram.folder.path)",
            ], seconds: 120)
    }

    private func files() throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: path("root")).filter {
            var isDirectory: ObjCBool = false
            let exists = FileManager.default.fileExists(
                atPath: path("root/\($0)"), isDirectory: &isDirectory)
            return !exists || !isDirectory.boolValue
        }.sorted()
    }

    func testInstallAndUninstall() throws {
        _ = try BuiltProgram.path("ashlar")
        let installed = try make("install-files")
        XCTAssertEqual(installed.code, 0, installed.errors)
        let share = "opt/a/share"
        XCTAssertEqual(
            try files(),
            [
                "opt/a/bin/ashlar", "opt/a/bin/fsck.ashlar",
                "\(share)/bash-completion/completions/ashlar",
                "\(share)/bash-completion/completions/fsck.ashlar",
                "\(share)/fish/vendor_completions.d/ashlar.fish",
                "\(share)/fish/vendor_completions.d/fsck.ashlar.fish",
                "\(share)/man/man1/ashlar.1", "\(share)/man/man8/fsck.ashlar.8",
                "\(share)/man/man8/mkfs.ashlar.8", "\(share)/man/man8/mount.ashlar.8",
                "\(share)/man/man8/umount.ashlar.8",
                "\(share)/zsh/site-functions/_ashlar", "\(share)/zsh/site-functions/_fsck.ashlar",
                "sbin/fsck.ashlar", "sbin/mkfs.ashlar", "sbin/mount.ashlar",
                "sbin/mount.fuse.ashlar", "sbin/umount.ashlar", "sbin/umount.fuse.ashlar",
            ].sorted())
        XCTAssertEqual(
            try FileManager.default.destinationOfSymbolicLink(
                atPath: path("root/sbin/mount.ashlar")), "/opt/a/bin/ashlar")
        let run = try BuiltProgram.run(path("root/opt/a/bin/ashlar"), ["--version"])
        XCTAssertEqual(run.text, ashlarVersion + "\n")
        let completions = try String(
            contentsOfFile: path("root/\(share)/bash-completion/completions/ashlar"),
            encoding: .utf8)
        XCTAssertTrue(completions.contains("dump"))
        XCTAssertEqual(try make("uninstall").code, 0)
        XCTAssertEqual(try files(), [])
    }
}
