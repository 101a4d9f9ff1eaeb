import Foundation

/// libfuse's plain passthrough examples, on the ext4: what FUSE itself costs. Two of them: the
/// low-level one is the faster, but keeps a descriptor for each inode, and 80,000 are more than many
/// processes may have; the other one works by paths.
final class PassthroughPeer: FilesystemPeer {
    enum Kind: String {
        case lowLevel = "passthrough_ll"
        case paths = "passthrough_fh"
    }

    let kind: Kind
    let packages = ["libfuse3-dev", "gcc", "pkg-config"]
    let mountpoint: String
    let daemon: Int32? = nil
    private let ground: StoreOnExt4
    private let tools: String

    private static let examples = "/usr/share/doc/libfuse3-dev/examples"

    /// - Parameter tools: a folder for the compiled program.
    init(_ kind: Kind, disk: BackingDisk, tools: String) {
        self.kind = kind
        ground = StoreOnExt4(disk: disk)
        mountpoint = disk.folder + "/passthrough"
        self.tools = tools
    }

    var name: String { kind == .lowLevel ? "passthrough" : "passthrough-fh" }
    private var source: String { "\(Self.examples)/\(kind.rawValue).c" }
    private var program: String { "\(tools)/\(kind.rawValue)" }

    var missing: String? {
        guard Files.exists(source) else { return "no \(source) (package libfuse3-dev)" }
        return Self.missing("cc", "pkg-config", package: "gcc, pkg-config")
    }

    var version: String {
        let library = (try? Command("pkg-config", "--modversion", "fuse3").run())?.output ?? "?"
        return "libfuse \(library), \(kind.rawValue)"
    }

    /// A process's limit of descriptors, which daemons inherit.
    static var descriptorsMax: UInt64 {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return UInt64(limit.rlim_max)
    }

    private func compile() throws(BenchmarkError) {
        if Files.exists(program) { return }
        try Files.makeFolder(tools)
        let have = ["UTIMENSAT", "SETXATTR", "POSIX_FALLOCATE", "FDATASYNC", "COPY_FILE_RANGE"]
            .map { "-DHAVE_\($0)" }.joined(separator: " ")
        try Command.shell(
            """
            cc -O2 -D_FILE_OFFSET_BITS=64 \(have) -I"$1" "$2" \
                $(pkg-config --cflags --libs fuse3) -o "$3"
            """, Self.examples, source, program
        ).run()
    }

    func start() throws(BenchmarkError) {
        try compile()
        try ground.start()
        try mount()
    }

    private func mount() throws(BenchmarkError) {
        try Files.makeFolder(mountpoint)
        // The low-level one refuses extended attributes unless told otherwise, and the kernel does not ask
        // again: what is copied would lose its access lists, which Ashlar and the ext4 keep.
        let option =
            kind == .lowLevel
            ? "source=\(ground.store),xattr" : "modules=subdir,subdir=\(ground.store)"
        try Command(program, "-o", option, mountpoint).run()
    }

    func makeDurable() throws(BenchmarkError) {
        try ground.makeDurable()
    }

    func restart() throws(BenchmarkError) {
        try Command("umount", mountpoint).run()
        // The daemon holds the ground a moment longer than the mount.
        ground.stop()
        try ground.disk.forget()
        try ground.disk.mountAgainExt4(at: ground.root)
        try mount()
    }

    func storedBytes() throws(BenchmarkError) -> UInt64 {
        try ground.makeDurable()
        return try Files.allocatedBytes(below: ground.store)
    }

    func stop() {
        if BackingDisk.isMounted(mountpoint) {
            _ = try? Command("umount", mountpoint).cleaning.run()
        }
        ground.stop()
    }
}

/// gocryptfs: encrypts, does not deduplicate; the fastest of the common writable FUSE filesystems.
final class GocryptfsPeer: FilesystemPeer {
    let name = "gocryptfs"
    let packages = ["gocryptfs"]
    let mountpoint: String
    let daemon: Int32? = nil
    private let ground: StoreOnExt4

    init(disk: BackingDisk) {
        ground = StoreOnExt4(disk: disk)
        mountpoint = disk.folder + "/gocryptfs"
    }

    var missing: String? { Self.missing("gocryptfs", package: "gocryptfs") }
    var version: String { Self.version("gocryptfs", "--version") }

    private static let password = ["-q", "-extpass", "echo", "-extpass", "benchmark"]

    func start() throws(BenchmarkError) {
        try ground.start()
        try Files.makeFolder(mountpoint)
        try Command(["gocryptfs", "-init", "-scryptn", "10"] + Self.password + [ground.store]).run()
        try mount()
    }

    private func mount() throws(BenchmarkError) {
        try Command(["gocryptfs"] + Self.password + [ground.store, mountpoint]).run()
    }

    func makeDurable() throws(BenchmarkError) {
        try ground.makeDurable()
    }

    func restart() throws(BenchmarkError) {
        try Command("umount", mountpoint).run()
        ground.stop()
        try ground.disk.forget()
        try ground.disk.mountAgainExt4(at: ground.root)
        try mount()
    }

    func storedBytes() throws(BenchmarkError) -> UInt64 {
        try ground.makeDurable()
        return try Files.allocatedBytes(below: ground.store)
    }

    func stop() {
        if BackingDisk.isMounted(mountpoint) {
            _ = try? Command("umount", mountpoint).cleaning.run()
        }
        ground.stop()
    }
}
