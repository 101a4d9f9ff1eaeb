/// libFuzzer over every decoder of the disk format that takes bytes alone: whatever the bytes are, the
/// answer is a value or a `FormatError`. The first byte of an input chooses the decoder.
///
/// Built by `make fuzz` alone (ASHLAR_FUZZ=1), since it needs the sanitizers' runtime.
import DiskFormat

/// The driver of libFuzzer, which comes with the compiler's runtime.
@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

func decode(_ kind: UInt8, _ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    switch kind % 8 {
    case 0: _ = try AttributeSet(bytes)
    case 1: _ = try Commit(bytes)
    case 2: _ = try PackHeader(bytes)
    case 3: _ = try RecipeNode(bytes)
    case 4: _ = try RootImage(bytes)
    case 5: _ = try SnapshotImage(bytes)
    case 6: _ = try TreeNode(bytes)
    default: _ = try DirectoryNode(bytes)
    }
}

@main
enum DecoderFuzzer {
    static func main() {
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        _ = runDriver(&count, &arguments) { start, length in
            let input = UnsafeRawBufferPointer(start: start, count: length)
            guard let kind = input.first else { return 0 }
            // A refusal is an answer; only a trap, or a read beyond the bytes, is a finding.
            try? decode(kind, UnsafeRawBufferPointer(rebasing: input.dropFirst()))
            return 0
        }
    }
}
