// Rules of volumes: what is to be done with their snapshots by themselves.
import DiskFormat
import FileModel
import NamespaceIndex
import Pipeline

extension LiveStore {
    /// What is to be done with the snapshots of a volume by themselves, as it is kept in the store.
    public func rules(of volume: String) throws(SnapshotError) -> VolumeRules {
        guard let id = self.volume(named: volume)?.volumeID else { throw .noVolume(volume) }
        do throws(StoreError) {
            let record = try store.volumes().first { $0.record.volumeID == id }?.record
            return record?.rules ?? VolumeRules(volumeID: id)
        } catch {
            throw .failed(posixError(error))
        }
    }

    /// Changes the rules of a volume; durable when it returns.
    ///
    /// - Throws: `rulesTooLong`, `noVolume`, `failed`.
    public func changeRules(
        of volume: String, _ change: (inout VolumeRules) -> Void
    ) throws(SnapshotError) -> VolumeRules {
        try changing { () throws(SnapshotError) in
            var rules = try rules(of: volume)
            let before = rules
            change(&rules)
            guard rules.isAcceptable else { throw .rulesTooLong }
            guard rules != before else { return }
            var draft = CommitDraft(time: Volume.now())
            draft.rules = [rules]
            do throws(StoreError) {
                _ = try store.commit(draft)
            } catch {
                throw .failed(posixError(error))
            }
        }
        return try rules(of: volume)
    }
}
