// What is done with a store that may be damaged or lie.
import Backends
import Checking
import Metadata
import Pipeline
import Repair
import Volume

struct StoreUnderTest {
    let backend: MemoryBackend
    let index: MemoryIndexProvider
    /// What files held, where whatever is wrong was not sealed: then each is read as it was, or not.
    let expected: [String: [UInt8]]?

    /// Everything that programs do with stores; refusals are answers. Returns a complaint.
    func exercise(_ plan: UInt8) throws -> String? {
        let isSound = check()
        if let complaint = readOnly(isSound) { return complaint }
        if plan & 16 != 0 {
            if let complaint = repaired() { return complaint }
        }
        let target = StoreToRepair(
            backend: backend.copy(), index: index.crash(keepingBatches: .max))
        if plan & 32 != 0 { _ = try? StoreRepair.purge(target) }
        if plan & 64 != 0 { _ = try? StoreRepair.rebuild(target) }
        return written()
    }

    private func check() -> Bool {
        var isSound = true
        for depth in [CheckDepth.full, .deep] {
            guard let report = try? report(backend, index, depth) else { return false }
            if report.problems.contains(where: { $0.severity > .information }) { isSound = false }
        }
        return isSound
    }

    private func report(
        _ backend: MemoryBackend, _ index: MemoryIndexProvider, _ depth: CheckDepth
    ) throws -> CheckReport {
        let copy = index.crash(keepingBatches: .max)
        let glance = try? copy.glance(memoryBytes: 1 << 20)
        return try StoreCheck.run(
            backend.copy(isReadOnly: true), options: CheckOptions(depth: depth),
            index: glance.map { IndexToCheck($0.store, lastCommit: $0.lastCommit) })
    }

    // MARK: reading

    private func files(
        _ backend: MemoryBackend, _ index: MemoryIndexProvider
    ) -> [String: [UInt8]?]? {
        guard let live = try? SmallScene.open(backend, index, isReadOnly: true) else { return nil }
        defer { try? live.close() }
        return StoreReading(live).files
    }

    private func readOnly(_ isSound: Bool) -> String? {
        // Opening for reading needs an index: it makes one where there is none.
        let found = files(backend.copy(), index.crash(keepingBatches: .max))
        guard let expected, let found else { return nil }
        return difference(expected, found, isSound)
    }

    /// Files that were renamed or lost are no complaint here: the damage may have taken the newest
    /// commits, where no index says that there were any.
    private func difference(
        _ expected: [String: [UInt8]], _ found: [String: [UInt8]?], _ isSound: Bool
    ) -> String? {
        for (path, bytes) in found {
            guard let bytes else {
                if isSound { return "\(path) cannot be read, and the checker has not told" }
                continue
            }
            guard let known = expected[path] else { continue }
            // Contents that the scene gave a file at some commit.
            if path == "/late" || path == "/folder/sparse" {
                if bytes.count != known.count { return "\(path) has another size" }
            } else if bytes != known {
                return "\(path) is another"
            }
        }
        return nil
    }

    // MARK: changing

    /// A repair that says it is done leaves a store without complaints, and loses nothing.
    private func repaired() -> String? {
        let copy = backend.copy()
        let own = index.crash(keepingBatches: .max)
        let before = files(backend.copy(), index.crash(keepingBatches: .max))
        let target = StoreToRepair(backend: copy, index: own)
        guard (try? StoreRepair.repair(target)) != nil else { return nil }
        guard let expected else {
            _ = files(copy.copy(), own.crash(keepingBatches: .max))
            return nil
        }
        guard let after = try? report(copy, own, .deep) else {
            return "what was repaired cannot be checked"
        }
        let complaints = after.problems.filter { $0.severity > .information }
        if let first = complaints.first {
            return "after a repair: \(first.kind) \(first.place) \(first.detail)"
        }
        guard let before, let found = files(copy.copy(), own.crash(keepingBatches: .max)) else {
            return before == nil ? nil : "what was repaired cannot be opened"
        }
        let told = Set(
            ((try? report(backend, index, .deep))?.problems ?? [])
                .filter { $0.severity == .loss }.flatMap(\.paths).map(\.text))
        for (path, bytes) in before {
            guard let bytes else { continue }
            let after = found[path] ?? nil
            // Without an index a repair may come to a newer state than opening does: the last one, in which
            // the file may be damaged, and was called so.
            if after != bytes, after != expected[path], !(after == nil && told.contains(path)) {
                return "the repair has lost \(path)"
            }
        }
        return nil
    }

    /// Opened for writing, if it may be; a file is written, and what is there is removed.
    private func written() -> String? {
        let copy = backend.copy()
        let own = index.crash(keepingBatches: .max)
        guard let live = try? SmallScene.open(copy, own) else { return nil }
        if let volume = live.volume(named: "main"), !volume.isReadOnly {
            if let file = try? volume.add("new", in: 1) {
                try? volume.put([1, 2, 3], into: file)
                try? volume.synchronize(file, dataOnly: false)
            }
            for name in ["file-1", "late", "link"] { try? volume.drop(name, in: 1) }
            try? live.checkpoint()
        }
        _ = StoreReading(live)
        try? live.close()
        return nil
    }
}
