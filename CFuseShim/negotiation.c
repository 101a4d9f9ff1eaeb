// The kernel features that libfuse 3.14 does not know, by way of its custom-I/O hook.
//
// libfuse lets a filesystem replace the read and the write of the device. We keep the plain system
// calls and look at what passes:
//
//  - INIT's reply: libfuse 3.14 copies the flags it knows from `conn->want` (and forgets
//    FUSE_PARALLEL_DIROPS and FUSE_HANDLE_KILLPRIV even of those). The whole set is written here
//    instead, from what the kernel offered, so that one function (`flags_for`) is the policy.
//  - FUSE_HANDLE_KILLPRIV_V2: the kernel then tells by request whether set-id bits go (WRITE,
//    SETATTR) and asks GETXATTR security.capability once a file instead of before each write.
//    libfuse masks those request flags away, so they are taken from the raw request: it is read
//    and served by the same thread.
//  - FUSE_SETXATTR_EXT: says when setting an ACL clears setgid; the request's layout depends on it,
//    so SETXATTR is parsed from the raw request, whatever this libfuse believes the layout to be.
//  - FUSE_OVER_IO_URING: requests come by rings (rings.c), whose replies leave libfuse here.
//  - STATX (protocol 7.39) is turned into the GETATTR that it extends: same body, longer reply.
#include "internal.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPCODE_STATX = 52 };
/// Protocol 7.42.
static const uint64_t OVER_IO_URING = 1ULL << 41;

_Thread_local struct request_extra current_request;

static uint64_t flags_for(const AshlarFuseSession *session) {
    uint64_t wanted = FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_DONT_MASK |
        FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS |
        FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_NO_OPEN_SUPPORT |
        FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA | FUSE_HANDLE_KILLPRIV_V2 |
        FUSE_SETXATTR_EXT | FUSE_INIT_EXT;
    // Absent on purpose: FUSE_ATOMIC_O_TRUNC (without OPEN nobody would truncate),
    // FUSE_ASYNC_DIO (a direct write that is waited for later leaves in the page cache what others
    // read meanwhile, for good: Linux 6.18), FUSE_AUTO_INVAL_DATA (one writer: the kernel sees every change), FUSE_POSIX_LOCKS and
    // FUSE_FLOCK_LOCKS (the kernel's own never block the daemon), splice, and
    // FUSE_HANDLE_KILLPRIV (would take set-id bits from root's writes as well).
    if (session->options.access_lists) wanted |= FUSE_POSIX_ACL;
    if (session->options.writeback_cache) wanted |= FUSE_WRITEBACK_CACHE;
    if (session->rings) wanted |= OVER_IO_URING;
    return wanted & session->init_offered;
}

static void remember_init(AshlarFuseSession *session, const struct fuse_in_header *header) {
    const struct fuse_init_in *init = (const void *)(header + 1);
    session->init_unique = header->unique;
    session->init_offered = init->flags;
    if (header->len >= sizeof(*header) + sizeof(*init) && (init->flags & FUSE_INIT_EXT))
        session->init_offered |= (uint64_t)init->flags2 << 32;
}

static void amend_init_reply(AshlarFuseSession *session, struct fuse_init_out *reply) {
    if (session->options.use_rings && (session->init_offered & OVER_IO_URING) &&
        !ashlar_fuse_rings_make(session))
        fuse_log(FUSE_LOG_WARNING, "no rings can be made: requests come through the device\n");
    uint64_t flags = flags_for(session);
    reply->flags = (uint32_t)flags;
    reply->flags2 = (uint32_t)(flags >> 32);
    reply->max_readahead = ASHLAR_FUSE_TRANSFER_BYTES_MAX;
    atomic_store(&session->extended_setxattr, (flags & FUSE_SETXATTR_EXT) != 0);
}

void ashlar_fuse_note_request(AshlarFuseSession *session, void *request) {
    struct fuse_in_header *header = request;
    current_request.raw = request;
    current_request.is_statx = false;
    if (header->opcode < ASHLAR_FUSE_OPCODE_COUNT)
        atomic_fetch_add_explicit(&session->counts[header->opcode], 1, memory_order_relaxed);
    switch (header->opcode) {
    case FUSE_INIT:
        remember_init(session, header);
        break;
    case FUSE_SETATTR:
        current_request.setattr_valid = ((const struct fuse_setattr_in *)(header + 1))->valid;
        break;
    case OPCODE_STATX:
        // `struct fuse_statx_in` begins with a `struct fuse_getattr_in`.
        current_request.is_statx = true;
        header->opcode = FUSE_GETATTR;
        break;
    default:
        break;
    }
}

// A cancellation point, as libfuse's loop expects of it: workers that wait here are cancelled.
static ssize_t read_request(int device, void *buffer, size_t capacity, void *userdata) {
    AshlarFuseSession *session = userdata;
    ashlar_fuse_mark_worker();
    ssize_t length = read(device, buffer, capacity);
    if (length >= (ssize_t)sizeof(struct fuse_in_header)) ashlar_fuse_note_request(session, buffer);
    return length;
}

/// Whether this is the answer to INIT, which says what was agreed.
static bool is_init_reply(
    const AshlarFuseSession *session, const struct iovec *parts, int count) {
    if (atomic_load_explicit(&session->init_answered, memory_order_acquire)) return false;
    const struct fuse_out_header *header = parts[0].iov_base;
    return count > 1 && header->unique == session->init_unique && header->error == 0 &&
        parts[1].iov_len >= sizeof(struct fuse_init_out);
}

static ssize_t write_reply(int device, struct iovec *parts, int count, void *userdata) {
    AshlarFuseSession *session = userdata;
    const struct fuse_out_header *header = parts[0].iov_base;
    if (ashlar_fuse_ring_takes_reply(parts, count)) {
        // It leaves with the thread's next wait; see quiet.c.
        atomic_fetch_add_explicit(&session->replies, 1, memory_order_release);
        return header->len;
    }
    bool answers_init = is_init_reply(session, parts, count);
    if (answers_init) {
        amend_init_reply(session, parts[1].iov_base);
        atomic_store_explicit(&session->init_answered, true, memory_order_release);
    }
    ssize_t written = writev(device, parts, count);
    // Notifications have no number. Counted behind the write: what it set off is queued by then.
    if (header->unique) atomic_fetch_add_explicit(&session->replies, 1, memory_order_release);
    if (answers_init && written > 0 && session->rings) ashlar_fuse_rings_open(session);
    return written;
}

int ashlar_fuse_install_io(AshlarFuseSession *session) {
    // Without the two splice functions libfuse never splices: a pipe costs more than a copy here.
    static const struct fuse_custom_io io = {.writev = write_reply, .read = read_request};
    int result = fuse_session_custom_io(session->fuse, &io, session->device);
    return result < 0 ? -result : result;
}
