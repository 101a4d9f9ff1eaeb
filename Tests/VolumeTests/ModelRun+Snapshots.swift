// Snapshots against copies of the model.
import DiskFormat
import FileModel
import XCTest

@testable import Pipeline
@testable import Volume

extension ModelRun {
    func snapshotStep() throws {
        switch random.below(14) {
        case 12, 13: try compareDifferences()
        case 10, 11: try rollBack()
        case 0..<4: try makeSnapshot()
        case 4..<7: try deleteSnapshot()
        case 7: try settle(steps: random.below(6))
        case 8:
            guard let name = snapshots.keys.sorted().randomElement(using: &random) else { return }
            try compareSnapshot(name)
        default:
            // What is dead by now is given up, and must not be a snapshot's.
            note("settle, two checkpoints")
            try settle(steps: .max)
            for _ in 0..<2 {
                try volume.synchronizeAll()
                try open.live.checkpoint()
            }
            noteState()
        }
    }

    private func settle(steps: Int) throws {
        note("settle \(steps)")
        var left = steps
        while left > 0, try open.store.settleSnapshots() != nil { left -= 1 }
    }

    /// Everything is durable now.
    func noteState() {
        durable = model
        durableSequence = open.sequence
        durableSnapshots = snapshots
    }

    private func makeSnapshot() throws {
        let name = "s\(random.below(12))"
        note("snapshot \(name)")
        do throws(SnapshotError) {
            let made = try open.live.createSnapshot(SnapshotDraft(name: name), of: "main")
            snapshots[name] = model
            noteState()
            try check(made)
        } catch {
            guard error == .exists(name), snapshots[name] != nil else { throw error }
        }
    }

    private func check(_ made: SnapshotImage) throws(SnapshotError) {
        let named = model.all { $0.linkCount > 0 }
        let files = named.filter { model[$0].kind == .regular }
        let bytes = files.reduce(UInt64(0)) { $0 + UInt64(model[$1].size) }
        XCTAssertEqual(made.statistics.files, UInt64(files.count), made.name)
        XCTAssertEqual(made.statistics.logicalBytes, bytes, made.name)
    }

    private func deleteSnapshot() throws {
        guard let name = snapshots.keys.sorted().randomElement(using: &random) else { return }
        note("delete snapshot \(name)")
        _ = try open.live.deleteSnapshot(named: name, of: "main")
        snapshots[name] = nil
        // Its commit holds the list alone: what the volume has received is as durable as before.
        durableSequence = open.sequence
        durableSnapshots = snapshots
    }

    /// The volume is used by nobody while that is done.
    private func rollBack() throws {
        guard let name = snapshots.keys.sorted().randomElement(using: &random),
            var before = snapshots[name]
        else { return }
        note("roll back to \(name)")
        forgetEverything()
        volume.forgetKernel()
        try volume.synchronizeAll()
        _ = try open.live.rollBack("main", to: name)
        for orphan in before.all({ $0.linkCount == 0 }) { before.inodes[orphan] = nil }
        before.lookups = [:]
        model = before
        open = try OpenStore(open.live)
        noteState()
        try compareEverything()
        try check(after: "rolling back")
        if random.chance(1, in: 3) { try cloneSnapshot(name, before) }
        if random.chance(1, in: 2) { try moveIntoClone(name, before) }
    }

    /// From now on the history is a clone's, of which nothing was looked at yet; what it was made of goes
    /// sooner or later.
    private func moveIntoClone(_ name: String, _ expected: ModelTree) throws {
        let former = "former\(formerVolumes.count)"
        note("move into a clone of \(name); the volume is \(former)")
        forgetEverything()
        volume.forgetKernel()
        try volume.synchronizeAll()
        _ = try open.live.clone(name, of: "main", to: "next")
        try open.live.renameVolume(named: "main", to: former)
        try open.live.renameVolume(named: "next", to: "main")
        formerVolumes.append(former)
        open = try OpenStore(open.live)
        model = expected
        // What the volume before has given out since is not the clone's.
        usedInodes = Set(model.inodes.keys)
        snapshots = [:]
        noteState()
        try check(after: "moving into a clone")
        if random.chance(1, in: 2) { try compareEverything() }
        if random.chance(2, in: 3) { try endFormer() }
    }

