/// CFuseShim: libfuse 3's low-level interface behind plain C types.
///
/// Swift imports this header only; libfuse's own headers (bit fields, version macros, variadics)
/// stay inside the .c files. Requests arrive on libfuse's threads, or on those of the rings
/// (rings.c), and are handed to the
/// `ashlarFuse…` functions at the end of this header, which the module Mount implements in Swift
/// (`@c @implementation`). Each of those answers its request with exactly one `reply` function, on
/// the same thread, before it returns.
///
/// Why C at all: the operations table, the negotiation of kernel features that libfuse 3.14 does
/// not know (negotiation.c), requests by io_uring (rings.c), signal handlers, and thread-local reply buffers.
///
/// Invariants:
///  - no request has an open-file handle: OPEN, OPENDIR, CREATE and FLUSH are answered ENOSYS, once
///    each, after which the kernel opens, creates (by MKNOD) and closes without asking;
///  - O_TRUNC therefore arrives as SETATTR (atomic_o_trunc is never negotiated);
///  - errors are positive errno values; sizes and offsets are bytes.
#ifndef ASHLAR_CFUSESHIM_H
#define ASHLAR_CFUSESHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// A mount and its connection to the kernel.
typedef struct AshlarFuseSession AshlarFuseSession;
/// A request that waits for its reply.
typedef struct AshlarFuseRequest AshlarFuseRequest;

enum {
    /// The largest READ and WRITE, in bytes; also the read-ahead asked for.
    ASHLAR_FUSE_TRANSFER_BYTES_MAX = 1 << 20,
    /// Opcodes below this number are counted.
    ASHLAR_FUSE_OPCODE_COUNT = 64,
    /// Sessions of a process that may handle signals at a time.
    ASHLAR_FUSE_SIGNAL_SESSIONS_MAX = 256,
    /// `ashlar_fuse_session_run`: ended by `ashlar_fuse_session_request_exit`.
    ASHLAR_FUSE_END_REQUESTED = 1 << 16,
};

/// Flags of a mount; independent of the values of MS_* in the system's headers.
enum {
    ASHLAR_FUSE_MOUNT_READ_ONLY = 1 << 0,
    ASHLAR_FUSE_MOUNT_NO_SETUID = 1 << 1,
    ASHLAR_FUSE_MOUNT_NO_DEVICES = 1 << 2,
    ASHLAR_FUSE_MOUNT_NO_EXECUTION = 1 << 3,
    ASHLAR_FUSE_MOUNT_SYNCHRONOUS = 1 << 4,
    ASHLAR_FUSE_MOUNT_DIRECTORY_SYNCHRONOUS = 1 << 5,
    ASHLAR_FUSE_MOUNT_NO_ACCESS_TIME = 1 << 6,
    ASHLAR_FUSE_MOUNT_NO_DIRECTORY_ACCESS_TIME = 1 << 7,
    ASHLAR_FUSE_MOUNT_RELATIVE_ACCESS_TIME = 1 << 8,
    ASHLAR_FUSE_MOUNT_STRICT_ACCESS_TIME = 1 << 9,
    ASHLAR_FUSE_MOUNT_LAZY_TIME = 1 << 10,
};

/// How to mount. Strings are copied.
typedef struct {
    const char *source;
    const char *mountpoint;
    /// ASHLAR_FUSE_MOUNT_*.
    uint32_t mount_flags;
    bool allow_other;
    bool clone_fd;
    bool writeback_cache;
    /// POSIX access control lists, checked by the kernel.
    bool access_lists;
    bool debug;
    /// Requests come by io_uring where the kernel offers that; threads_max is then rounded up to a
    /// multiple of the processors.
    bool use_rings;
    /// SIGTERM, SIGINT and SIGHUP end the loop, of all sessions that ask for that.
    bool handle_signals;
    uint32_t threads_max;
    uint32_t idle_threads_max;
    uint64_t entry_timeout_nanoseconds;
    uint64_t attribute_timeout_nanoseconds;
} AshlarFuseOptions;

