/// The path of what a walk has come to, and the order of such paths.
struct WalkedPath {
    private(set) var bytes: [UInt8] = []
    /// Where the names of the directories on the way begin in it; the root's, which is none, first.
    private var starts: [Int] = []

    /// Comes to a name in the directory that the walk is in.
    mutating func enter(_ name: [UInt8]) {
        bytes.removeSubrange((starts.last ?? 0)...)
        if !bytes.isEmpty { bytes.append(UInt8(ascii: "/")) }
        bytes += name
    }

    /// Goes into the directory that it has come to.
    mutating func open() { starts.append(bytes.count) }

    /// Leaves the directory, whose path it is then.
    mutating func close() { bytes.removeSubrange(starts.removeLast()...) }

    /// The order of a walk: a directory before what is in it, and that before what follows it.
    static func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        for (x, y) in zip(a, b) where x != y {
            if x == UInt8(ascii: "/") { return true }
            if y == UInt8(ascii: "/") { return false }
            return x < y
        }
        return a.count < b.count
    }

    /// Whether a path lies below another one.
    static func isBelow(_ path: [UInt8], _ top: [UInt8]) -> Bool {
        if top.isEmpty { return !path.isEmpty }
        return path.count > top.count && path.starts(with: top)
            && path[top.count] == UInt8(ascii: "/")
    }
}
