/// Clocks. No clock decides correctness (DESIGN §3.8): they time waits and date what people read.
import Glibc

/// Nanoseconds of CLOCK_MONOTONIC: only differences mean something. Any thread.
public func monotonicNanoseconds() -> UInt64 {
    var now = timespec()
    succeed(clock_gettime(CLOCK_MONOTONIC, &now))
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

/// The time of day: seconds since 1970 UTC (negative before) and 0..<1,000,000,000 nanoseconds.
public func wallClock() -> (seconds: Int64, nanoseconds: UInt32) {
    var now = timespec()
    succeed(clock_gettime(CLOCK_REALTIME, &now))
    return (Int64(now.tv_sec), UInt32(now.tv_nsec))
}

/// Sleeps at least so long, signals notwithstanding.
public func sleepNanoseconds(_ nanoseconds: UInt64) {
    let end = monotonicNanoseconds().addingReportingOverflow(nanoseconds)
    var until = timespec(
        tv_sec: end.overflow ? Int.max : Int(end.partialValue / 1_000_000_000),
        tv_nsec: end.overflow ? 0 : Int(end.partialValue % 1_000_000_000))
    while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nil) == EINTR {}
}

/// The time of day as filesystems stamp files with it: no file that changes from now on gets an
/// earlier time of change.
public func stampClock() -> (seconds: Int64, nanoseconds: UInt32) {
    var now = timespec()
    succeed(clock_gettime(CLOCK_REALTIME_COARSE, &now))
    return (Int64(now.tv_sec), UInt32(now.tv_nsec))
}
