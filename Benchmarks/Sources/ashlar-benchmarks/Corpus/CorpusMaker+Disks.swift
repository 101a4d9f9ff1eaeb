import Foundation

/// Images of disks, made without mounting anything: `mke2fs -d`.
extension CorpusMaker {
    private static let diskMebibytes = 2048
    private static let bigMebibytes = 4096
    /// Names the filesystem, so that images made twice differ only in what is in them.
    private static let uuid = "3f0c6a52-5f3c-4b6e-9a80-0a5b1a5b1a51"

    /// Packages of the first state besides Debian's smallest system, and those the second adds.
    private static let firstPackages = "build-essential,linux-image-amd64,git"
    private static let addedPackages = ["python3-numpy", "vim", "openssh-server", "postgresql"]

    /// A system of debootstrap, before and after more is installed; without debootstrap or a
    /// mirror the unpacked packages, and one more of them.
    func makeDisks(_ corpus: inout Corpus) throws(BenchmarkError) {
        let before = cache + "/disk-before.raw"
        let after = cache + "/disk-after.raw"
        let origin = cache + "/disk-origin"
        if !Files.exists(before) || !Files.exists(after) {
            do {
                try makeSystemDisks(before, after)
                try? "debootstrap".write(toFile: origin, atomically: true, encoding: .utf8)
            } catch .interrupted {
                throw .interrupted
            } catch {
                say("no system by debootstrap (\(error)): packages instead")
                do {
                    try makePackageDisks(before, after, &corpus)
                } catch .interrupted {
                    throw .interrupted
                } catch {
                    corpus.notes.append("disk images are missing: \(error)")
                    return
                }
                try? "packages".write(toFile: origin, atomically: true, encoding: .utf8)
            }
        }
        if (try? String(contentsOfFile: origin, encoding: .utf8)) == "packages" {
            corpus.notes.append(
                "the disk images are of unpacked packages, not of a system: no debootstrap")
        }
        corpus.diskBefore = before
        corpus.diskAfter = after
    }

    private func makeSystemDisks(_ before: String, _ after: String) throws(BenchmarkError) {
        guard Command.find("debootstrap") != nil else {
            throw .missing("no program debootstrap")
        }
        let root = cache + "/system"
        // Below an interrupted debootstrap nothing is mounted for long, but never delete blindly.
        defer {
            BackingDisk.sweep(folder: root)
            _ = try? Command("rm", "-rf", "--one-file-system", root).cleaning.run()
        }
        say("making a system by debootstrap (minutes)")
        try Command(
            "debootstrap", "--variant=minbase", "--include=\(Self.firstPackages)", "bookworm", root
        ).run()
        // No service is started.
        try Command.shell(
            "printf '#!/bin/sh\\nexit 101\\n' > \"$1\"; chmod 755 \"$1\"",
            root + "/usr/sbin/policy-rc.d"
        ).run()
        try makeImage(of: root, at: before, mebibytes: Self.diskMebibytes)
        say("installing more into it")
        try Command(
            ["chroot", root, "apt-get", "install", "-y", "--no-install-recommends"]
                + Self.addedPackages
        ).with(environment: ["DEBIAN_FRONTEND": "noninteractive"]).run()
        try makeImage(of: root, at: after, mebibytes: Self.diskMebibytes)
    }

    private func makePackageDisks(
        _ before: String, _ after: String, _ corpus: inout Corpus
    ) throws(BenchmarkError) {
        let names = Files.names(in: cache + "/packages").filter { $0.hasPrefix("linux-image-") }
        guard names.count > 1 else { throw .missing("not enough packages for disk images") }
        let root = cache + "/system"
        defer { _ = try? Command("rm", "-rf", "--one-file-system", root).cleaning.run() }
        try Files.makeFolder(root)
        try Command("cp", "-al", "\(cache)/packages/\(names[0])", root).run()
        try makeImage(of: root, at: before, mebibytes: Self.diskMebibytes)
        try Command("cp", "-al", "\(cache)/packages/\(names[1])", root).run()
        try makeImage(of: root, at: after, mebibytes: Self.diskMebibytes)
    }

    /// The image for random access: all trees there are, in one filesystem.
    func bigImage(_ trees: [String]) throws(BenchmarkError) -> String {
        let mebibytes = max(Int(Double(Self.bigMebibytes) * scale), 512)
        let path = cache + "/big-\(mebibytes).raw"
        if Files.exists(path) { return path }
        guard !trees.isEmpty else { throw .missing("no trees to make it of") }
        say("making an image for random access")
        let root = cache + "/big"
        defer { _ = try? Command("rm", "-rf", "--one-file-system", root).cleaning.run() }
        try Files.makeFolder(root)
        // Trees until it is full, by hard links: nothing is copied.
        var used: UInt64 = 0
        let room = UInt64(mebibytes) << 20
        let tar = cache + "/linux-source.tar"
        for tree in trees + (Files.exists(tar) ? [tar] : []) {
            let bytes = try Files.allocatedBytes(below: tree)
            guard used + bytes < room * 8 / 10 else { continue }
            used += bytes
            try Command("cp", "-al", tree, root + "/").run()
        }
        try makeImage(of: root, at: path, mebibytes: mebibytes)
        return path
    }

    private func makeImage(
        of root: String, at path: String, mebibytes: Int
    ) throws(BenchmarkError) {
        unlink(path + ".part")
        try Command(
            "mke2fs", "-q", "-F", "-t", "ext4", "-U", Self.uuid, "-E", "hash_seed=\(Self.uuid)",
            "-d", root, path + ".part", "\(mebibytes)M"
        ).run()
        guard rename(path + ".part", path) == 0 else {
            throw .system(call: "rename", path: path, errno: errno)
        }
    }
}
