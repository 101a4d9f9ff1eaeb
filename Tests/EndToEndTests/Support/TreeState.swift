import CLinux
import EndToEndSupport
import Foundation

/// All that a program can see of a tree but for times, as a value.
struct TreeState {
    /// What belongs to the metadata of a name.
    struct Entry: Equatable {
        var mode: mode_t
        var owner: uid_t
        var group: gid_t
        var links: UInt64
        var target: [UInt8] = []
        var attributes: [String: [UInt8]] = [:]
    }

    /// By path below the top, which is "".
    private(set) var names: [String: Entry] = [:]
    /// The inode of each name, as this filesystem numbers them.
    private(set) var inodes: [String: ino_t] = [:]
    /// The bytes of each regular file, by inode.
    private(set) var contents: [ino_t: [UInt8]] = [:]

    init(_ top: String) throws(SystemError) {
        try add(top, "")
    }

    private mutating func add(_ top: String, _ name: String) throws(SystemError) {
        let path = name.isEmpty ? top : top + "/" + name
        let status = try System.status(path)
        var entry = Entry(
            mode: status.st_mode, owner: status.st_uid, group: status.st_gid,
            links: UInt64(status.st_nlink))
        for attribute in try System.attributes(path) {
            entry.attributes[attribute] = try System.attribute(path, attribute)
        }
        inodes[name] = status.st_ino
        switch status.st_mode & S_IFMT {
        case S_IFLNK: entry.target = try System.readLink(path)
        case S_IFREG where contents[status.st_ino] == nil:
            contents[status.st_ino] = try System.readFile(path)
        case S_IFDIR:
            for child in try System.names(path) {
                let part = String(decoding: child, as: UTF8.self)
                try add(top, name.isEmpty ? part : name + "/" + part)
            }
        default: break
        }
        names[name] = entry
    }

    func content(of name: String) -> [UInt8]? { inodes[name].flatMap { contents[$0] } }
}

/// The states of a model since everything was made durable, the oldest first: what a crash may leave.
struct CrashLog {
    private let model: String
    private var states: [TreeState]
    private var operations: [Operation] = []

    init(_ model: String) throws(SystemError) {
        self.model = model
        states = [try TreeState(model)]
    }

    /// The newest state.
    var last: TreeState { states[states.count - 1] }

    /// Takes down the model as it is behind an operation.
    mutating func note(_ operation: Operation, synchronized: Bool) throws(SystemError) {
        let state = try TreeState(model)
        if synchronized {
            states = [state]
            operations = []
        } else {
            states.append(state)
            operations.append(operation)
        }
    }

    /// How many operations a state lacks; nil when it is none that may be.
    func stepsLost(in found: TreeState) -> Int? {
        for index in states.indices.reversed()
        where states[index].names == found.names && hasContents(found, index) {
            return states.count - 1 - index
        }
        return nil
    }

    /// Whether each file has the bytes of the state `index`, or of a later one.
    private func hasContents(_ found: TreeState, _ index: Int) -> Bool {
        states[index].inodes.allSatisfy { (name, inode) in
            guard let bytes = found.content(of: name) else { return true }
            return isContent(bytes, of: inode, since: index)
        }
    }

    /// Whether a file had these bytes at some moment, or amid one of the writes in between.
    private func isContent(_ bytes: [UInt8], of inode: ino_t, since index: Int) -> Bool {
        if states[index...].contains(where: { $0.contents[inode] == bytes }) { return true }
        return states.indices[index...].dropLast().contains { number in
            guard case .write = operations[number].kind,
                let old = states[number].contents[inode],
                let new = states[number + 1].contents[inode]
            else { return false }
            return PartOfWrite.leaves(bytes, between: old, and: new, in: 0..<new.count)
        }
    }

    /// What is wrong with a state.
    func explain(_ found: TreeState) -> String {
        let fitting = states.indices.filter { states[$0].names == found.names }
        let last = operations.suffix(30).map(\.description)
        guard let index = fitting.last else {
            let differing = Set(found.names.keys).union(self.last.names.keys)
                .filter { found.names[$0] != self.last.names[$0] }
            return "the names are those of no moment: \(differing.sorted()) differ from the "
                + "newest; the last operations: \(last)"
        }
        let wrong = states[index].inodes.filter { (name, inode) in
            guard let bytes = found.content(of: name) else { return false }
            return !isContent(bytes, of: inode, since: index)
        }.keys.sorted()
        return "names fit \(fitting) of \(states.count) moments, but not the bytes of \(wrong); "
            + "the last operations: \(last)"
    }
}
