// Random operations on content and attributes.
import FileModel
import XCTest

@testable import Volume

extension ModelRun {
    private static let fileBytesMax = 160 << 10

    func contentStep() throws {
        guard let inode = try pick({ $0.kind == .regular }) else { return try nameStep() }
        switch random.below(30) {
        case 0..<7: try writeStep(inode, at: model[inode].file.size)
        case 7..<14: try writeStep(inode, at: random.below(model[inode].file.size + 1))
        case 14, 15:
            try writeStep(inode, at: model[inode].file.size + random.below(40_000))
        case 16..<20: try readStep(inode)
        case 20, 21: try truncateStep(inode)
        case 22..<25: try allocateStep(inode)
        case 25, 26: try seekStep(inode)
        default: try copyStep(from: inode)
        }
    }

    /// Bytes of several kinds: random, seen before, zeros.
    private func randomBytes() -> [UInt8] {
        let small = random.chance(2, in: 3)
        let count = small ? random.below(6_000) + 1 : random.below(40_000) + 1
        switch random.below(6) {
        case 0: return [UInt8](repeating: 0, count: count)
        case 1, 2:
            let start = random.below(stock.count - count)
            return Array(stock[start..<start + count])
        case 3:
            return [UInt8](repeating: 7, count: count / 2) + random.bytes(count - count / 2)
        default: return random.bytes(count)
        }
    }

    private func writeStep(_ inode: UInt64, at offset: Int) throws {
        let bytes = randomBytes()
        guard offset + bytes.count <= ModelRun.fileBytesMax else {
            return try resize(inode, to: random.below(model[inode].file.size + 1))
        }
        note("write \(inode) at \(offset), \(bytes.count) bytes")
        try volume.put(bytes, into: inode, at: UInt64(offset))
        model[inode].file.write(bytes, at: offset)
        try adoptContentTimes(of: inode)
    }

    /// Modification and change time are set, the access time is not.
    private func adoptContentTimes(of inode: UInt64) throws {
        try adoptChangeTime(of: inode)
        let found = try volume.attributes(of: inode)
        try expect(found.modificationTime >= stepTime, "mtime of \(inode) was not set")
        model[inode].modificationTime = found.modificationTime
    }

    private func readStep(_ inode: UInt64) throws {
        let offset = random.below(model[inode].file.size + 100)
        let count = random.below(50_000)
        note("read \(inode) at \(offset), \(count) bytes")
        let bytes = try volume.get(inode, at: UInt64(offset), count: count)
        try compareBytes(
            bytes, model[inode].file.slice(at: offset, count: count),
            "read of \(inode) at \(offset)")
    }

    private func truncateStep(_ inode: UInt64) throws {
        let size = model[inode].file.size
        let bound = min(ModelRun.fileBytesMax, size + 30_000)
        try resize(inode, to: random.chance(1, in: 4) ? 0 : random.below(bound + 1))
    }

    private func resize(_ inode: UInt64, to size: Int) throws {
        note("truncate \(inode) to \(size)")
        var change = AttributeChange()
        change.size = UInt64(size)
        _ = try volume.setAttributes(of: inode, change, caller: someone)
        model[inode].file.resize(to: size)
        try adoptContentTimes(of: inode)
        if random.chance(1, in: 3) { try compareAttributes(inode) }
    }

    private func allocateStep(_ inode: UInt64) throws {
        let size = model[inode].file.size
        let start = random.below(size + 5_000)
        let end = min(start + random.below(30_000) + 1, ModelRun.fileBytesMax + 40_000)
        let range = start..<max(end, start + 1)
        var mode: AllocateMode = []
        switch random.below(6) {
        case 0, 1: mode = [.punchHole, .keepSize]
        case 2: mode = [.zeroRange, .keepSize]
        case 3: mode = .zeroRange
        case 4: mode = .keepSize
        default: break
        }
        note("allocate \(inode) mode \(mode.rawValue) \(range)")
        try volume.allocate(
            inode, mode: mode, at: UInt64(range.lowerBound), length: UInt64(range.count),
            caller: someone)
        let keeps = mode.contains(.keepSize)
        if mode.contains(.punchHole) {
            model[inode].file.punch(range)
        } else if mode.contains(.zeroRange) {
            model[inode].file.zeroRange(range, keepsSize: keeps)
        } else {
            model[inode].file.reserve(range, keepsSize: keeps)
        }
        // Behind the end there is nothing to do.
        if range.lowerBound < model[inode].file.size { try adoptContentTimes(of: inode) }
        if random.chance(1, in: 2) { try compareAttributes(inode) }
    }

    private func seekStep(_ inode: UInt64) throws {
        let file = model[inode].file
        let offset = random.below(file.size + 10)
        let wantsData = random.chance(1, in: 2)
        var expected: Int?
        if offset < file.size {
            expected =
                wantsData
                ? file.allocated.next(from: offset)
                : min(file.size, file.allocated.nextGap(from: offset))
        }
        let found = try perform(
            expecting: expected == nil ? .noSuchPosition : nil,
            "seek \(inode) from \(offset), data \(wantsData)"
        ) { () throws(FileError) in
            try volume.seek(inode, wantsData ? .data : .hole, from: UInt64(offset))
        }
        try expect(
            found.map { Int($0) } == expected, "seek: \(found as Any), not \(expected as Any)")
    }

