// swift-tools-version: 6.2
import PackageDescription

// How fast Ashlar is beside others: `make bench`, docs/PERFORMANCE.md. A package of its own, since
// nothing of it is needed to build or use Ashlar, and it uses Ashlar as users do, by its programs.

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
    name: "ashlar-benchmarks",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0")
    ],
    targets: [
        .target(name: "BenchmarkKit", swiftSettings: strict),
        .target(
            name: "CGnu",
            cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
        .executableTarget(
            name: "ashlar-benchmarks",
            dependencies: [
                "BenchmarkKit", "CGnu",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: strict),
        .testTarget(
            name: "BenchmarkKitTests", dependencies: ["BenchmarkKit"], swiftSettings: strict),
    ]
)
