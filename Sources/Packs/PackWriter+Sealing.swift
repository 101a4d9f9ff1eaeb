/// Ends a pack: table and trailer, with a synchronisation before, between and behind them.
import Backends
import DiskFormat
import Platform

extension PackWriter {
    /// Writes the table and the trailer and makes all durable; returns the sealed pack's bytes.
    /// The records and the table are made durable before the trailer is written, so that a valid
    /// trailer proves that they were: a table that is damaged before a valid trailer was not torn by a
    /// power cut. A pack that is sealed already is left alone. Fails like `appendAll` and
    /// `synchronize`; `resumeSealing` may then seal it at `durablePosition`.
    @discardableResult
    public func seal() throws(PackError) -> UInt64 {
        let isDone = try state.withLock { (state) throws(PackError) -> Bool in
            if state.isSealed && !state.isBroken { return true }
            try checkOpen(state)
            return false
        }
        if isDone { return position }
        if durablePosition < position { try synchronize() }
        let tableOffset = position
        try state.withLock { (state) throws(PackError) in
            try checkOpen(state)
            try writeTable(&state)
        }
        try synchronize()
        CrashPoint.tableWritten.pass()
        try state.withLock { (state) throws(PackError) in
            try checkOpen(state)
            try writeTrailer(&state, tableOffset: tableOffset)
            state.isSealed = true
        }
        CrashPoint.trailerWritten.pass()
        try synchronize()
        return position
    }

    private func writeTable(_ state: inout State) throws(PackError) {
        let offset = state.position
        let body = PackTable(entries: state.entries).encoded()
        let count = UInt32(state.entries.count)
        let end = try body.borrowing { (bytes) throws(PackError) -> UInt64 in
            let record = PendingRecord(
                kind: .packTable, parts: [bytes], rawBytes: UInt32(bytes.count), itemCount: count,
                checksum: BodyChecksum(of: bytes))
            let layout = try layOut([record], from: offset)
            do throws(BackendError) {
                try write([record], layout, at: offset)
            } catch {
                state.isBroken = true
                throw .backend(error, pack: id)
            }
            return layout.end
        }
        state.position = end
    }

    private func writeTrailer(
        _ state: inout State, tableOffset: UInt64
    ) throws(PackError) {
        let trailer = PackTable.encodedTrailer(
            tableOffset: tableOffset, secret: header.parameters.secret, pack: id)
        let end = state.position + UInt64(trailer.count)
        do throws(BackendError) {
            try trailer.borrowing { (bytes) throws(BackendError) in
                try file.write([bytes], at: state.position)
            }
            // Gives back what was reserved and not used.
            if isPreallocated { try file.truncate(to: end) }
        } catch {
            state.isBroken = true
            throw .backend(error, pack: id)
        }
        state.position = end
    }

    /// Ends a pack that its writer could not: cuts what lies behind `validEnd`, and seals it.
    ///
    /// - Parameters:
    ///   - validEnd: where the last record that counts ends (or 4096 for none): after an unclean end
    ///     that of the last valid commit. A table whose trailer is missing is replaced.
    ///   - parameters: the store's, where a damaged header may be written anew: a power cut may have
    ///     torn it though all records behind it arrived. nil: such a pack is refused.
    /// - Returns: the sealed pack's bytes.
    /// - Throws: `sealed` for a pack with a valid trailer, `format` where `validEnd` lies within a
    ///   record or behind the end.
    @discardableResult
    public static func resumeSealing(
        _ id: PackID, in backend: any Backend, expecting store: StoreIdentity?, validEnd: UInt64,
        restoringHeaderBy parameters: StoreParameters? = nil
    ) throws(PackError) -> UInt64 {
        let reader: PackReader
        if let parameters {
            reader = try PackReader(salvaging: id, in: backend, parameters: parameters)
        } else {
            reader = try PackReader(id, in: backend, expecting: store)
        }
        try checkWritable(reader.header.parameters.features, id)
        if try reader.tableOffset() != nil { throw .sealed(pack: id) }
        let (entries, end) = try reader.entries(upTo: validEnd)
        var header = reader.header
        if reader.headerDamage != nil {
            // What it was for shows in what is in it.
            let holdsCopies = entries.contains { $0.flags.contains(.copy) }
            header.role = holdsCopies ? .copies : .main
        }
        let file: any BackendFile
        do throws(BackendError) {
            file = try backend.openFile(id.fileName, writable: true)
            if reader.headerDamage != nil {
                try header.encoded().borrowing { (bytes) throws(BackendError) in
                    try file.write([bytes], at: 0)
                }
            }
            try file.truncate(to: end)
        } catch {
            throw .backend(error, pack: id)
        }
        let writer = PackWriter(
            header: header, backend: backend, file: file, isPreallocated: false,
            state: State(entries: entries, position: end))
        return try writer.seal()
    }
}
