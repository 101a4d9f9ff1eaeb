import EndToEndSupport
import Foundation
import class Platform.ConditionMutex

/// A thread that works in a directory of its own until the mount is dead or it is told to stop, and
/// keeps a ledger of what it did.
final class CrashWriter: @unchecked Sendable {
    /// What kind of program it is like.
    enum Kind: Int, CaseIterable, Sendable {
        /// Small files, some synchronised; links and removals.
        case small
        /// Editors and package managers: a temporary file renamed over the old one, with and without
        /// fsync, with and without fsync of the directory, before it is closed and behind.
        case replacing
        /// A log: appends, each synchronised.
        case log
        /// A database: 8 KiB anywhere in a file, each synchronised.
        case database
        /// Big files, written in pieces, linked, removed.
        case big
    }

    let ledger = CrashLedger()
    private let kind: Kind
    private let directory: String
    private var random: SeededGenerator
    private let isStopping = ConditionMutex(false)
    private let ended = DispatchSemaphore(value: 0)
    // Only the writer's thread uses what follows.
    private var files: [String: Int] = [:]
    private var sizes: [Int: Int] = [:]
    private var fileCount = 0
    private var step = 0

    /// Starts at once. `directory` must be there.
    init(_ kind: Kind, in directory: String, seed: UInt64) {
        self.kind = kind
        self.directory = directory
        random = SeededGenerator(seed: seed)
        Thread { [self] in
            while !isStopping.withLock({ $0 }), (try? next()) != nil { step += 1 }
            ended.signal()
        }.start()
    }

    func stop() { isStopping.withLock { $0 = true } }

    /// Waits until the thread has ended.
    func finish() throws {
        guard ended.wait(timeout: .now() + 60 * Machine.patience) == .success else {
            throw SystemError(ETIMEDOUT)
        }
    }

    private func next() throws(SystemError) {
        switch kind {
        case .small: try small()
        case .replacing: try replacing()
        case .log: try log()
        case .database: try database()
        case .big: try big()
        }
    }

    // MARK: kinds

    private func small() throws(SystemError) {
        let name = "file-\(step)"
        try create(name, bytes: 1 + random.below(20_000), synchronized: step % 4 == 3)
        if step % 5 == 4 { try link("file-\(step - 1)", "link-\(step)") }
        if step % 3 == 2 { try remove("file-\(step - 2)") }
        if step % 7 == 6 { try synchronizeDirectory() }
    }

    private func replacing() throws(SystemError) {
        let target = "target-\(random.below(3))"
        let isSynchronized = random.below(2) == 0
        let isBeforeClose = random.below(3) == 0
        try create(
            "temporary", bytes: 1 + random.below(90_000), synchronized: isSynchronized
        ) { (descriptor) throws(SystemError) in
            guard isBeforeClose else { return }
            try rename("temporary", target)
            // And goes on writing, under its new name.
            guard let file = files[target], random.below(2) == 0 else { return }
            try write(descriptor, file, at: size(target), bytes: 1 + random.below(9000))
            if random.below(2) == 0 { try synchronize(descriptor) }
        }
        if !isBeforeClose { try rename("temporary", target) }
        if random.below(4) == 0 { try synchronizeDirectory() }
    }

    private func log() throws(SystemError) {
        if step == 0 { try create("log", bytes: 0, synchronized: false) }
        try write("log", at: size("log"), bytes: 1 + random.below(3000), synchronized: true)
    }

    private func database() throws(SystemError) {
        let pages = 96
        if step == 0 { try create("database", bytes: pages * 8192, synchronized: true) }
        try write("database", at: random.below(pages) * 8192, bytes: 8192, synchronized: true)
    }

    private func big() throws(SystemError) {
        let name = "big-\(step)"
        let length = 300_000 + random.below(2_000_000)
        try create(name, bytes: length, synchronized: step % 2 == 1)
        if step % 3 == 1 { try link(name, "again-\(step)") }
        if step >= 2 { try remove("big-\(step - 2)") }
    }

    // MARK: deeds

    private static let pieceBytes = 64 << 10

    private func path(_ name: String) -> String { directory + "/" + name }

    private func size(_ name: String) -> Int { files[name].flatMap { sizes[$0] } ?? 0 }

    private func create(
        _ name: String, bytes count: Int, synchronized: Bool,
        beforeClose: (_ descriptor: Int32) throws(SystemError) -> Void = { _ in }
    ) throws(SystemError) {
        let file = fileCount
        fileCount += 1
        var descriptor: Int32 = -1
        try ledger.note(.names([(name, file)])) { () throws(SystemError) in
            descriptor = try System.open(path(name), O_WRONLY | O_CREAT | O_EXCL)
        }
        defer { close(descriptor) }
        files[name] = file
        var done = 0
        while done < count {
            let part = min(Self.pieceBytes, count - done)
            try write(descriptor, file, at: done, bytes: part)
            done += part
        }
        if synchronized { try synchronize(descriptor) }
        try beforeClose(descriptor)
    }

    private func write(
        _ name: String, at offset: Int, bytes count: Int, synchronized: Bool
    ) throws(SystemError) {
        guard let file = files[name] else { return }
        let descriptor = try System.open(path(name), O_WRONLY)
        defer { close(descriptor) }
        try write(descriptor, file, at: offset, bytes: count)
        if synchronized { try synchronize(descriptor) }
    }

    private func write(
        _ descriptor: Int32, _ file: Int, at offset: Int, bytes count: Int
    ) throws(SystemError) {
        // Half of what is written compresses, and some of it was written before.
        var bytes = random.bytes(count)
        if random.below(2) == 0 {
            bytes = [UInt8](repeating: bytes[0] % 8, count: count)
        }
        let written = bytes
        try ledger.note(.write(file: file, offset: offset, bytes: written)) {
            () throws(SystemError) in
            try System.write(descriptor, written, at: offset)
        }
        sizes[file] = max(sizes[file] ?? 0, offset + count)
    }

    private func synchronize(_ descriptor: Int32) throws(SystemError) {
        let isDataOnly = random.below(2) == 0
        try ledger.promise { () throws(SystemError) in
            try System.check(isDataOnly ? fdatasync(descriptor) : fsync(descriptor))
        }
    }

    private func synchronizeDirectory() throws(SystemError) {
        let descriptor = try System.open(directory, O_RDONLY | O_DIRECTORY)
        defer { close(descriptor) }
        try synchronize(descriptor)
    }

    private func rename(_ from: String, _ to: String) throws(SystemError) {
        guard let file = files[from] else { return }
        try ledger.note(.names([(to, file), (from, nil)])) { () throws(SystemError) in
            try System.check(Glibc.rename(path(from), path(to)))
        }
        files[to] = file
        files[from] = nil
    }

    private func link(_ from: String, _ to: String) throws(SystemError) {
        guard let file = files[from] else { return }
        try ledger.note(.names([(to, file)])) { () throws(SystemError) in
            try System.check(Glibc.link(path(from), path(to)))
        }
        files[to] = file
    }

    private func remove(_ name: String) throws(SystemError) {
        guard files[name] != nil else { return }
        try ledger.note(.names([(name, nil)])) { () throws(SystemError) in
            try System.check(unlink(path(name)))
        }
        files[name] = nil
    }
}