/// What stat(2) answers; times are seconds and nanoseconds since 1970.
typedef struct {
    uint64_t inode;
    uint64_t generation;
    uint64_t size;
    /// In units of 512 bytes.
    uint64_t blocks;
    int64_t access_seconds;
    int64_t modification_seconds;
    int64_t change_seconds;
    int64_t birth_seconds;
    uint32_t access_nanoseconds;
    uint32_t modification_nanoseconds;
    uint32_t change_nanoseconds;
    uint32_t birth_nanoseconds;
    uint32_t mode;
    uint32_t links;
    uint32_t user;
    uint32_t group;
    uint32_t device_major;
    uint32_t device_minor;
    uint32_t block_bytes;
} AshlarFuseAttributes;

/// Bits of `AshlarFuseAttributeChange.valid` (the kernel's FATTR_*).
enum {
    ASHLAR_FUSE_SET_MODE = 1 << 0,
    ASHLAR_FUSE_SET_USER = 1 << 1,
    ASHLAR_FUSE_SET_GROUP = 1 << 2,
    ASHLAR_FUSE_SET_SIZE = 1 << 3,
    ASHLAR_FUSE_SET_ACCESS_TIME = 1 << 4,
    ASHLAR_FUSE_SET_MODIFICATION_TIME = 1 << 5,
    ASHLAR_FUSE_SET_ACCESS_NOW = 1 << 7,
    ASHLAR_FUSE_SET_MODIFICATION_NOW = 1 << 8,
    ASHLAR_FUSE_SET_CHANGE_TIME = 1 << 10,
    ASHLAR_FUSE_SET_DROP_PRIVILEGES = 1 << 11,
};

/// What SETATTR asks for.
typedef struct {
    uint32_t valid;
    uint32_t mode;
    uint32_t user;
    uint32_t group;
    uint64_t size;
    int64_t access_seconds;
    int64_t modification_seconds;
    int64_t change_seconds;
    uint32_t access_nanoseconds;
    uint32_t modification_nanoseconds;
    uint32_t change_nanoseconds;
} AshlarFuseAttributeChange;

/// Who asks.
typedef struct {
    uint32_t user;
    uint32_t group;
    int32_t process;
    uint32_t umask;
} AshlarFuseCaller;

/// What statfs(2) answers, in blocks.
typedef struct {
    uint64_t blocks;
    uint64_t blocks_free;
    uint64_t blocks_available;
    uint64_t files;
    uint64_t files_free;
    uint32_t block_bytes;
    uint32_t name_bytes_max;
} AshlarFuseUsage;

// MARK: sessions (session.c, mounting.c)

/// Makes a session that is not mounted; NULL with `*error` set. `context` goes to every callback
/// and must outlive the session.
AshlarFuseSession *_Nullable ashlar_fuse_session_new(
    const AshlarFuseOptions *options, void *context, int *error);
/// Mounts: by mount(2), or by fusermount3 where that is not permitted. 0 or errno.
int ashlar_fuse_session_mount(AshlarFuseSession *session);
/// Serves requests until the kernel ends the connection (0), a signal came (its number), somebody
/// asked (ASHLAR_FUSE_END_REQUESTED), or the loop failed (-errno). The connection is closed then:
/// whoever still uses the mount gets ENOTCONN.
int ashlar_fuse_session_run(AshlarFuseSession *session);
/// Ends the loop as SIGTERM would: unmounts if nobody uses the mount, else has the kernel write
/// back what it still holds, and leaves. Any thread; returns at once.
void ashlar_fuse_session_request_exit(AshlarFuseSession *session);
/// Detaches the mount if it still is at its mountpoint (whatever else was mounted there since
/// stays). 0 or errno.
int ashlar_fuse_session_unmount(AshlarFuseSession *session);
/// Frees the session; its loop must have ended. Leaves a mount that was not unmounted dead.
void ashlar_fuse_session_destroy(AshlarFuseSession *session);
/// Requests of an opcode received so far.
uint64_t ashlar_fuse_session_count(const AshlarFuseSession *session, uint32_t opcode);
/// Whether requests come by io_uring; false before INIT is answered.
bool ashlar_fuse_session_uses_rings(const AshlarFuseSession *session);
/// Changes the flags of a mounted filesystem (mount -o remount). 0 or errno.
int ashlar_fuse_remount(const char *mountpoint, uint32_t mount_flags);

