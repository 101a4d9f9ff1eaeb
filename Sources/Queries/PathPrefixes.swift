/// The parts of a tree that are asked about: what is at or below some paths. A value, any thread.
public struct PathPrefixes: Equatable, Sendable {
    private let tops: [[UInt8]]

    /// - Parameter tops: from the root, without a leading slash. None, or the root, which is empty: all.
    public init(_ tops: [[UInt8]]) {
        self.tops = tops.contains([]) ? [] : tops
    }

    /// Whether a path is asked about.
    public func contain(_ path: [UInt8]) -> Bool {
        tops.isEmpty || tops.contains { Self.isBelow(path, $0) }
    }

    /// Whether something that is asked about is at or below a directory.
    public func lead(from path: [UInt8]) -> Bool {
        tops.isEmpty || tops.contains { path.isEmpty || Self.isBelow($0, path) }
    }

    /// Whether a path is another, or lies below it.
    private static func isBelow(_ path: [UInt8], _ top: [UInt8]) -> Bool {
        path.starts(with: top) && (path.count == top.count || path[top.count] == UInt8(ascii: "/"))
    }
}
