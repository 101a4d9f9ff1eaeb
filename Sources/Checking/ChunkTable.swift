// Every stored copy of every chunk, in one flat array sorted by name.
//
//     copy (48 bytes):  name 32 · record u32 · frame offset u32 · length and domain u32 · frame u16
//                       · flags u16
//
// Beside it 4 bytes of count and 1 byte of marks for each copy (those of a name's first copy are
// used): 53 bytes a copy.
import DiskFormat

/// The copies of chunks that an inventory found. A name's number is the position of its first copy.
struct ChunkTable {
    struct Copy {
        var name: ChunkName
        /// The record's position in the inventory.
        var record: UInt32
        var frameOffset: UInt32
        var packedLength: UInt32
        var frame: UInt16
        /// 1: its bytes are not those of its name.
        var flags: UInt16 = 0

        var rawBytes: UInt32 { packedLength & 0x0fff_ffff }
        var domain: ChunkDomain { ChunkDomain(rawValue: UInt8(packedLength >> 28)) ?? .data }
    }

    struct Marks: OptionSet {
        let rawValue: UInt8
        /// The newest state needs it.
        static let live = Marks(rawValue: 1)
        /// Told as missing or bad already: in the index, or as of another kind.
        static let told = Marks(rawValue: 8)
    }

    private(set) var copies: [Copy] = []
    /// Recomputed counts of owners, by number.
    var counts: [UInt32] = []
    var marks: [Marks] = []

    mutating func reserve(_ count: Int) {
        copies.reserveCapacity(count)
    }

    mutating func append(_ copy: Copy) {
        copies.append(copy)
    }

    /// Sorts, in place; to be called once, when all copies are there.
    mutating func finish() {
        ChunkTable.sort(&copies)
        counts = [UInt32](repeating: 0, count: copies.count)
        marks = [Marks](repeating: [], count: copies.count)
    }

    /// The number of the chunk `name`; nil where no copy is stored. Binary search: names come from
    /// outside, and whoever makes them could defeat a guess.
    func number(of name: ChunkName) -> Int? {
        var low = 0
        var high = copies.count
        while low < high {
            let middle = (low + high) / 2
            if copies[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low < copies.count && copies[low].name == name ? low : nil
    }

    /// The copies of the chunk of `number`.
    func range(of number: Int) -> Range<Int> {
        let name = copies[number].name
        var end = number + 1
        while end < copies.count, copies[end].name == name { end += 1 }
        return number..<end
    }

    mutating func addOwner(_ number: Int, times: UInt32 = 1) {
        counts[number] = counts[number] &+ times
    }

    mutating func setMismatch(_ position: Int) {
        copies[position].flags |= 1
    }

    /// By name, then by record and frame. Quicksort (Hoare, 1961) with a random pivot, in place:
    /// the standard library's sort takes half as much memory again. The smaller part is sorted
    /// first, so the stack stays below 64 ranges.
    private static func sort(_ copies: inout [Copy]) {
        var generator = SystemRandomNumberGenerator()
        copies.withUnsafeMutableBufferPointer { buffer in
            var pending = [0..<buffer.count]
            while let range = pending.popLast() {
                if range.count < 2 { continue }
                if range.count < 16 {
                    insertionSort(buffer, range)
                    continue
                }
                let pivot = buffer[Int.random(in: range, using: &generator)]
                var low = range.lowerBound
                var high = range.upperBound - 1
                while low <= high {
                    while precedes(buffer[low], pivot) { low += 1 }
                    while precedes(pivot, buffer[high]) { high -= 1 }
                    if low <= high {
                        buffer.swapAt(low, high)
                        low += 1
                        high -= 1
                    }
                }
                let left = range.lowerBound..<(high + 1)
                let right = low..<range.upperBound
                pending.append(left.count > right.count ? left : right)
                pending.append(left.count > right.count ? right : left)
            }
        }
    }

    private static func insertionSort(
        _ buffer: UnsafeMutableBufferPointer<Copy>, _ range: Range<Int>
    ) {
        for index in range.dropFirst() {
            let copy = buffer[index]
            var place = index
            while place > range.lowerBound, precedes(copy, buffer[place - 1]) {
                buffer[place] = buffer[place - 1]
                place -= 1
            }
            buffer[place] = copy
        }
    }

    private static func precedes(_ a: Copy, _ b: Copy) -> Bool {
        if a.name != b.name { return a.name < b.name }
        if a.record != b.record { return a.record < b.record }
        return (a.frame, a.frameOffset) < (b.frame, b.frameOffset)
    }
}
