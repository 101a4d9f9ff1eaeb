/// libFuzzer over snapshots and differences as files: changed at will, with right checksums or without,
/// they are opened, verified, imported and applied. Built by `make fuzz` alone (ASHLAR_FUZZ=1).
import FuzzTargets
import Glibc

/// The driver of libFuzzer, which comes with the compiler's runtime.
@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

@main
enum StreamFuzzer {
    /// Bytes of a file that an input may make, whatever size it claims.
    private static let fileBytesMax: rlim_t = 64 << 20

    /// Made before the first input; one call at a time uses it.
    nonisolated(unsafe) private static let target: StreamTarget = {
        do {
            return try StreamTarget()
        } catch {
            fatalError("the files to begin with could not be made: \(error)")
        }
    }()

    static func main() {
        _ = target
        atexit { StreamFuzzer.target.removeScratch() }
        var limit = rlimit(rlim_cur: fileBytesMax, rlim_max: fileBytesMax)
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
        signal(SIGXFSZ, SIG_IGN)
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        _ = runDriver(&count, &arguments) { start, length in
            let input = UnsafeRawBufferPointer(start: start, count: length)
            if let complaint = StreamFuzzer.target.run(input) { fatalError(complaint) }
            return 0
        }
    }
}
