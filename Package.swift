// swift-tools-version: 6.2
import PackageDescription

// The layers of Ashlar, lowest first. Dependencies point down only (Tests/HouseTests keeps it so);
// the folder names tell the way of a byte. See docs/ARCHITECTURE.md.

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

let cStrict: [CSetting] = [
    .unsafeFlags(["-Wall", "-Wextra", "-Werror", "-O2"])
]

let cxxStrict: [CXXSetting] = [
    .unsafeFlags(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-O2"])
]

func layer(
    _ name: String, _ dependencies: [Target.Dependency], path: String? = nil
) -> Target {
    .target(
        name: name, dependencies: dependencies, path: path ?? "Sources/\(name)",
        swiftSettings: strict)
}

// The C++ standard is `cxxLanguageStandard` below: a flag here would reach the C files too.
func shim(_ name: String, libraries: [String] = [], path: String? = nil) -> Target {
    .target(
        name: name, path: path ?? "Sources/\(name)", cSettings: cStrict, cxxSettings: cxxStrict,
        linkerSettings: libraries.map { .linkedLibrary($0) })
}

/// An executable: a thin program over the layers. Its tests import it as a module.
func program(
    _ name: String, _ dependencies: [Target.Dependency], path: String? = nil
) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: path ?? "Sources/\(name)",
        swiftSettings: strict)
}

