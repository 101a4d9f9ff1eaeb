// The volume against the model.
import FileModel
import XCTest

@testable import Volume

extension ModelRun {
    /// stat(2), but for the allocated bytes, which may only be known after asking by inode.
    func compare(_ found: FileAttributes) throws {
        let expected = model[found.inode]
        let pairs: [(String, AnyHashable, AnyHashable)] = [
            ("kind", found.kind, expected.kind),
            ("permissions", found.permissions, expected.permissions),
            ("links", found.linkCount, expected.linkCount),
            ("owner", found.owner, expected.owner), ("group", found.group, expected.group),
            ("size", found.size, UInt64(expected.size)),
            ("mtime", found.modificationTime, expected.modificationTime),
            ("ctime", found.changeTime, expected.changeTime),
            ("atime", found.accessTime, expected.accessTime),
            ("btime", found.birthTime, expected.birthTime),
        ]
        for (name, is_, should) in pairs {
            try expect(is_ == should, "\(name) of \(found.inode): \(is_), not \(should)")
        }
    }

    func compareAttributes(_ inode: UInt64) throws {
        let found = try volume.attributes(of: inode)
        try compare(found)
        if found.kind == .regular {
            let count = model[inode].file.allocated.count
            try expect(
                found.allocatedBytes == UInt64(count),
                "allocated bytes of \(inode): \(found.allocatedBytes), not \(count) "
                    + "of \(found.size)")
        }
    }

    func compareWhole(_ inode: UInt64) throws {
        try compareAttributes(inode)
        let expected = model[inode]
        switch expected.kind {
        case .regular:
            let bytes = try volume.get(inode, count: expected.size + 9)
            try compareBytes(bytes, expected.file.bytes, "bytes of \(inode)")
        case .symbolicLink:
            let target = try volume.readSymbolicLink(inode)
            try expect(target == expected.target, "target of \(inode)")
        default: break
        }
        let names = try volume.extendedAttributeNames(of: inode)
        let expectedNames = expected.attributes.keys.sorted().reduce(into: [UInt8]()) {
            $0 += Array($1.utf8) + [0]
        }
        try expect(names == expectedNames, "attribute names of \(inode): \(text(names))")
        for (name, value) in expected.attributes {
            try expect(
                try volume.attribute(name, of: inode) == value, "attribute \(name) of \(inode)")
        }
    }

    func compareBytes(_ found: [UInt8], _ expected: [UInt8], _ what: String) throws {
        if found == expected { return }
        let first = zip(found, expected).enumerated().first { $0.element.0 != $0.element.1 }
        throw Mismatch(
            description: "\(what): \(found.count) of \(expected.count) bytes, first difference at "
                + "\(first.map { "\($0.offset)" } ?? "the end")")
    }

    /// Walks the whole tree.
    func compareEverything() throws {
        note("compare everything")
        var pending: [UInt64] = [1]
        var seen = 0
        while let directory = pending.popLast() {
            try compareWhole(directory)
            let listed = try list(directory, plus: random.chance(1, in: 2), inPortionsOf: 7)
            let expected = model[directory].entries
            try expect(
                listed.count == expected.count
                    && listed.allSatisfy { expected[$0.name] == $0.inode },
                "names of \(directory): \(listed.map { text($0.name) }), not "
                    + "\(expected.keys.map { text($0) })")
            for entry in listed {
                seen += 1
                let isKnown = model.lookups[entry.inode] != nil
                if !isKnown { _ = try lookup(entry.name, in: directory) }
                if entry.kind == .directory {
                    pending.append(entry.inode)
                } else {
                    try compareWhole(entry.inode)
                }
            }
        }
        for orphan in model.all({ $0.linkCount == 0 }) { try compareWhole(orphan) }
        let usage = try volume.usage()
        let named = UInt64(model.inodes.count)
        try expect(
            usage.totalFiles - usage.freeFiles == named,
            "statfs has \(usage.totalFiles - usage.freeFiles) files, not \(named)")
    }

    func compareSome() throws {
        for _ in 0..<4 {
            guard let inode = try pick({ _ in true }) else { return }
            try compareWhole(inode)
        }
    }

    struct Listed {
        var name: [UInt8]
        var inode: UInt64
        var kind: FileKind
    }

    /// A directory's names without the dots, in calls of a few entries each.
    func list(
        _ directory: UInt64, plus: Bool, inPortionsOf portion: Int,
        between: () throws -> Void = {}
    ) throws -> [Listed] {
        var listed: [Listed] = []
        var cookie: UInt64 = 0
        while true {
            var taken = 0
            var problem: String?
            try volume.readDirectory(directory, after: cookie, withAttributes: plus) {
                name, inode, kind, next, attributes in
                guard taken < portion else { return false }
                taken += 1
                if next <= cookie { problem = "the cookie \(next) does not follow \(cookie)" }
                cookie = next
                let bytes = Array(name)
                if next <= 2 { return true }
                if plus {
                    if attributes?.inode != inode { problem = "no attributes of \(inode)" }
                    self.model.know(inode)
                }
                listed.append(Listed(name: bytes, inode: inode, kind: kind))
                return true
            }
            if let problem { throw Mismatch(description: problem) }
            if taken == 0 { return listed }
            try between()
        }
    }
}
