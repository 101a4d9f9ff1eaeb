// Random operations on names and attributes.
import FileModel
import XCTest

@testable import Volume

extension ModelRun {
    private static let directoriesMax = 9
    private static let filesMax = 30

    func randomName() -> [UInt8] {
        if random.chance(1, in: 20) { return [UInt8](repeating: 0xfe, count: 255) }
        return Array("n\(random.below(14))".utf8)
    }

    private func pickDirectory() throws -> UInt64 {
        if random.chance(1, in: 3) { return 1 }
        return try pick { $0.kind == .directory } ?? 1
    }

    /// A directory and a name in it: mostly one that exists.
    private func pickName() throws -> (parent: UInt64, name: [UInt8]) {
        let parent = try pickDirectory()
        let names = model[parent].entries.keys.sorted { $0.lexicographicallyPrecedes($1) }
        if let name = names.randomElement(using: &random), random.chance(4, in: 5) {
            return (parent, name)
        }
        return (parent, randomName())
    }

    func nameStep() throws {
        switch random.below(20) {
        case 0..<5: try make(.regular)
        case 5, 6: try make(.directory)
        case 7: try make(random.chance(1, in: 2) ? .symbolicLink : .fifo)
        case 8..<10: try addLink()
        case 10..<13: try unlink()
        case 13, 14: try removeDirectory()
        case 15..<19: try rename()
        default:
            let (parent, name) = try pickName()
            note("lookup \(text(name)) in \(parent)")
            _ = try lookup(name, in: parent)
        }
    }

    /// Takes over the times that an operation has set, which must be now.
    func adoptTimes(of inode: UInt64) throws {
        guard model.inodes[inode] != nil else { return }
        let found = try volume.attributes(of: inode)
        try expect(found.changeTime >= stepTime, "ctime of \(inode) was not set")
        model[inode].accessTime = found.accessTime
        model[inode].modificationTime = found.modificationTime
        model[inode].changeTime = found.changeTime
        model[inode].birthTime = found.birthTime
    }

    /// Takes over the change time alone: the others must be as they were.
    func adoptChangeTime(of inode: UInt64) throws {
        guard model.inodes[inode] != nil else { return }
        let found = try volume.attributes(of: inode)
        try expect(found.changeTime >= stepTime, "ctime of \(inode) was not set")
        model[inode].changeTime = found.changeTime
    }

    private func make(_ kind: FileKind) throws {
        let parent = try pickDirectory()
        let name = randomName()
        let limit = kind == .directory ? ModelRun.directoriesMax : ModelRun.filesMax
        guard model.all({ $0.kind == kind }).count < limit else { return try unlink() }
        var failure: FileError?
        if model[parent].entries[name] != nil {
            failure = .exists
        } else if model[parent].linkCount == 0 {
            failure = .noEntry
        }
        let target = random.bytes(random.below(90) + 1)
        let made = try perform(expecting: failure, "make \(kind) \(text(name)) in \(parent)") {
            () throws(FileError) in
            switch kind {
            case .directory: try volume.makeFolder(name, in: parent)
            case .symbolicLink: try volume.makeSymlink(name, in: parent, to: target)
            default: try volume.makeFile(name, in: parent, mode: kind.modeBits | 0o666)
            }
        }
        guard let made else { return }
        try expect(usedInodes.insert(made.inode).inserted, "inode \(made.inode) came again")
        var inode = ModelInode(
            inode: made.inode, kind: kind, permissions: kind == .directory ? 0o755 : 0o644,
            owner: someone.user, group: someone.group)
        if kind == .symbolicLink { (inode.target, inode.permissions) = (target, 0o777) }
        if kind == .directory { (inode.parent, inode.linkCount) = (parent, 2) }
        model[made.inode] = inode
        model[parent].entries[name] = made.inode
        if kind == .directory { model[parent].linkCount += 1 }
        model.know(made.inode)
        try adoptTimes(of: made.inode)
        try adoptTimes(of: parent)
        try compareAttributes(made.inode)
    }

    private func addLink() throws {
        guard let inode = try pick({ $0.kind != .directory || self.random.chance(1, in: 9) })
        else { return }
        let parent = try pickDirectory()
        let name = randomName()
        var failure: FileError?
        if model[inode].kind == .directory {
            failure = .notPermitted
        } else if model[inode].linkCount == 0 {
            failure = .noEntry
        } else if model[parent].entries[name] != nil {
            failure = .exists
        } else if model[parent].linkCount == 0 {
            failure = .noEntry
        }
        let linked = try perform(
            expecting: failure, "link \(inode) as \(text(name)) in \(parent)"
        ) { () throws(FileError) in try volume.addLink(inode, as: name, in: parent) }
        guard linked != nil else { return }
        model[parent].entries[name] = inode
        model[inode].linkCount += 1
        model.know(inode)
        try adoptChangeTime(of: inode)
        try adoptTimes(of: parent)
        try compareAttributes(inode)
    }

    private func unlink() throws {
        let (parent, name) = try pickName()
        let child = model.child(name, of: parent)
        let failure: FileError? =
            child == nil ? .noEntry : child?.kind == .directory ? .isDirectory : nil
        let done: Void? = try perform(
            expecting: failure, "unlink \(text(name)) in \(parent)"
        ) { () throws(FileError) in try volume.removeFile(name, in: parent) }
        guard done != nil, let child else { return }
        model.drop(name, from: parent)
        try adoptTimes(of: parent)
        if model.lookups[child.inode] != nil { try adoptChangeTime(of: child.inode) }
        try adoptHidden(child.inode)
    }