/// Drops a cached name; `name` ends with a NUL that `length` does not count. 0 or errno. Blocks
/// while a request on that directory is under way: never call it from a callback.
int ashlar_fuse_invalidate_entry(
    AshlarFuseSession *session, uint64_t parent, const void *name, size_t length);
/// Drops cached attributes and pages: offset < 0 attributes only; length 0 up to the end. As above.
int ashlar_fuse_invalidate_inode(
    AshlarFuseSession *session, uint64_t inode, int64_t offset, int64_t length);

/// Starts a thread named `name` (15 bytes at most), signals blocked, that runs
/// `ashlarFuseThreadMain(context)`. 0 or errno; `*thread` is for `ashlar_fuse_thread_join`.
int ashlar_fuse_thread_start(const char *name, void *context, uint64_t *thread);
void ashlar_fuse_thread_join(uint64_t thread);

// MARK: replies (replies.c): 0, or the errno with which the kernel refused (ENOENT: interrupted)

int ashlar_fuse_reply_error(AshlarFuseRequest *request, int error);
/// An entry; counts one lookup. `attributes` NULL: no such name, which the kernel may cache.
int ashlar_fuse_reply_entry(
    AshlarFuseRequest *request, const AshlarFuseAttributes *_Nullable attributes);
/// Attributes, as GETATTR and SETATTR (or STATX, with the birth time) want them.
int ashlar_fuse_reply_attributes(
    AshlarFuseRequest *request, const AshlarFuseAttributes *attributes);
int ashlar_fuse_reply_bytes(
    AshlarFuseRequest *request, const void *_Nullable bytes, size_t length);
int ashlar_fuse_reply_written(AshlarFuseRequest *request, uint32_t length);
int ashlar_fuse_reply_usage(AshlarFuseRequest *request, const AshlarFuseUsage *usage);
/// The length of an attribute or of the list of their names.
int ashlar_fuse_reply_attribute_length(AshlarFuseRequest *request, uint32_t length);
int ashlar_fuse_reply_position(AshlarFuseRequest *request, uint64_t offset);

/// This thread's reply buffer, at least `length` bytes, page-aligned; freed with the thread. NULL
/// when there is no memory.
void *_Nullable ashlar_fuse_thread_buffer(size_t length);
/// Appends a directory entry at `used`; returns the new length, or 0 when it does not fit.
size_t ashlar_fuse_append_entry(
    void *buffer, size_t capacity, size_t used, const void *name, size_t length, uint64_t inode,
    uint8_t kind, uint64_t next_cookie);
/// The same for READDIRPLUS; with `attributes` the entry counts one lookup.
size_t ashlar_fuse_append_entry_plus(
    AshlarFuseRequest *request, void *buffer, size_t capacity, size_t used, const void *name,
    size_t length, uint64_t inode, uint8_t kind, uint64_t next_cookie,
    const AshlarFuseAttributes *_Nullable attributes);
/// Walks a READDIRPLUS reply: the inode counted by the entry at `*position` (0: none), which is
/// moved behind that entry. Call it while `*position` is less than the reply's length.
uint64_t ashlar_fuse_next_counted_inode(const void *buffer, size_t *position);

// MARK: callbacks, implemented in Swift (Sources/Mount). Names are not NUL-terminated by contract.

void ashlarFuseLookup(
    void *context, AshlarFuseRequest *request, uint64_t parent, const void *name, size_t length);
/// Answers nothing.
void ashlarFuseForget(void *context, uint64_t inode, uint64_t count);
void ashlarFuseGetAttributes(void *context, AshlarFuseRequest *request, uint64_t inode);
void ashlarFuseSetAttributes(
    void *context, AshlarFuseRequest *request, uint64_t inode,
    const AshlarFuseAttributeChange *change, const AshlarFuseCaller *caller);
