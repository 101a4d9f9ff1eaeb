/// The layers of Ashlar (ENGINEERING §3) as a table, and the rules of who may import whom.
///
/// Invariants kept: dependencies point strictly down, modules of one level do not know each other,
/// only the mount knows the FUSE shim, checking never uses the pipeline, nothing below the faces uses
/// FoundationEssentials, and no program the rest of Foundation. Pure functions over text: no I/O, any thread.
enum Layers {
    /// The first level that may use FoundationEssentials: the faces.
    static let foundationLevelMin = 6

    /// Every module of the package, by level, lowest first. A new module is added here.
    static let modulesByLevel: [[String]] = [
        ["CLinux", "CKernels", "CZstd", "COpenSSL", "CRocksDB", "CFuseShim"],
        ["DiskFormat", "Platform", "FileModel", "Telemetry"],
        ["Metadata", "Backends"],
        [
            "WriteBuffers", "Chunking", "Hashing", "ChunkIndex", "NamespaceIndex", "SuperChunks",
            "Compression", "Packs", "Trees",
        ],
        ["Pipeline", "Folding", "Reclaim"],
        ["Volume", "Snapshots", "Checking", "Retention"],
        [
            "Mount", "Control", "Console", "Repair", "Queries", "Restoring", "Streams", "Server",
        ],
        ["ashlar", "fsck", "estimate", "FuzzTargets", "stage-benchmarks"],
        ["decoder-fuzzer", "store-fuzzer", "stream-fuzzer"],
    ]

    /// The level of a module, or nil where the table does not name it.
    static func level(of module: String) -> Int? {
        modulesByLevel.firstIndex { $0.contains(module) }
    }

    /// The complaint about one module depending on another (by an import or in the manifest), or
    /// nil. What is not in the table is taken for a module of another package: `unknown` finds
    /// those of ours.
    static func violation(of importer: String, using imported: String) -> String? {
        guard let importerLevel = level(of: importer) else { return unknown(importer) }
        if imported == "Foundation" {
            return "\(importer) uses Foundation: its tables for languages double the program's size"
        }
        if imported.hasPrefix("Foundation") {
            return importerLevel >= foundationLevelMin
                ? nil : "\(importer) (L\(importerLevel)) uses \(imported): none below the faces"
        }
        if importer == "Checking" && imported == "Pipeline" {
            return "Checking uses Pipeline: an independent reader catches the writer's bugs"
        }
        if imported == "CFuseShim" && importer != "Mount" {
            return "\(importer) uses CFuseShim: only Mount may"
        }
        guard let importedLevel = level(of: imported), importedLevel >= importerLevel else {
            return nil
        }
        return "\(importer) (L\(importerLevel)) uses \(imported) (L\(importedLevel)): "
            + "dependencies point strictly down"
    }

    /// The complaint about a module that the table does not name, or nil.
    static func unknown(_ module: String) -> String? {
        level(of: module) != nil
            ? nil : "\(module) has no level: add it to Layers.modulesByLevel in Tests/HouseTests"
    }
}
