/// Reading the kernel's own small files (/proc, /sys). They report no size, and are not part of any
/// store: hence not by way of `SystemCalls`.
import Glibc

private let smallFileStepBytes = 16 << 10

/// Reads at most `limitBytes` from the beginning of the file at `path`, an absolute path.
public func readSmallFile(_ path: String, limitBytes: Int) throws(Errno) -> [UInt8] {
    let file = try checked { open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) }
    defer { close(file) }
    var bytes: [UInt8] = []
    var have = 0
    while have < limitBytes {
        // Most are far shorter than what a caller would take.
        if have == bytes.count {
            let more = min(limitBytes - have, max(smallFileStepBytes, have))
            bytes += [UInt8](repeating: 0, count: more)
        }
        var failure: Errno?
        let got = bytes.withUnsafeMutableBytes { buffer -> Int in
            do throws(Errno) {
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[have...])
                return try checked { read(file, rest.baseAddress, rest.count) }
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        if got == 0 { break }
        have += got
    }
    bytes.removeSubrange(have...)
    return bytes
}
