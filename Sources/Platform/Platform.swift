/// # Platform: Linux, threads and memory for everything above
///
/// What the layers above need of the machine and nothing of what they do with it:
/// - `SystemCalls`: the one narrow way to files, which tests replace to inject faults and to record;
/// - `PlatformThread`, `ConditionMutex`, `WorkerPool`: named pthreads with bounded queues. Swift
///   concurrency is not used: these threads may block;
/// - `BufferPool`: page-aligned memory that is used again;
/// - clocks, random bytes, the process's own memory, daemonising.
///
/// Invariants:
/// 1. An error number is read directly behind the call that failed, before any other code runs.
/// 2. Every queue and every pool has a bound.
/// 3. No state is shared without a lock; what is `@unchecked Sendable` says why it is safe.
///
/// Errors are the system's own (`Errno`); those of thread creation included.
@_exported import struct SystemPackage.Errno
