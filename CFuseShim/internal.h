// What the shim's files share. Not visible to Swift.
#ifndef ASHLAR_CFUSESHIM_INTERNAL_H
#define ASHLAR_CFUSESHIM_INTERNAL_H

#define FUSE_USE_VERSION 314
#define _FILE_OFFSET_BITS 64
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "CFuseShim.h"

#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/uio.h>

/// Ignored by default and used by nobody: it only interrupts waits, of the loop and of rings.
#define ASHLAR_FUSE_INTERRUPT_SIGNAL SIGURG

struct AshlarFuseSession {
    struct fuse_session *fuse;
    void *context;
    char *source;
    char *mountpoint;
    AshlarFuseOptions options;

    /// The descriptor of the connection (libfuse closes it), -1 before mounting.
    int device;
    bool mounted;
    bool mounted_by_helper;
    /// Of the mount, so that unmounting never hits another one at the same place.
    uint64_t mount_identity;

    /// INIT's number and what it offered; written by the thread that reads INIT, before any other
    /// request exists.
    uint64_t init_unique;
    uint64_t init_offered;
    _Atomic bool init_answered;
    _Atomic bool extended_setxattr;
    /// NULL where requests come through the device only (rings.c). Made by the thread that answers
    /// INIT, freed by the one that has run the loop.
    struct ashlar_fuse_rings *rings;
    _Atomic bool uses_rings;

    /// 0, the first signal, or ASHLAR_FUSE_END_REQUESTED.
    _Atomic int ending;
    _Atomic bool loop_ended;
    pthread_t loop_thread;
    /// Posted when somebody wants the loop to end, and when it has ended.
    sem_t wake;

    _Atomic uint64_t counts[ASHLAR_FUSE_OPCODE_COUNT];
    /// Replies written.
    _Atomic uint64_t replies;
};

/// What libfuse 3.14 loses of the request this thread is serving; see negotiation.c.
struct request_extra {
    /// The request as read: a `struct fuse_in_header` and its body.
    const void *raw;
    uint32_t setattr_valid;
    bool is_statx;
};

extern _Thread_local struct request_extra current_request;
extern const struct fuse_lowlevel_ops ashlar_fuse_operations;

/// Replaces libfuse's reads and writes of the device (negotiation.c).
int ashlar_fuse_install_io(AshlarFuseSession *session);

/// Looks at a request that was read, and counts it (negotiation.c).
void ashlar_fuse_note_request(AshlarFuseSession *session, void *request);

/// Makes rings and their threads, which wait; false where that cannot be (rings.c).
bool ashlar_fuse_rings_make(AshlarFuseSession *session);
/// Lets the threads register their rings: INIT has been answered.
void ashlar_fuse_rings_open(AshlarFuseSession *session);
/// Waits for requests being served, ends the threads, and frees all. Nothing where there are none.
void ashlar_fuse_rings_stop(AshlarFuseSession *session);
/// Takes the reply where the calling thread serves the request of a ring that it belongs to.
bool ashlar_fuse_ring_takes_reply(const struct iovec *parts, int count);
/// Where the reply's body of the request being served will lie, NULL where that is nowhere yet.
void *ashlar_fuse_ring_payload(size_t length);

/// A thread that no signal reaches but ASHLAR_FUSE_INTERRUPT_SIGNAL (session.c).
int ashlar_fuse_start_worker(pthread_t *thread, void *(*body)(void *), void *argument);

/// Names the calling thread as one that reads requests; to be called before each read (quiet.c).
void ashlar_fuse_mark_worker(void);
/// Whether every request that the kernel has handed out or queued is answered (quiet.c).
bool ashlar_fuse_is_quiet(const AshlarFuseSession *session);

/// mounting.c
bool ashlar_fuse_is_mounted(const AshlarFuseSession *session);
/// Closes the connection without giving up its descriptor number, which libfuse will close.
void ashlar_fuse_disconnect(AshlarFuseSession *session);
/// The options as libfuse's parser (and fusermount3) want them; NULL without memory.
char *ashlar_fuse_helper_options(const AshlarFuseOptions *options);

static inline fuse_req_t native(AshlarFuseRequest *request) {
    return (fuse_req_t)request;
}

#endif
