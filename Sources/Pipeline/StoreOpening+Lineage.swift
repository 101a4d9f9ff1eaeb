// Whether an index that the packs disown has seen more of them than there is.
import DiskFormat
import Metadata

extension StoreOpening {
    /// Refuses writing where the packs end before the last commit of an index of theirs: they were
    /// restored from an older copy, or lost their end. What would be appended now would take the
    /// place of what is lost. The index stays as it is, so that the next opening knows, too.
    ///
    /// Where a newer checkpoint is in the packs the index is merely old; the packs of its last
    /// commit may have been reclaimed since. Where no pack is of its writer it is another store's.
    mutating func refuseOlderPacks(
        _ index: any MetadataStore, _ state: StateRecord
    ) throws(StoreError) {
        let writer = state.position.pack.writer
        guard packs.ids.contains(where: { $0.writer == writer }) else { return }
        var search = CheckpointSearch(packs: packs)
        if let newest = try search.next(),
            (newest.commit.epoch, newest.commit.sequence) > (state.epoch, state.sequence)
        {
            return
        }
        var lost: [PackID] = []
        for (_, pack) in try index.packs() where !pack.isCondemned {
            if (packs.sizes[pack.id] ?? 0) < pack.validBytes { lost.append(pack.id) }
        }
        if !lost.isEmpty { tell(.lostPacks(lost.sorted())) }
        refuseWriting(
            "the packs have no commit \(state.sequence), which the index holds: they are older than "
                + "it, or damaged at their end; without the index the store goes on from where they "
                + "end")
    }
}
