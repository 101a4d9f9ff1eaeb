/// The names of files in a backend: `packs/0123-0001.pack`.
///
/// A name is visible ASCII (0x21...0x7E) with `/` between its parts. No part is empty, `.` or `..`,
/// or begins with `temporaryPrefix`. So names mean the same to every filesystem and object store,
/// equal strings are equal bytes, and no name leads out of the store.
enum BackendName {
    static let partBytesMax = 240
    static let nameBytesMax = 1024

    /// Begins the names of `writeWhole`'s temporaries, which are no files of the backend.
    static let temporaryPrefix = ".ashlar-tmp."

    static func check(_ name: String) throws(BackendError) {
        guard isValid(name) else { throw .badName(name: name) }
    }

    static func isValid(_ name: String) -> Bool {
        guard name.utf8.count <= nameBytesMax else { return false }
        return name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .allSatisfy { isValidPart($0) }
    }

    private static func isValidPart(_ part: Substring.UTF8View) -> Bool {
        guard !part.isEmpty, part.count <= partBytesMax else { return false }
        guard part.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return false }
        if part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8) { return false }
        return !part.starts(with: temporaryPrefix.utf8)
    }

    /// The folder of a name, without its last `/`; empty at the top.
    static func folder(of name: String) -> String {
        guard let slash = name.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return String(name[..<slash])
    }

    /// The folders that lead to `folder`, from below the top down to itself: `a`, `a/b`.
    static func path(to folder: String) -> [String] {
        guard !folder.isEmpty else { return [] }
        var folders = folder.utf8.indices
            .filter { folder.utf8[$0] == UInt8(ascii: "/") }
            .map { String(folder[..<$0]) }
        folders.append(folder)
        return folders
    }

    /// `name` in `folder`.
    static func join(_ folder: String, _ name: String) -> String {
        folder.isEmpty ? name : folder + "/" + name
    }

    /// Where `writeWhole` builds `name`: beside it, and always the same, so that what a crash left
    /// behind is overwritten by the next attempt.
    static func temporary(for name: String) -> String {
        let folder = folder(of: name)
        let last = folder.isEmpty ? name[...] : name.dropFirst(folder.count + 1)
        return join(folder, temporaryPrefix + last)
    }

    /// The folder in which the names with `prefix` begin to differ.
    static func folder(ofPrefix prefix: String) throws(BackendError) -> String {
        let folder = folder(of: prefix)
        guard folder.isEmpty ? !prefix.hasPrefix("/") : isValid(folder) else {
            throw .badName(name: prefix)
        }
        return folder
    }

    /// Whether `a` comes before `b`: as bytes.
    static func precedes(_ a: String, _ b: String) -> Bool {
        a.utf8.lexicographicallyPrecedes(b.utf8)
    }
}
