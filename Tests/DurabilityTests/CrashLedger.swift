import EndToEndSupport
import Foundation
import class Platform.ConditionMutex

/// One thing that a writer did to its directory, and when: nanoseconds of one clock that goes on while
/// daemons die.
struct Deed: Sendable {
    enum What: Sendable {
        /// A name means another file, or none, from now on.
        case names([(name: String, file: Int?)])
        /// Bytes of a file, by one call.
        case write(file: Int, offset: Int, bytes: [UInt8])
    }

    var what: What
    var begin: UInt64
    /// When the call had returned; `.max` where it never did.
    var end: UInt64 = .max
}

/// What one writer did, in order, and what it was promised. Kept in the memory of the test, hence
/// outside of everything that crashes.
///
/// The writer's thread writes, others read.
final class CrashLedger: Sendable {
    struct State {
        var deeds: [Deed] = []
        /// When each fsync that returned had begun, and when it returned.
        var promises: [(begin: UInt64, end: UInt64)] = []

        /// What was done before this must be there, by the promises that were made before `moment`.
        func promised(before moment: UInt64 = .max) -> UInt64 {
            promises.last { $0.end < moment }?.begin ?? 0
        }
    }

    private let state = ConditionMutex(State())

    var current: State { state.withLock { $0 } }

    static func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds }

    /// Notes a deed before it is done, and when it is.
    func note(_ what: Deed.What, _ body: () throws(SystemError) -> Void) throws(SystemError) {
        let index = state.withLock { state in
            state.deeds.append(Deed(what: what, begin: Self.now()))
            return state.deeds.count - 1
        }
        try body()
        state.withLock { $0.deeds[index].end = Self.now() }
    }

    /// Calls what promises durability.
    func promise(_ body: () throws(SystemError) -> Void) throws(SystemError) {
        let begin = Self.now()
        try body()
        state.withLock { $0.promises.append((begin, Self.now())) }
    }
}

/// What was found in a writer's directory after a crash.
struct FoundDirectory: Equatable {
    struct File: Equatable {
        var inode: UInt64
        var bytes: [UInt8]
    }

    var files: [String: File] = [:]

    init(_ files: [String: File] = [:]) { self.files = files }

    /// Reads a directory of files; a missing one is an empty one.
    init(path: String) throws {
        let names = (try? System.names(path)) ?? []
        for name in names.map({ String(decoding: $0, as: UTF8.self) }) {
            files[name] = File(
                inode: UInt64(try System.status(path + "/" + name).st_ino),
                bytes: try System.readFile(path + "/" + name))
        }
    }
}

/// Looks for the moment whose state was found: DESIGN §3.3 says that there is one.
///
/// A commit is cut at one moment for all writers: every change of a name that had returned by then is
/// in it, none that began later is; every byte that was received by then is in it, and of files that
/// it holds perhaps some that came later. So there must be a moment, not before the last promise, at
/// which the names of all writers were what was found, and each file holds all that was written to it
/// by then, or that and some more of its writes, in their order, and nothing else.
struct CutSearch {
    private let writers: [Writer]
    private let promised: UInt64

    /// A ledger as it is compared: names and writes apart.
    private struct Writer {
        var number: Int
        var found: FoundDirectory
        var nameDeeds: [Deed] = []
        /// Which file each name meant after so many deeds.
        var names: [[String: Int]] = [[:]]
        var writes: [Int: [Deed]] = [:]

        init(_ number: Int, _ deeds: [Deed], _ found: FoundDirectory) {
            self.number = number
            self.found = found
            for deed in deeds {
                switch deed.what {
                case .write(let file, _, _): writes[file, default: []].append(deed)
                case .names(let changes):
                    var state = names[names.count - 1]
                    for (name, file) in changes { state[name] = file }
                    nameDeeds.append(deed)
                    names.append(state)
                }
            }
        }
    }

    /// - Parameter promised: nothing done before this may be missing.
    init(_ ledgers: [CrashLedger.State], _ found: [FoundDirectory], promised: UInt64) {
        writers = zip(ledgers, found).enumerated().map { Writer($0, $1.0.deeds, $1.1) }
        self.promised = promised
    }