void ashlarFuseReadLink(void *context, AshlarFuseRequest *request, uint64_t inode);
void ashlarFuseMakeNode(
    void *context, AshlarFuseRequest *request, uint64_t parent, const void *name, size_t length,
    uint32_t mode, uint32_t device_major, uint32_t device_minor, const AshlarFuseCaller *caller);
void ashlarFuseMakeDirectory(
    void *context, AshlarFuseRequest *request, uint64_t parent, const void *name, size_t length,
    uint32_t mode, const AshlarFuseCaller *caller);
void ashlarFuseMakeSymbolicLink(
    void *context, AshlarFuseRequest *request, uint64_t parent, const void *name, size_t length,
    const void *target, size_t target_length, const AshlarFuseCaller *caller);
void ashlarFuseLink(
    void *context, AshlarFuseRequest *request, uint64_t inode, uint64_t parent, const void *name,
    size_t length);
void ashlarFuseUnlink(
    void *context, AshlarFuseRequest *request, uint64_t parent, const void *name, size_t length);
void ashlarFuseRemoveDirectory(
    void *context, AshlarFuseRequest *request, uint64_t parent, const void *name, size_t length);
void ashlarFuseRename(
    void *context, AshlarFuseRequest *request, uint64_t parent, const void *name, size_t length,
    uint64_t new_parent, const void *new_name, size_t new_length, uint32_t flags,
    const AshlarFuseCaller *caller);
void ashlarFuseRead(
    void *context, AshlarFuseRequest *request, uint64_t inode, uint64_t offset, size_t length);
void ashlarFuseWrite(
    void *context, AshlarFuseRequest *request, uint64_t inode, uint64_t offset, const void *bytes,
    size_t length, bool drop_privileges);
void ashlarFuseSynchronize(
    void *context, AshlarFuseRequest *request, uint64_t inode, bool data_only);
void ashlarFuseSynchronizeAll(void *context, AshlarFuseRequest *request);
void ashlarFuseReadDirectory(
    void *context, AshlarFuseRequest *request, uint64_t inode, uint64_t cookie, size_t capacity,
    bool with_attributes);
void ashlarFuseUsage(void *context, AshlarFuseRequest *request);
void ashlarFuseSetExtendedAttribute(
    void *context, AshlarFuseRequest *request, uint64_t inode, const void *name, size_t length,
    const void *value, size_t value_length, uint32_t flags, bool clear_set_group);
/// `capacity` 0 asks for the length only; also in the next one.
void ashlarFuseGetExtendedAttribute(
    void *context, AshlarFuseRequest *request, uint64_t inode, const void *name, size_t length,
    size_t capacity);
void ashlarFuseListExtendedAttributes(
    void *context, AshlarFuseRequest *request, uint64_t inode, size_t capacity,
    const AshlarFuseCaller *caller);
void ashlarFuseRemoveExtendedAttribute(
    void *context, AshlarFuseRequest *request, uint64_t inode, const void *name, size_t length);
void ashlarFuseAllocate(
    void *context, AshlarFuseRequest *request, uint64_t inode, int32_t mode, uint64_t offset,
    uint64_t length, const AshlarFuseCaller *caller);
void ashlarFuseSeek(
    void *context, AshlarFuseRequest *request, uint64_t inode, uint64_t offset, int32_t whence);
void ashlarFuseCopyRange(
    void *context, AshlarFuseRequest *request, uint64_t source, uint64_t offset, uint64_t target,
    uint64_t target_offset, uint64_t length, const AshlarFuseCaller *caller);

/// A thread made by `ashlar_fuse_thread_start`.
void ashlarFuseThreadMain(void *context);
/// A message of libfuse itself, without its newline; `level` as in syslog (3 error … 7 debug).
void ashlarFuseLog(int32_t level, const char *message);

#pragma clang assume_nonnull end

#endif
