import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// A filesystem of the kernel's on a loop device, and cuts of its power.
struct LoopFilesystem {
    enum Kind: String {
        case ext4, xfs
    }

    let kind: Kind
    let image: String
    let mountpoint: String
    private unowned let test: EndToEndTestCase

    /// The least that mkfs.xfs accepts.
    private static let imageBytes = 320 << 20

    /// Makes it, not mounted yet. Skips the test where its tools or loop devices cannot be had.
    init(_ kind: Kind, test: EndToEndTestCase) throws {
        self.kind = kind
        self.test = test
        image = test.path("\(kind.rawValue).image")
        mountpoint = test.path("a/disk")
        let mkfs = try Machine.require("mkfs.\(kind.rawValue)")
        try System.writeFile(image, [])
        try System.check(truncate(image, off_t(Self.imageBytes)))
        try test.mustRun([mkfs, "-q", image])
        try test.makeDirectory("a")
        try test.makeDirectory("a/disk")
        let mounted = try test.run(["mount", "-o", "loop", image, mountpoint])
        guard mounted.code == 0 else {
            throw XCTSkip("no loop device with \(kind.rawValue): \(mounted.errors)")
        }
    }

    func mount() throws {
        try test.mustRun(["mount", "-o", "loop", image, mountpoint])
    }

    /// A killed daemon's files are closed a moment after its lock was given up.
    func unmount() throws {
        let isUnmounted = test.wait { (try? test.run(["umount", mountpoint]).code) == 0 }
        XCTAssertTrue(isUnmounted, "\(mountpoint) is in use")
    }

    /// `FS_IOC_SHUTDOWN`, and its argument "do not flush the log".
    private static let shutdownRequest: UInt = 0x8004_587d
    private static let withoutFlushing: UInt32 = 2

    /// Cuts the power: from this moment on nothing reaches the medium, and what was not synchronised is
    /// gone when it is mounted again.
    func cutPower() throws {
        typealias Function = @convention(c) (Int32, UInt, UnsafeMutablePointer<UInt32>) -> Int32
        guard let address = dlsym(nil, "ioctl") else { throw SystemError(ENOSYS) }
        let ioctl = unsafeBitCast(address, to: Function.self)
        try System.with(mountpoint, O_RDONLY | O_DIRECTORY) { root throws(SystemError) in
            var argument = Self.withoutFlushing
            try System.check(ioctl(root, Self.shutdownRequest, &argument))
        }
    }
}