    /// What is wrong with what was found; nil where it is one moment's state.
    func complaint() -> String? {
        var moments = writers.flatMap { $0.nameDeeds.map(\.begin) }.filter { $0 > promised }
        moments.append(promised)
        moments.sort()
        var best = (matching: -1, complaint: "")
        for moment in moments {
            var complaints: [String] = []
            for writer in writers {
                if let complaint = self.complaint(writer, at: moment) {
                    complaints.append(complaint)
                }
            }
            if complaints.isEmpty { return nil }
            let matching = writers.count - complaints.count
            if matching > best.matching {
                let after = Double(moment - promised) / 1e6
                best = (
                    matching,
                    "no moment fits; the best is \(after) ms after the last promise: "
                        + complaints.joined(separator: "; ")
                )
            }
        }
        return best.complaint
    }

    private func complaint(_ writer: Writer, at moment: UInt64) -> String? {
        let least = writer.nameDeeds.prefix { $0.end < moment }.count
        let most = writer.nameDeeds.prefix { $0.begin <= moment }.count
        var last = ""
        for count in least...most {
            guard let complaint = complaint(writer, names: writer.names[count], moment) else {
                return nil
            }
            last = complaint
        }
        return "writer \(writer.number): \(last)"
    }

    private func complaint(
        _ writer: Writer, names: [String: Int], _ moment: UInt64
    ) -> String? {
        let missing = Set(names.keys).subtracting(writer.found.files.keys)
        let extra = Set(writer.found.files.keys).subtracting(names.keys)
        guard missing.isEmpty, extra.isEmpty else {
            return "missing \(missing.sorted()), not expected \(extra.sorted())"
        }
        var inodes: [Int: UInt64] = [:]
        for (name, file) in names {
            guard let found = writer.found.files[name] else { continue }
            if let inode = inodes[file], inode != found.inode {
                return "\(name) is no longer a link to the same file"
            }
            inodes[file] = found.inode
            let writes = writer.writes[file] ?? []
            if !isVersion(found.bytes, writes, moment) {
                let due = writes.prefix { $0.end < moment }.count
                return "\(name) has \(found.bytes.count) bytes that are no version of it "
                    + "(\(due) of \(writes.count) writes are due, the last of \(Self.last(writes)))"
            }
        }
        if Set(inodes.values).count != inodes.count { return "two files have become one" }
        return nil
    }

    /// Whether bytes are what a file held after some of its writes, all that are due included.
    ///
    /// The kernel may hand one write over in several requests, cut at pages (the first page of an
    /// append goes alone when it is not cached): of the write that came next, some first pages may be
    /// there.
    private func isVersion(_ found: [UInt8], _ writes: [Deed], _ moment: UInt64) -> Bool {
        let due = writes.prefix { $0.end < moment }.count
        var bytes: [UInt8] = []
        for (index, deed) in writes.enumerated() {
            guard case .write(_, let offset, let new) = deed.what else { continue }
            if index >= due, bytes == found { return true }
            let before = bytes
            if bytes.count < offset + new.count {
                bytes += [UInt8](repeating: 0, count: offset + new.count - bytes.count)
            }
            bytes.replaceSubrange(offset..<(offset + new.count), with: new)
            if index >= due, isCut(found, before, bytes, within: offset..<(offset + new.count)) {
                return true
            }
        }
        return bytes == found
    }

    private static func last(_ writes: [Deed]) -> String {
        guard case .write(_, let offset, let bytes) = writes.last?.what else { return "none" }
        return "\(offset)..<\(offset + bytes.count)"
    }

    private static let pageBytes = 4096

    /// Whether bytes are the new ones up to a page's boundary in `range`, and the old ones behind it.
    private func isCut(
        _ found: [UInt8], _ old: [UInt8], _ new: [UInt8], within range: Range<Int>
    ) -> Bool {
        var cut = (range.lowerBound / Self.pageBytes + 1) * Self.pageBytes
        while cut < range.upperBound {
            if found.count == max(old.count, cut), found[..<cut] == new[..<cut],
                found[cut...] == old.dropFirst(cut)
            {
                return true
            }
            cut += Self.pageBytes
        }
        return false
    }
}