    private func copyStep(from source: UInt64) throws {
        guard let target = try pick({ $0.kind == .regular }) else { return }
        let size = model[source].file.size
        var (offset, to, length) = (0, 0, size)
        if random.chance(1, in: 2) {
            offset = random.below(size + 1)
            to = random.below(model[target].file.size + 10_000)
            length = random.below(40_000)
        }
        let count = max(0, min(length, size - offset))
        guard to + count <= ModelRun.fileBytesMax else { return }
        var failure: FileError?
        if source == target, count > 0, abs(offset - to) < count { failure = .invalid }
        if source == target, count == 0, offset < size { failure = nil }
        let done = try perform(
            expecting: failure, "copy \(length) of \(source) at \(offset) to \(target) at \(to)"
        ) { () throws(FileError) in
            try volume.copyRange(
                from: source, at: UInt64(offset), to: target, at: UInt64(to),
                length: UInt64(length), caller: someone)
        }
        guard let done else { return }
        try expect(done == UInt64(count), "copied \(done) of \(count)")
        guard count > 0 else { return }
        model[target].file.write(model[source].file.slice(at: offset, count: count), at: to)
        try adoptHoles(of: target)
        try adoptContentTimes(of: target)
    }

    /// A copy may keep the source's holes or not; but what it calls a hole must be zeros.
    private func adoptHoles(of inode: UInt64) throws {
        let file = model[inode].file
        var allocated = RangeList()
        var position = 0
        while position < file.size {
            guard let data = try? volume.seek(inode, .data, from: UInt64(position)) else { break }
            let end = Int(try volume.seek(inode, .hole, from: data))
            allocated.insert(Int(data)..<end)
            position = end
        }
        position = 0
        for range in allocated.ranges + [file.size..<file.size] {
            let isZero = file.bytes[position..<range.lowerBound].allSatisfy { $0 == 0 }
            try expect(isZero, "bytes of \(inode) became a hole")
            position = range.upperBound
        }
        model[inode].file.setAllocated(allocated)
    }

    // MARK: attributes

    func attributeStep() throws {
        guard let inode = try pick({ _ in true }) else { return }
        switch random.below(3) {
        case 0: try changeAttributes(inode)
        default: try changeExtendedAttribute(inode)
        }
    }

    private func changeAttributes(_ inode: UInt64) throws {
        var change = AttributeChange()
        if random.chance(1, in: 2) {
            // No setgid directories: what is made in them would belong to another group.
            change.permissions = UInt32(random.below(0o1000))
            model[inode].permissions = change.permissions ?? 0
        }
        if random.chance(1, in: 3) {
            change.owner = UInt32(random.below(9))
            model[inode].owner = change.owner ?? 0
        }
        if random.chance(1, in: 3) {
            change.group = UInt32(random.below(9))
            model[inode].group = change.group ?? 0
        }
        if random.chance(1, in: 3) {
            let time = Timestamp(
                seconds: Int64(random.below(1 << 33)) - (1 << 31),
                nanoseconds: UInt32(random.below(1_000_000_000)))
            change.modificationTime = .set(time)
            model[inode].modificationTime = time
        }
        if random.chance(1, in: 4) {
            let time = Timestamp(seconds: Int64(random.below(1 << 31)), nanoseconds: 5)
            change.accessTime = .set(time)
            model[inode].accessTime = time
        }
        note("setattr \(inode)")
        _ = try volume.setAttributes(of: inode, change, caller: someone)
        try adoptChangeTime(of: inode)
        try compareAttributes(inode)
    }

    private func changeExtendedAttribute(_ inode: UInt64) throws {
        let name = "user.\(["a", "b", "c", "d"][random.below(4)])"
        let value = random.bytes(random.below(random.chance(1, in: 3) ? 700 : 40))
        let exists = model[inode].attributes[name] != nil
        var failure: FileError?
        var mode: AttributeWrite?
        switch random.below(5) {
        case 0: failure = exists ? nil : .noAttribute
        case 1: (mode, failure) = (.createOnly, exists ? .exists : nil)
        case 2: (mode, failure) = (.replaceOnly, exists ? nil : .noAttribute)
        default: mode = .createOrReplace
        }
        let done: Void? = try perform(
            expecting: failure, "xattr \(name) of \(inode), \(mode as Any), \(value.count) bytes"
        ) { () throws(FileError) in
            if let mode {
                try volume.setAttribute(name, of: inode, to: value, mode)
            } else {
                try volume.removeAttribute(name, of: inode)
            }
        }
        guard done != nil else { return }
        model[inode].attributes[name] = mode == nil ? nil : value
        try adoptChangeTime(of: inode)
    }
}
