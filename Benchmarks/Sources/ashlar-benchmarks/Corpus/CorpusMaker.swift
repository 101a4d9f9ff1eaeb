import Foundation

/// Fetches the corpus from Debian by apt and debootstrap, and unpacks it. What is in the cache is not
/// fetched again, so that later runs measure the same bytes. One thread.
struct CorpusMaker {
    /// Where it is kept.
    let cache: String
    /// The share of each tree that is used, above 0, at most 1.
    let scale: Double
    let say: (String) -> Void

    private var packageFolder: String { cache + "/packages" }
    private static let treesMax = 3

    /// Makes what is needed of it. Fails only when interrupted: what cannot be had is noted.
    func make(_ parts: Set<Corpus.Part>) throws(BenchmarkError) -> Corpus {
        var corpus = Corpus()
        try Files.makeFolder(packageFolder)
        let wantsTrees = parts.contains(.images) || parts.contains(.bigImage)
        if wantsTrees { corpus.images = try trees("linux-image-", "-amd64", &corpus) }
        if parts.contains(.headers) || parts.contains(.bigImage) {
            corpus.headers = try trees("linux-headers-", "-common", &corpus)
        }
        if parts.contains(.source) {
            corpus.sourceTar = try attempt("linux-source", &corpus) { () throws(BenchmarkError) in
                try sourceTar()
            }
            if let tar = corpus.sourceTar {
                corpus.sourceGit = try attempt("git status", &corpus) {
                    () throws(BenchmarkError) in try sourceGit(tar)
                }
            }
        }
        if parts.contains(.disks) { try makeDisks(&corpus) }
        if parts.contains(.bigImage) {
            let trees = corpus.images + corpus.headers
            corpus.bigImage = try attempt("image for random access", &corpus) {
                () throws(BenchmarkError) in try bigImage(trees)
            }
        }
        return try scaled(corpus)
    }

    /// Does something that may fail, and notes why; only an interruption goes on.
    private func attempt<Value>(
        _ what: String, _ corpus: inout Corpus, _ body: () throws(BenchmarkError) -> Value
    ) throws(BenchmarkError) -> Value? {
        do {
            return try body()
        } catch .interrupted {
            throw .interrupted
        } catch {
            corpus.notes.append("\(what) is missing: \(error)")
            return nil
        }
    }

    // MARK: trees of packages

    /// The trees of up to three packages of different versions, older first.
    private func trees(
        _ prefix: String, _ suffix: String, _ corpus: inout Corpus
    ) throws(BenchmarkError) -> [String] {
        var kept = Self.versionsInOrder(
            Files.names(in: packageFolder).filter { $0.hasPrefix(prefix) && $0.hasSuffix(suffix) })
        if kept.count < Self.treesMax {
            let offered = try offeredPackages(prefix, suffix).suffix(Self.treesMax)
            for package in offered where !kept.contains(package) {
                say("fetching \(package)")
                if try attempt(
                    package, &corpus, { () throws(BenchmarkError) in try unpack(package) })
                    != nil
                {
                    kept.append(package)
                }
            }
            kept = Self.versionsInOrder(kept)
        }
        if kept.count < Self.treesMax {
            corpus.notes.append("\(prefix)*\(suffix): only \(kept.count) of \(Self.treesMax) trees")
        }
        return kept.suffix(Self.treesMax).map { "\(packageFolder)/\($0)" }
    }

    /// Packages that apt offers, older first: 6.1.0-56, nothing with a flavour.
    private func offeredPackages(
        _ prefix: String, _ suffix: String
    ) throws(BenchmarkError) -> [String] {
        guard Command.find("apt-cache") != nil else { return [] }
        let output = try Command("apt-cache", "search", "--names-only", "^\(prefix)").run().output
        let names = output.split(separator: "\n").compactMap { $0.split(separator: " ").first }
        return Self.versionsInOrder(
            names.map(String.init).filter { name in
                guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return false }
                let version = name.dropFirst(prefix.count).dropLast(suffix.count)
                return version.wholeMatch(of: /[0-9.]+-[0-9]+/) != nil
            })
    }

    static func versionsInOrder(_ names: [String]) -> [String] {
        names.sorted { $0.compare($1, options: .numeric) == .orderedAscending }
    }

    /// Downloads a package and unpacks it; its tree appears when it is whole.
    private func unpack(_ package: String) throws(BenchmarkError) {
        let folder = cache + "/download"
        try Files.makeFolder(folder)
        try Command("apt-get", "download", "-qq", package).at(folder).run()
        try Command.shell(
            """
            cd "$1"; rm -rf tree; mkdir tree; dpkg-deb -x "$2"_*.deb tree; rm -f "$2"_*.deb
            mv tree "$3"
            """, folder, package, "\(packageFolder)/\(package)"
        ).run()
    }

    // MARK: the kernel's source

    private func sourceTar() throws(BenchmarkError) -> String {
        let tar = cache + "/linux-source.tar"
        if Files.exists(tar) { return tar }
        let package = "linux-source-6.1"
        if !Files.exists("\(packageFolder)/\(package)") {
            say("fetching \(package)")
            try unpack(package)
        }
        say("unpacking \(package)")
        try Command.shell(
            "xz -dc \"$1\"/usr/src/linux-source-*.tar.xz > \"$2.part\"; mv \"$2.part\" \"$2\"",
            "\(packageFolder)/\(package)", tar
        ).run()
        return tar
    }

    /// A repository of that source without its files: `git status` compares only names and times.
    private func sourceGit(_ tar: String) throws(BenchmarkError) -> String {
        let folder = cache + "/linux-source.git"
        if Files.exists(folder) { return folder }
        guard Command.find("git") != nil else { throw .missing("no program git") }
        say("making a git repository of linux-source")
        try Command.shell(
            """
            rm -rf "$1.part"; mkdir -p "$1.part/tree"; cd "$1.part/tree"
            tar -xf "$2" --strip-components=1
            git init -q .
            git -c core.looseCompression=0 -c gc.auto=0 add -A -f
            git -c user.name=bench -c user.email=bench@localhost -c gc.auto=0 commit -q -m source
            mv .git "$1"; rm -rf "$1.part"
            """, folder, tar
        ).run()
        return folder
    }

    /// Smaller trees and a smaller tar, by hard links beside the whole ones.
    private func scaled(_ corpus: Corpus) throws(BenchmarkError) -> Corpus {
        guard scale < 1 else { return corpus }
        var corpus = corpus
        let folder = cache + "/scaled-\(Int((scale * 1000).rounded()))"
        try Files.makeFolder(folder)
        func part(_ tree: String) throws(BenchmarkError) -> String {
            let place = "\(folder)/\(URL(fileURLWithPath: tree).lastPathComponent)"
            if Files.exists(place) { return place }
            try Command.shell(
                """
                cd "$1"; find . -type f | LC_ALL=C sort > "$2.list"
                files=$(wc -l < "$2.list"); count=$(awk "BEGIN { print int($files * $3) + 1 }")
                head -n "$count" "$2.list" \
                    | rsync -a --link-dest="$1" --files-from=- "$1" "$2.part"
                rm "$2.list"; mv "$2.part" "$2"
                """, tree, place, String(scale)
            ).run()
            return place
        }
        var images: [String] = []
        for tree in corpus.images { images.append(try part(tree)) }
        var headers: [String] = []
        for tree in corpus.headers { headers.append(try part(tree)) }
        corpus.images = images
        corpus.headers = headers
        return corpus
    }
}
