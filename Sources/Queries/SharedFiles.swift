import Checking
import DiskFormat
import Trees

/// Files with several names, some of which differ between two volumes and some do not. Names are not
/// found by their files, so a walk through all of them is what tells the others
/// (`VolumeDifference.init`).
public struct SharedFiles: Sendable {
    /// By their numbers.
    private var old: Set<UInt64> = []
    private var new: Set<UInt64> = []

    public var isEmpty: Bool { old.isEmpty && new.isEmpty }

    /// None.
    public init() {}

    /// Those between two volumes. Where none has files with several names, nothing is read.
    ///
    /// Memory: the numbers of such files that differ.
    ///
    /// - Parameter isCancelled: ends it; what was found is of no use then.
    public init(
        from old: VolumeState, to new: VolumeState, isCancelled: () -> Bool = { false }
    ) throws(TreeError) {
        let hasAny = [old, new].contains { $0.hasChangesOnTop || $0.root.linkedInodes != nil }
        guard hasAny else { return }
        // Names that differ not.
        var left: (old: [UInt64: UInt64], new: [UInt64: UInt64]) = ([:], [:])
        var difference = try VolumeDifference(from: old, to: new)
        while !isCancelled(), let found = try difference.next() {
            if let image = found.old { Self.count(image, &left.old) }
            if let image = found.new { Self.count(image, &left.new) }
        }
        self.old = Set(left.old.filter { $0.value > 0 }.keys)
        self.new = Set(left.new.filter { $0.value > 0 }.keys)
    }

    private static func count(_ image: InodeImage, _ left: inout [UInt64: UInt64]) {
        guard image.isLinked, image.linkCount > 1 else { return }
        let before = left[image.inode] ?? image.linkCount
        left[image.inode] = before - min(before, 1)
    }

    /// Whether a file of either volume is among them.
    func has(_ a: InodeImage, _ b: InodeImage) -> Bool {
        (a.isLinked && old.contains(a.inode)) || (b.isLinked && new.contains(b.inode))
    }
}
