/// libFuzzer over whole stores: packs and indexes changed at will, with right checksums or without,
/// are checked, opened, read, repaired and written to. Built by `make fuzz` alone (ASHLAR_FUZZ=1).
import FuzzTargets

/// The driver of libFuzzer, which comes with the compiler's runtime.
@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

@main
enum StoreFuzzer {
    /// Made before the first input; one call at a time uses it.
    nonisolated(unsafe) private static let target: StoreTarget = {
        do {
            return try StoreTarget()
        } catch {
            fatalError("the stores to begin with could not be made: \(error)")
        }
    }()

    static func main() {
        _ = target
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        _ = runDriver(&count, &arguments) { start, length in
            let input = UnsafeRawBufferPointer(start: start, count: length)
            if let complaint = StoreFuzzer.target.run(input) { fatalError(complaint) }
            return 0
        }
    }
}
