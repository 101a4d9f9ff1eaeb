/// # Packs: append-only files of records
///
/// Purpose: write records to a pack, find them again, and never take anything else for one.
/// What a record's body means is the business of those above; what its bytes look like, of
/// `DiskFormat`; where they lie, of `Backends`.
///
/// Words: a *pack* is a file of records behind a header of 4 KiB; a *sealed* one ends with the table
/// of its records and a trailer; a *torn tail* is what an unclean end leaves behind the last valid
/// record; *damage* is a range that cannot be read as records though something valid lies behind.
///
/// Invariants:
/// 1. A record is written by one write, together with all records of the same call; the writer's
///    position moves only when that write has succeeded.
/// 2. A writer that has failed once, in writing or synchronising, writes no more (DESIGN §5.2).
/// 3. A pack has a valid trailer only if all its records were durable before the trailer was
///    written: sealing synchronises twice. Hence what is bad in a sealed pack is damage, never torn.
/// 4. No body leaves a reader unverified; lengths are compared with the file's before memory is
///    taken for them.
/// 5. A header counts only with the checksum keyed by store, pack and offset (DESIGN §5.2): neither
///    stale bytes nor a user's file that contains a pack is ever taken for a record.
///
/// Threads: `PackReader` may be used from any thread, `PackWriter` as said there; `PackScanner` is
/// a value of one thread.
import Backends
import DiskFormat

/// Why a pack could not be written or read. Offsets are bytes from the pack's beginning.
public enum PackError: Error, Equatable, Sendable {
    /// The backend refused.
    case backend(BackendError, pack: PackID)
    /// The bytes at `offset` are not what they should be: damage, a torn tail, or no record.
    case format(FormatError, pack: PackID, offset: UInt64)
    /// The file of that name is another pack, by its header.
    case otherPack(pack: PackID, found: PackID)
    /// The pack is of another store (by id or secret).
    case otherStore(pack: PackID, found: UniqueID)
    /// The pack has reached its size or number of records: seal it and begin another.
    case full(pack: PackID)
    /// A body of so many bytes is longer than a record may be.
    case tooLong(pack: PackID, bytes: UInt64)
    /// An earlier write or synchronisation failed. All records that end at or before `durable`
    /// are safe; those behind it have to be written anew to another pack.
    case broken(pack: PackID, durable: UInt64)
    /// The pack is sealed: nothing can be added.
    case sealed(pack: PackID)
}

extension [UInt8] {
    /// The bytes for change, borrowed, with typed errors.
    mutating func mutating<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeMutableBufferPointer { (bytes) throws(Failure) in
            try body(UnsafeMutableRawBufferPointer(bytes))
        }
    }
}
