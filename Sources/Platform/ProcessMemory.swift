/// The process's own memory: how much it is, and how the allocator is kept from hoarding it.
import CLinux
import Glibc

/// Memory of this process. Any thread; the settings are made once, before threads exist.
public enum ProcessMemory {
    /// Bytes resident in RAM (VmRSS), from /proc/self/statm. Costs a few microseconds.
    public static func residentBytes() throws(Errno) -> UInt64 {
        // "size resident shared text lib data dt", in pages.
        let fields = try readSmallFile("/proc/self/statm", limitBytes: 256)
            .split(separator: UInt8(ascii: " "))
        guard fields.count >= 2, let pages = UInt64(String(decoding: fields[1], as: UTF8.self))
        else { throw .invalidArgument }
        return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// Bytes of RAM of the machine; nil where the system does not say.
    public static func machineBytes() -> UInt64? {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        guard pages > 0 else { return nil }
        return UInt64(pages) * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// At most this many malloc arenas. False where the allocator refuses.
    public static func limitArenas(_ arenasMax: Int32) -> Bool {
        ashlar_malloc_limit_arenas(arenasMax)
    }

    /// Allocations of at least this size are mapped, and given back to the kernel when freed.
    public static func mapAllocations(from bytes: Int) -> Bool {
        bytes >= 0 && ashlar_malloc_map_threshold(bytes)
    }

    /// Gives free memory of the allocator back to the kernel; whether there was any.
    @discardableResult
    public static func trim() -> Bool {
        ashlar_malloc_trim()
    }
}
