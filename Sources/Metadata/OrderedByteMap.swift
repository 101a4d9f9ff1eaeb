import Glibc

/// A map from byte strings to byte strings in memcmp order, of value type: a copy costs one
/// reference count and shares what later changes do not touch. The memory twin's scans and
/// crashes live on that.
///
/// Entries lie in leaves of at most `leafEntriesMax`, sorted within and among themselves.
///
/// Invariants:
/// 1. No leaf is empty; keys ascend strictly within a leaf and from leaf to leaf.
/// 2. `contentBytes` is the sum of the lengths of all keys and values.
///
/// Threads: as any value; the owner guards it.
struct OrderedByteMap {
    private struct Leaf {
        var keys: [[UInt8]]
        var values: [[UInt8]]
    }

    /// Where an entry is, or where it would have to be inserted.
    private struct Position {
        var leaf: Int
        var entry: Int
        var found: Bool
    }

    private static let leafEntriesMax = 256

    private var leaves: [Leaf] = []
    private(set) var contentBytes = 0

    func value(of key: UnsafeRawBufferPointer) -> [UInt8]? {
        let position = find(key)
        return position.found ? leaves[position.leaf].values[position.entry] : nil
    }

    mutating func put(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        let position = find(key)
        if position.found {
            contentBytes += value.count - leaves[position.leaf].values[position.entry].count
            leaves[position.leaf].values[position.entry] = Array(value)
            return
        }
        contentBytes += key.count + value.count
        if leaves.isEmpty {
            leaves.append(Leaf(keys: [Array(key)], values: [Array(value)]))
            return
        }
        leaves[position.leaf].keys.insert(Array(key), at: position.entry)
        leaves[position.leaf].values.insert(Array(value), at: position.entry)
        if leaves[position.leaf].keys.count > Self.leafEntriesMax { split(position.leaf) }
    }

    mutating func delete(key: UnsafeRawBufferPointer) {
        let position = find(key)
        guard position.found else { return }
        let value = leaves[position.leaf].values.remove(at: position.entry)
        leaves[position.leaf].keys.remove(at: position.entry)
        contentBytes -= key.count + value.count
        if leaves[position.leaf].keys.isEmpty { leaves.remove(at: position.leaf) }
    }

    /// Visits the entries with `from <= key` in order until `body` returns false.
    func visit(
        from: UnsafeRawBufferPointer,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) {
        let start = find(from)
        var entry = start.entry
        for leaf in leaves[min(start.leaf, leaves.count)...] {
            while entry < leaf.keys.count {
                let goesOn = leaf.keys[entry].withUnsafeBytes { key in
                    leaf.values[entry].withUnsafeBytes { value in body(key, value) }
                }
                if !goesOn { return }
                entry += 1
            }
            entry = 0
        }
    }

    /// The last leaf that begins at or before `key` (the first one if none does), then the first entry
    /// in it that is not below `key`.
    private func find(_ key: UnsafeRawBufferPointer) -> Position {
        guard !leaves.isEmpty else { return Position(leaf: 0, entry: 0, found: false) }
        let behind = firstIndex(in: leaves.count) { Self.compare(leaves[$0].keys[0], key) > 0 }
        let leaf = max(behind - 1, 0)
        let keys = leaves[leaf].keys
        let entry = firstIndex(in: keys.count) { Self.compare(keys[$0], key) >= 0 }
        let found = entry < keys.count && Self.compare(keys[entry], key) == 0
        return Position(leaf: leaf, entry: entry, found: found)
    }

    /// Binary search: the first index below `count` for which `isBehind` holds, or `count`.
    private func firstIndex(in count: Int, where isBehind: (Int) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if isBehind(middle) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    private mutating func split(_ index: Int) {
        let half = leaves[index].keys.count / 2
        let upper = Leaf(
            keys: Array(leaves[index].keys[half...]), values: Array(leaves[index].values[half...]))
        leaves[index].keys.removeSubrange(half...)
        leaves[index].values.removeSubrange(half...)
        leaves.insert(upper, at: index + 1)
    }

    private static func compare(_ left: [UInt8], _ right: UnsafeRawBufferPointer) -> Int {
        left.withUnsafeBytes { compareBytes($0, right) }
    }
}

/// Below, equal, above as a negative number, 0, a positive number: unsigned bytes, then length.
func compareBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    let shared = min(left.count, right.count)
    if shared > 0, let leftBytes = left.baseAddress, let rightBytes = right.baseAddress {
        let order = memcmp(leftBytes, rightBytes, shared)
        if order != 0 { return Int(order) }
    }
    return left.count - right.count
}
