// Names of a volume, their cookies, and the chains of those that hash alike.
import DiskFormat
import Metadata
import NamespaceIndex

extension NamespaceStage {
    mutating func takeNames(
        _ changes: [NameChange], _ applier: inout CommitApplier
    ) throws(StoreError) {
        var removed: [NamePlace] = []
        var collided: [NamePlace] = []
        try checkLoaded(changes, applier.index)
        for change in changes {
            let cookie = change.name.withUnsafeBytes {
                DirectoryCookie.cookie(of: $0, collision: change.collision, secret: applier.secret)
            }
            let place = NamePlace(parent: change.parent, cookie: cookie)
            if let target = change.target {
                names[place] = .some(
                    .entry(name: change.name, inode: target.inode, kind: target.kind))
                try self.change(target.inode, applier) { $0.cookie = cookie }
                if change.collision > 0 { collided.append(place) }
            } else {
                names[place] = .some(nil)
                removed.append(place)
            }
        }
        // The last of a chain first: whether one leaves a tombstone depends on those behind it.
        removed.sort { $0.cookie > $1.cookie }
        for place in removed { try mendChain(at: place, applier) }
        for place in collided { try fillChain(below: place, applier) }
    }

    /// A commit changes what was loaded alone: an index that does not have it has lost the loading.
    private func checkLoaded(
        _ changes: [NameChange], _ index: any MetadataStore
    ) throws(StoreError) {
        guard origin != nil else { return }
        for parent in Set(changes.map(\.parent)) {
            guard try index.unloaded(volume, parent) == nil else {
                throw .indexDamaged(.badValue("directory \(parent) was loaded, and is not there"))
            }
        }
    }

    /// The name before it in the chain may have gone while this one was made: its commit, which knew
    /// of no later one, has left nothing in its place.
    private mutating func fillChain(
        below place: NamePlace, _ applier: borrowing CommitApplier
    ) throws(StoreError) {
        guard case .entry = try name(at: place, applier) else { return }
        for offset in 1...UInt64(DirectoryCookie.collision(of: place.cookie)) {
            let earlier = NamePlace(parent: place.parent, cookie: place.cookie - offset)
            if try name(at: earlier, applier) == nil { names[earlier] = .some(.tombstone) }
        }
    }

    /// Keeps collisions without gaps: a tombstone where a later one of the chain is left; otherwise
    /// nothing, and no tombstones before it either.
    private mutating func mendChain(
        at place: NamePlace, _ applier: borrowing CommitApplier
    ) throws(StoreError) {
        guard try name(at: place, applier) == nil else { return }
        let collision = Int(DirectoryCookie.collision(of: place.cookie))
        if collision + 1 < DirectoryCookie.collisionsMax {
            let next = NamePlace(parent: place.parent, cookie: place.cookie + 1)
            if try name(at: next, applier) != nil {
                names[place] = .some(.tombstone)
                return
            }
        }
        var cookie = place.cookie
        for _ in 0..<collision {
            cookie -= 1
            let earlier = NamePlace(parent: place.parent, cookie: cookie)
            let record = try name(at: earlier, applier)
            if case .entry = record { return }
            if record != nil { names[earlier] = .some(nil) }
        }
    }

    /// What is at a cookie by now.
    private func name(
        at place: NamePlace, _ applier: borrowing CommitApplier
    ) throws(StoreError) -> NameRecord? {
        if let staged = names[place] { return staged }
        let key = NamespaceKey.name(volume, parent: place.parent, cookie: place.cookie)
        return try applier.index.value(of: key) { (bytes) throws(FormatError) in
            try NameRecord(bytes)
        }
    }
}
