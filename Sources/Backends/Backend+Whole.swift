import Platform

extension Backend {
    /// `readWhole` by way of a handle: the size is checked before memory is taken for it.
    func readWholeByHandle(_ name: String, limitBytes: Int) throws(BackendError) -> [UInt8] {
        let file = try openFile(name, writable: false)
        let size = try file.size()
        guard let count = Int(exactly: size), count <= limitBytes else {
            throw .system(name: name, code: Errno.fileTooLarge.rawValue, call: "readWhole")
        }
        var bytes = [UInt8](repeating: 0, count: count)
        let result: Result<Int, BackendError> = bytes.withUnsafeMutableBytes { buffer in
            do throws(BackendError) {
                return .success(try file.read(at: 0, into: buffer))
            } catch {
                return .failure(error)
            }
        }
        // Less than its size when somebody cut it meanwhile.
        bytes.removeSubrange(try result.get()...)
        return bytes
    }
}