    private func endFormer() throws {
        guard let former = formerVolumes.randomElement(using: &random) else { return }
        let names =
            try open.live.volumeNames.contains(former)
            ? open.live.snapshots(of: former).map(\.name) : []
        note("end \(former), with \(names.count) snapshots")
        for name in names { _ = try open.live.deleteSnapshot(named: name, of: former) }
        if open.live.volume(named: former) != nil { try open.live.removeVolume(named: former) }
        noteState()
        if random.chance(1, in: 2) {
            try open.live.loadClones { random.chance(1, in: 4) }
            try check(after: "loading a part of it")
        }
        try settle(steps: random.below(20))
        try check(after: "the end of \(former)")
    }

    /// A volume of its own, which is removed again.
    private func cloneSnapshot(_ name: String, _ expected: ModelTree) throws {
        note("clone \(name)")
        _ = try open.live.clone(name, of: "main", to: "clone")
        let saved = (open, model)
        open = try OpenStore(open.live, volume: "clone")
        model = expected
        try compareEverything()
        forgetEverything()
        try check(after: "cloning")
        (open, model) = saved
        try open.live.removeVolume(named: "clone")
        noteState()
        try check(after: "removing the clone")
    }

    func compareSnapshots() throws {
        let found = try open.live.snapshots(of: "main").map(\.name)
        try expect(
            found.sorted() == snapshots.keys.sorted(), "snapshots \(found), not \(snapshots.keys)")
        for name in snapshots.keys.sorted() { try compareSnapshot(name) }
    }

    private func compareSnapshot(_ name: String) throws {
        guard let expected = snapshots[name] else { return }
        note("compare snapshot \(name)")
        let mounted = try open.live.mountedSnapshot(named: name, of: "main")
        var pending: [UInt64] = [1]
        var seen: Set<UInt64> = [1]
        while let inode = pending.popLast() {
            let entry = expected[inode]
            try compare(mounted, entry, "\(inode) in snapshot \(name)")
            guard entry.kind == .directory else { continue }
            var names: [[UInt8]: UInt64] = [:]
            try mounted.readDirectory(inode, after: 2, withAttributes: false) {
                (name, inode, _, _, _) in
                names[[UInt8](name)] = inode
                return true
            }
            try expect(names == entry.entries, "names of \(inode) in snapshot \(name)")
            for (child, expected) in entry.entries where seen.insert(expected).inserted {
                let found = try child.withUnsafeBytes { try mounted.lookup($0, in: inode) }
                try expect(found?.inode == expected, "\(text(child)) in snapshot \(name)")
                pending.append(expected)
            }
        }
    }

    private func compare(
        _ mounted: MountedSnapshot, _ expected: ModelInode, _ what: String
    ) throws {
        let found = try mounted.attributes(of: expected.inode)
        try expect(
            found.kind == expected.kind && found.permissions == expected.permissions
                && found.owner == expected.owner && found.group == expected.group
                && found.linkCount == expected.linkCount && found.size == UInt64(expected.size)
                && found.modificationTime == expected.modificationTime
                && found.changeTime == expected.changeTime,
            "attributes of \(what): \(found), not \(expected)")
        switch expected.kind {
        case .regular:
            var bytes = [UInt8](repeating: 0xa5, count: expected.size + 9)
            let count = try bytes.withUnsafeMutableBytes {
                try mounted.read(expected.inode, at: 0, into: $0)
            }
            try compareBytes(Array(bytes.prefix(count)), expected.file.bytes, "bytes of \(what)")
        case .symbolicLink:
            try expect(
                try mounted.readSymbolicLink(expected.inode) == expected.target,
                "target of \(what)")
        default: break
        }
        for (name, value) in expected.attributes {
            let stored = try Array(name.utf8).withUnsafeBytes {
                try mounted.extendedAttribute($0, of: expected.inode)
            }
            try expect(stored == value, "attribute \(name) of \(what)")
        }
    }
}
