// What differs between snapshots, found by their trees, against the models.
import Checking
import DiskFormat
import FileModel
import Queries
import XCTest

@testable import Volume

extension ModelRun {
    private typealias Expected = (kind: String, aspects: FileDifference.Aspects)

    /// Two snapshots, or one and the volume.
    func compareDifferences() throws {
        guard let first = snapshots.keys.sorted().randomElement(using: &random) else { return }
        let second = snapshots.keys.sorted().randomElement(using: &random)
        let isLive = random.chance(1, in: 3)
        try volume.synchronizeAll()
        noteState()
        let state = try State.open(
            backend.copy(isReadOnly: true), scope: random.chance(1, in: 2) ? .newest : .whole)
        let main = try XCTUnwrap(state.volume(named: "main"))
        func view(_ name: String) throws -> VolumeState {
            try VolumeState(
                try XCTUnwrap(state.snapshot(named: name, of: main.id), name), in: state)
        }
        guard let second, let a = snapshots[first], let b = isLive ? model : snapshots[second]
        else { return }
        note("differences of \(first) and \(isLive ? "the volume" : second)")
        var found: [(path: [UInt8], aspects: FileDifference.Aspects, sign: String)] = []
        var difference = try VolumeDifference(
            from: try view(first), to: isLive ? main : try view(second))
        while let next = try difference.next() {
            let sign = next.old == nil ? "+" : next.new == nil ? "-" : "!"
            found.append((next.path, next.aspects, sign))
        }
        try compare(found, a, b)
        // Of a part: what is told of all there.
        let paths = found.map(\.path) + [[]]
        guard let place = paths.randomElement(using: &random) else { return }
        let prefix = place.prefix(random.below(place.count + 1))
        let top = Array(prefix.split(separator: UInt8(ascii: "/")).joined(separator: [0x2f]))
        var part = try VolumeDifference(
            from: try view(first), to: isLive ? main : try view(second), below: [top])
        var told: [[UInt8]] = []
        while let next = try part.next() { told.append(next.path) }
        let expected = found.map(\.path).filter {
            top.isEmpty || $0 == top || $0.starts(with: top + [UInt8(ascii: "/")])
        }
        try expect(told == expected, "below \(text(top)): \(told.map(text))")
    }

    private func compare(
        _ found: [(path: [UInt8], aspects: FileDifference.Aspects, sign: String)],
        _ a: ModelTree, _ b: ModelTree
    ) throws {
        let before = paths(a)
        let after = paths(b)
        var told: [[UInt8]: (FileDifference.Aspects, String)] = [:]
        for (path, aspects, sign) in found {
            try expect(told[path] == nil, "\(text(path)) is told twice")
            told[path] = (aspects, sign)
        }
        for path in Set(before.keys).union(after.keys) {
            let (aspects, sign) = told[path] ?? ([], "")
            guard let old = before[path], let new = after[path] else {
                try expect(
                    sign == (before[path] == nil ? "+" : "-"), "\(text(path)): \(sign)")
                continue
            }
            let wanted = expected(old, new)
            // Equal bytes may be holes in one and zeros in the other.
            let differs = aspects.symmetricDifference(wanted)
            let isFine =
                differs.isEmpty || (differs == .content && !wanted.contains(.content))
            try expect(isFine, "\(text(path)): \(aspects.rawValue), not \(wanted.rawValue)")
        }
        let parts = found.map { $0.path.split(separator: UInt8(ascii: "/")).map(Array.init) }
        for (one, next) in zip(parts, parts.dropFirst()) {
            let isAscending = one.lexicographicallyPrecedes(next) {
                $0.lexicographicallyPrecedes($1)
            }
            try expect(isAscending, "\(one) before \(next)")
        }
    }

    private func expected(_ a: ModelInode, _ b: ModelInode) -> FileDifference.Aspects {
        var result: FileDifference.Aspects = []
        if a.permissions != b.permissions { result.insert(.permissions) }
        if a.owner != b.owner || a.group != b.group { result.insert(.owner) }
        if a.attributes != b.attributes { result.insert(.attributes) }
        if a.kind != b.kind { return result.union(.kind) }
        if a.kind == .directory { return result }
        if a.modificationTime != b.modificationTime { result.insert(.time) }
        if a.linkCount != b.linkCount { result.insert(.links) }
        if a.target != b.target { result.insert(.content) }
        if a.kind == .regular, a.file.bytes != b.file.bytes { result.insert(.content) }
        return result
    }

    private func paths(_ tree: ModelTree) -> [[UInt8]: ModelInode] {
        var result: [[UInt8]: ModelInode] = [[]: tree[1]]
        var pending: [(path: [UInt8], inode: UInt64)] = [([], 1)]
        while let (path, inode) = pending.popLast() {
            for (name, child) in tree[inode].entries {
                let own = (path.isEmpty ? [] : path + [UInt8(ascii: "/")]) + name
                result[own] = tree[child]
                if tree[child].kind == .directory { pending.append((own, child)) }
            }
        }
        return result
    }
}
