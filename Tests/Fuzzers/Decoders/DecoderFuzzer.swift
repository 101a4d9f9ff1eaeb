/// libFuzzer over every decoder of the disk format: whatever the bytes are, the answer is a value or a
/// `FormatError`. Built by `make fuzz` alone (ASHLAR_FUZZ=1), since it needs the sanitizers' runtime.
import FuzzTargets

/// The driver of libFuzzer, which comes with the compiler's runtime.
@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

@main
enum DecoderFuzzer {
    static func main() {
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        _ = runDriver(&count, &arguments) { start, length in
            // Only a trap, or a read beyond the bytes, is a finding.
            _ = DecoderTarget.run(UnsafeRawBufferPointer(start: start, count: length))
            return 0
        }
    }
}