    private func removeDirectory() throws {
        let (parent, name) = try pickName()
        let child = model.child(name, of: parent)
        var failure: FileError?
        if child == nil {
            failure = .noEntry
        } else if child?.kind != .directory {
            failure = .notDirectory
        } else if child?.entries.isEmpty == false {
            failure = .notEmpty
        }
        let done: Void? = try perform(
            expecting: failure, "rmdir \(text(name)) in \(parent)"
        ) { () throws(FileError) in try volume.removeFolder(name, in: parent) }
        guard done != nil, let child else { return }
        model.drop(name, from: parent)
        try adoptTimes(of: parent)
        if model.lookups[child.inode] != nil { try adoptChangeTime(of: child.inode) }
    }

    /// An inode that the kernel does not know has got a new change time too.
    private func adoptHidden(_ inode: UInt64) throws {
        guard model.inodes[inode] != nil, model.lookups[inode] == nil else { return }
        try makeKnownWithoutComparing(inode)
        try adoptChangeTime(of: inode)
    }

    private func makeKnownWithoutComparing(_ inode: UInt64) throws {
        let found = try volume.lookupSelf(inode)
        try expect(found.inode == inode, "lookup of \(inode) itself")
        model.know(inode)
    }

    // MARK: rename

    private func rename() throws {
        let (parent, name) = try pickName()
        var (newParent, newName) = try pickName()
        if random.chance(1, in: 3) { newName = randomName() }
        if random.chance(1, in: 2) { newParent = parent }
        var flags: RenameFlags = []
        if random.chance(1, in: 6) { flags = .noReplace }
        if random.chance(1, in: 5) { flags = .exchange }
        let moved = model.child(name, of: parent)
        let replaced = model.child(newName, of: newParent)
        // The kernel refuses to move a directory into itself before the filesystem is asked.
        if let moved, moved.kind == .directory, isInside(newParent, moved.inode) { return }
        if flags == .exchange, let replaced, replaced.kind == .directory,
            isInside(parent, replaced.inode)
        {
            return
        }
        let failure = renameFailure(moved, replaced, in: newParent, flags)
        let done: Void? = try perform(
            expecting: failure,
            "rename \(text(name)) in \(parent) to \(text(newName)) in \(newParent), "
                + "flags \(flags.rawValue)"
        ) { () throws(FileError) in
            try volume.move(name, in: parent, to: newName, in: newParent, flags: flags)
        }
        guard done != nil, let moved else { return }
        if replaced?.inode == moved.inode { return }
        if flags == .exchange, let replaced {
            place(replaced.inode, as: name, in: parent, insteadOf: moved)
            place(moved.inode, as: newName, in: newParent, insteadOf: replaced)
        } else {
            if replaced != nil { model.drop(newName, from: newParent) }
            model[parent].entries[name] = nil
            if moved.kind == .directory { model[parent].linkCount -= 1 }
            model[newParent].entries[newName] = moved.inode
            if moved.kind == .directory {
                model[newParent].linkCount += 1
                model[moved.inode].parent = newParent
            }
        }
        for inode in [parent, newParent] { try adoptTimes(of: inode) }
        for inode in [moved.inode, replaced?.inode ?? moved.inode] {
            if model.lookups[inode] != nil { try adoptChangeTime(of: inode) }
            try adoptHidden(inode)
        }
    }

    /// Whether `inode` is the directory or lies in it; orphans lie nowhere.
    private func isInside(_ inode: UInt64, _ directory: UInt64) -> Bool {
        if inode == directory { return true }
        guard model[inode].linkCount > 0 else { return false }
        return model.isWithin(inode, directory)
    }

    private func place(
        _ inode: UInt64, as name: [UInt8], in parent: UInt64, insteadOf old: ModelInode
    ) {
        model[parent].entries[name] = inode
        if old.kind == .directory { model[parent].linkCount -= 1 }
        if model[inode].kind == .directory {
            model[parent].linkCount += 1
            model[inode].parent = parent
        }
    }

    private func renameFailure(
        _ moved: ModelInode?, _ replaced: ModelInode?, in newParent: UInt64, _ flags: RenameFlags
    ) -> FileError? {
        guard let moved else { return .noEntry }
        if model[newParent].linkCount == 0 { return .noEntry }
        if flags == .exchange { return replaced == nil ? .noEntry : nil }
        guard let replaced else { return nil }
        if flags == .noReplace { return .exists }
        if replaced.inode == moved.inode { return nil }
        if replaced.kind == .directory {
            if moved.kind != .directory { return .isDirectory }
            return replaced.entries.isEmpty ? nil : .notEmpty
        }
        return moved.kind == .directory ? .notDirectory : nil
    }

    // MARK: listing while names change

    func listingStep() throws {
        let directory = try pickDirectory()
        note("list \(directory) during changes")
        var always = Set(model[directory].entries.keys)
        var ever = always
        let listed = try list(
            directory, plus: random.chance(1, in: 2), inPortionsOf: random.below(4) + 1
        ) {
            guard random.chance(2, in: 3) else { return }
            try within { try nameStep() }
            let now = Set(model[directory].entries.keys)
            always.formIntersection(now)
            ever.formUnion(now)
        }
        let names = listed.map(\.name)
        try expect(Set(names).count == names.count, "a name was listed twice")
        try expect(always.isSubset(of: names), "not all names were listed")
        try expect(ever.isSuperset(of: names), "names were listed that never were")
    }
}