func suite(
    _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []
) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude,
        swiftSettings: strict)
}

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(
    name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "ashlar",
    products: [
        .executable(name: "ashlar", targets: ["ashlar"]),
        .executable(name: "fsck.ashlar", targets: ["fsck"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
    ],
    targets: [
        // L0: C
        shim("CLinux"),
        shim("CKernels"),
        shim("CZstd", libraries: ["zstd"]),
        shim("COpenSSL", libraries: ["crypto"]),
        shim("CRocksDB", libraries: ["rocksdb", "stdc++"]),
        shim("CFuseShim", libraries: ["fuse3", "uring"], path: "CFuseShim"),
        // L1: ground
        layer("DiskFormat", ["CKernels"]),
        layer("Platform", ["CLinux", system]),
        layer("FileModel", []),
        // L2: ports
        layer("Metadata", ["CRocksDB"]),
        layer("Backends", ["Platform"]),
        // L3: stages
        layer("Chunking", ["CKernels", "DiskFormat"]),
        layer("ChunkIndex", ["DiskFormat"]),
        layer("NamespaceIndex", ["DiskFormat"]),
        layer("Hashing", ["COpenSSL", "DiskFormat"]),
        layer("Compression", ["CZstd", "DiskFormat"]),
        layer("SuperChunks", ["DiskFormat", "Platform"]),
        layer("Packs", ["DiskFormat", "Backends", "Platform"]),
        layer("Trees", ["DiskFormat", "Platform"]),
        layer("WriteBuffers", []),
        // L4: composition
        layer(
            "Pipeline",
            [
                "Backends", "ChunkIndex", "Chunking", "NamespaceIndex", "Compression", "DiskFormat",
                "Hashing", "Metadata", "Packs", "Platform", "SuperChunks", "Trees",
            ]),
        layer("Folding", ["Chunking", "DiskFormat", "Trees"]),
        // L5: meaning
        layer(
            "Volume",
            [
                "Chunking", "DiskFormat", "FileModel", "Folding", "Metadata", "NamespaceIndex",
                "Pipeline", "Platform", "Trees", "WriteBuffers",
            ]),
        layer(
            "Checking",
            [
                "Backends", "ChunkIndex", "Compression", "DiskFormat", "Hashing", "Metadata",
                "NamespaceIndex", "Packs", "Platform", "SuperChunks", "Trees",
            ]),
        layer("Retention", ["DiskFormat"]),
        // L6: faces
        layer(
            "Console",
            ["CLinux", "DiskFormat", "Platform", "Backends", "Packs", "Checking", arguments]),
        layer("Control", ["CLinux", "Platform", "Backends"]),
        layer("Mount", ["CFuseShim", "FileModel", logging]),
        layer(
            "Repair",
            [
                "Backends", "Checking", "ChunkIndex", "Chunking", "DiskFormat", "FileModel",
                "Hashing", "Metadata", "NamespaceIndex", "Packs", "Pipeline", "Platform",
                "SuperChunks", "Compression", "Trees", "Volume",
            ]),
        layer("Queries", ["Checking", "DiskFormat", "Trees"]),
        layer(
            "Streams",
            [
                "Backends", "Checking", "Chunking", "DiskFormat", "FileModel", "Folding", "Hashing",
                "Packs", "Pipeline", "Platform", "Trees", "Volume",
            ]),
        layer("Restoring", ["CLinux", "Checking", "DiskFormat", "Platform", "Trees"]),
        // L7: programs
        program(
            "ashlar",
            [
                "CLinux", "DiskFormat", "Platform", "FileModel", "Backends", "Packs", "Hashing",
                "Compression", "ChunkIndex", "Metadata", "Trees", "Pipeline", "Volume",
                "Checking", "Console", "Control", "Mount", "NamespaceIndex", "Queries", "Restoring",
                "Retention",
                "Streams",
                arguments, logging,
            ]),
        program(
            "fsck",
            [
                "DiskFormat", "Platform", "Backends", "Metadata", "Packs", "Checking", "Pipeline",
                "Repair", "Console", "Control", arguments,
            ], path: "fsck"),
        program(
            "estimate", ["Chunking", "Compression", "DiskFormat", "Hashing"],
            path: "examples/estimate"),
        // tests, by layer
        layer(
            "FuzzTargets",
            [
                "Backends", "Checking", "CKernels", "Control", "DiskFormat", "FileModel",
                "Hashing", "Metadata", "Packs", "Pipeline", "Platform", "Queries", "Repair",
                "Retention", "Streams", "Trees", "Volume",
            ], path: "Tests/FuzzTargets"),
        suite("FuzzTests", ["FuzzTargets"], exclude: ["Corpus"]),
        suite("DiskFormatTests", ["DiskFormat", "CKernels"]),
        suite("HouseTests", []),
        suite("TreesTests", ["Trees", "DiskFormat", "Hashing"]),
        suite("ChunkIndexTests", ["ChunkIndex", "DiskFormat"]),
        suite("NamespaceIndexTests", ["NamespaceIndex", "DiskFormat"]),
        suite("PlatformTests", ["Platform"]),
        suite("BackendsTests", ["Backends", "Platform"]),
        suite("MetadataTests", ["Metadata", "Platform"]),
        suite("ChunkingTests", ["Chunking", "CKernels", "DiskFormat"]),
        suite("HashingTests", ["Hashing", "DiskFormat"]),
        suite("CompressionTests", ["Compression", "DiskFormat"]),
        suite(
            "SuperChunksTests", ["SuperChunks", "DiskFormat", "Platform", "Compression"]),
        suite("PacksTests", ["Packs", "DiskFormat", "Backends"]),
        suite(
            "PipelineTests",
            [
                "Pipeline", "Backends", "ChunkIndex", "NamespaceIndex", "Compression",
                "DiskFormat", "Hashing", "Metadata", "Packs", "Platform", "Trees",
            ]),
        suite("WriteBuffersTests", ["WriteBuffers"]),
        suite("QueriesTests", ["Queries", "DiskFormat"]),
        suite("RetentionTests", ["Retention", "DiskFormat"]),
        suite(
            "StreamsTests",
            [
                "Streams", "Backends", "Checking", "DiskFormat", "FileModel", "Metadata", "Queries",
                "Pipeline", "Platform", "Trees", "Volume", "CLinux",
            ]),
        suite("FoldingTests", ["Folding", "Chunking", "DiskFormat", "Hashing", "Trees"]),
        suite(
            "CheckingTests",
            [
                "Checking", "Backends", "ChunkIndex", "Compression", "DiskFormat", "Hashing",
                "Metadata", "NamespaceIndex", "Packs", "Platform", "SuperChunks", "Trees",
            ]),
        suite(
            "GoldenTests",
            [
                "ashlar", "fsck", "Backends", "Checking", "Chunking", "CKernels", "Compression",
                "DiskFormat", "FileModel", "Hashing", "Metadata", "Packs", "Pipeline", "Platform",
                "Queries", "Streams", "Trees", "Volume",
            ], exclude: ["Images", "Streams"]),
        suite("MountTests", ["Mount", "FileModel"]),
        suite(
            "ProgramTests",
            [
                "ashlar", "fsck", "estimate", "Checking", "Console", "Control", "Mount",
                "FileModel", "Packs",
                "Backends",
                "DiskFormat", "Platform", "SuperChunks", "Compression", "Hashing", arguments,
                logging,
            ]),
        suite(
            "VolumeTests",
            [
                "Volume", "Backends", "Checking", "ChunkIndex", "DiskFormat", "FileModel",
                "Metadata", "NamespaceIndex", "Pipeline", "Platform", "Queries", "Repair",
                "Restoring",
            ]),
        // No tests of its own: what suites on real mounts share. A test target, since XCTest does
        // not exist where the standard library is linked in.
        suite("EndToEndSupport", ["ashlar", "fsck", "Backends", "CLinux"]),
        suite("PosixTests", ["EndToEndSupport", "CLinux"]),
        suite("EndToEndTests", ["EndToEndSupport", "Backends", "CLinux", "Platform"]),
        suite("DurabilityTests", ["EndToEndSupport", "CLinux", "Control", "Platform"]),
        suite(
            "RepairTests",
            [
                "Repair", "Backends", "Checking", "ChunkIndex", "DiskFormat", "FileModel",
                "Hashing", "Metadata", "NamespaceIndex", "Packs", "Pipeline", "Platform", "Trees",
                "Volume",
            ]),
    ],
    cxxLanguageStandard: .cxx17
)

// The fuzzers need the sanitizers' runtime: only `make fuzz` builds them.
if Context.environment["ASHLAR_FUZZ"] == "1" {
    package.targets += [
        program("decoder-fuzzer", ["FuzzTargets"], path: "Tests/Fuzzers/Decoders"),
        program("store-fuzzer", ["FuzzTargets"], path: "Tests/Fuzzers/Stores"),
        program("stream-fuzzer", ["FuzzTargets"], path: "Tests/Fuzzers/Streams"),
    ]
}

// What `make bench-instructions` counts the instructions of.
if Context.environment["ASHLAR_STAGES"] == "1" {
    package.targets.append(
        .executableTarget(
            name: "stage-benchmarks",
            dependencies: [
                "Backends", "ChunkIndex", "Chunking", "Compression", "DiskFormat", "Hashing",
                "Metadata", "Pipeline", "Trees",
            ], path: "Benchmarks/Stages", swiftSettings: strict))
}
