import Backends
import DiskFormat
import Packs
import Platform

/// The packs of an open store: their numbers in the index, and readers for those in use.
///
/// Numbers are given once and never again, so a place in the index never points into another pack
/// than was meant. Readers are opened at first use and kept while there are few.
final class PackShelf: Sendable {
    /// Open readers kept; each has a file descriptor, of which there may be few.
    static let readersMax = 256

    private struct State {
        var ids: [UInt32: PackID] = [:]
        var numbers: [PackID: UInt32] = [:]
        var readers: [UInt32: PackReader] = [:]
        /// Numbers of `readers` in the order of opening.
        var opened: [UInt32] = []
        var nextNumber: UInt32 = 1
    }

    private let backend: any Backend
    private let parameters: StoreParameters
    private let state = ConditionMutex(State())

    init(backend: any Backend, parameters: StoreParameters) {
        self.backend = backend
        self.parameters = parameters
    }

    /// Takes up what the index knows: before anything else is asked.
    func restore(_ packs: [(number: UInt32, id: PackID)], nextNumber: UInt32) {
        state.withLock { state in
            for pack in packs {
                state.ids[pack.number] = pack.id
                state.numbers[pack.id] = pack.number
            }
            state.nextNumber = max(nextNumber, (packs.map(\.number).max() ?? 0) + 1)
        }
    }

    /// The pack's number, given now when it has none.
    func number(of id: PackID) -> UInt32 {
        state.withLock { state in
            if let known = state.numbers[id] { return known }
            let number = state.nextNumber
            state.nextNumber += 1
            state.ids[number] = id
            state.numbers[id] = number
            return number
        }
    }

    /// The pack's number where it has one.
    func knownNumber(of id: PackID) -> UInt32? {
        state.withLock { $0.numbers[id] }
    }

    /// nil for a number that was never given, or whose pack is gone.
    func id(of number: UInt32) -> PackID? {
        state.withLock { $0.ids[number] }
    }

    var nextNumber: UInt32 { state.withLock { $0.nextNumber } }

    var count: Int { state.withLock { $0.ids.count } }

    /// All packs, ascending.
    var packs: [(number: UInt32, id: PackID)] {
        state.withLock { $0.ids.map { ($0.key, $0.value) } }.sorted { $0.1 < $1.1 }
    }

    /// A reader of the pack with that number.
    func reader(_ number: UInt32) throws(StoreError) -> PackReader {
        let (kept, id) = state.withLock { ($0.readers[number], $0.ids[number]) }
        if let kept { return kept }
        guard let id else { throw .indexDamaged(.badValue("pack number \(number)")) }
        let reader: PackReader
        do throws(PackError) {
            // A damaged header is no reason to give up the records behind it.
            reader = try PackReader(salvaging: id, in: backend, parameters: parameters)
        } catch {
            throw .pack(error)
        }
        return state.withLock { state in
            if let other = state.readers[number] { return other }
            guard state.ids[number] != nil else { return reader }
            state.readers[number] = reader
            state.opened.append(number)
            if state.opened.count > PackShelf.readersMax {
                state.readers[state.opened.removeFirst()] = nil
            }
            return reader
        }
    }

    /// Forgets a pack that was deleted.
    func remove(_ number: UInt32) {
        state.withLock { state in
            if let id = state.ids.removeValue(forKey: number) { state.numbers[id] = nil }
            state.readers[number] = nil
            state.opened.removeAll { $0 == number }
        }
    }
}
