// Requests by io_uring (FUSE_OVER_IO_URING, Linux 6.14) instead of read(2) and write(2) of the device.
//
// The kernel has a queue for each processor, and gives a request to the queue of the processor on
// which it is asked. Each of our threads is bound to one processor, and owns one ring with one entry:
// the buffers of one request and its reply. A thread that waits for work is therefore on the
// processor that its client is about to leave, which is far cheaper to switch to than another one is
// to wake, and one system call hands over a reply and fetches the next request. There are several
// threads for each queue, since a handler may wait (for a commit, for space); the kernel takes the
// one that has become free last.
//
// What arrives is laid out as read(2) would give it and goes through libfuse like any other request;
// the reply is caught where libfuse writes it (negotiation.c). Forgets, interrupts and notifications
// still go through the device, and so does everything where the kernel offers no rings
// (fuse.enable_uring is off) or they cannot be made.
//
// Order of events: the rings are made before INIT is answered, for the answer promises them, and the
// kernel holds all requests back until each queue has an entry; the threads register once it has been
// written, and end with the connection or when they are stopped. The first requests are not served
// before all have registered: the kernel gives a request that found its queue's entries taken to one
// that becomes free, never to one that is registered meanwhile, so it would wait for a handler.
//
// Where the kernel refuses a registration (the parameter was switched off between its offer and our
// answer), it goes on by the device, and so do we.
#include "internal.h"

#include <errno.h>
#include <liburing.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// MARK: the kernel's interface, which Debian 12's linux/fuse.h does not declare yet (protocol 7.42)

enum { HEADER_BYTES = 128 };

struct ring_entry_state {
    uint64_t flags;
    uint64_t commit_id;
    uint32_t payload_bytes;
    uint32_t padding;
    uint64_t reserved;
};

/// A request's head and the first part of its body; then a reply's head.
struct ring_entry_header {
    char in_out[HEADER_BYTES];
    char body[HEADER_BYTES];
    struct ring_entry_state state;
};
_Static_assert(sizeof(struct ring_entry_header) == 288, "struct fuse_uring_req_header");

struct ring_command {
    uint64_t flags;
    uint64_t commit_id;
    uint16_t queue;
    uint8_t padding[6];
};

enum { COMMAND_REGISTER = 1, COMMAND_COMMIT_AND_FETCH = 2 };

// MARK: what there is of ours

enum {
    PAGE_BYTES = 4096,
    /// Beyond that many processors (those that may be plugged in, too) there are no rings.
    PROCESSORS_MAX = 512,
    STOP_POLL_NANOSECONDS = 1000000,
};

struct ring_thread {
    AshlarFuseSession *session;
    pthread_t thread;
    bool thread_runs;
    unsigned processor;
    struct io_uring ring;
    struct ring_entry_header *header;
    /// A page for heads, so that a request lies in one piece, and the payload.
    char *space;
    struct iovec parts[2];

    /// Of the request being served.
    uint64_t unique;
    bool can_lend_payload;
    bool is_replied;
};

struct ashlar_fuse_rings {
    unsigned count;
    struct ring_thread *threads;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /// Under the lock: threads that have made their ring, and registered it; and those that could not.
    unsigned made;
    unsigned registered;
    unsigned failed;
    bool is_open;
    _Atomic bool is_settled;
    _Atomic bool is_stopping;
    _Atomic unsigned running;
};

/// The ring whose request this thread serves.
static _Thread_local struct ring_thread *current_ring;

static char *payload_of(const struct ring_thread *ring) {
    return ring->space + PAGE_BYTES;
}

// MARK: replies

bool ashlar_fuse_ring_takes_reply(const struct iovec *parts, int count) {
    struct ring_thread *ring = current_ring;
    const struct fuse_out_header *header = parts[0].iov_base;
    if (!ring || header->unique != ring->unique) return false;
    memcpy(ring->header->in_out, header, sizeof(*header));
    char *target = payload_of(ring);
    size_t used = 0;
    for (int i = 1; i < count; i++) {
        if (used + parts[i].iov_len > ASHLAR_FUSE_TRANSFER_BYTES_MAX) abort();
        // A read was made into its place.
        if (parts[i].iov_base != target + used)
            memmove(target + used, parts[i].iov_base, parts[i].iov_len);
        used += parts[i].iov_len;
    }
    ring->header->state.payload_bytes = (uint32_t)used;
    ring->is_replied = true;
    return true;
}

void *ashlar_fuse_ring_payload(size_t length) {
    struct ring_thread *ring = current_ring;
    if (!ring || !ring->can_lend_payload || length > ASHLAR_FUSE_TRANSFER_BYTES_MAX) return NULL;
    return payload_of(ring);
}

// MARK: serving

static void prepare(struct ring_thread *ring, uint32_t command, uint64_t commit_id) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
    memset(entry, 0, 2 * sizeof(*entry));
    entry->opcode = IORING_OP_URING_CMD;
    entry->fd = ring->session->device;
    entry->cmd_op = command;
    if (command == COMMAND_REGISTER) {
        entry->addr = (uint64_t)(uintptr_t)ring->parts;
        entry->len = 2;
    }
    struct ring_command *body = (void *)entry->cmd;
    body->commit_id = commit_id;
    body->queue = (uint16_t)ring->processor;
}

/// 0 with a request in the entry's buffers, or the reason why there will be none.
static int wait_for_request(struct ring_thread *ring, const struct ashlar_fuse_rings *rings) {
    struct io_uring_cqe *completion;
    while (io_uring_peek_cqe(&ring->ring, &completion) != 0) {
        // Also what is to end has a reply to hand over.
        bool is_stopping = atomic_load(&rings->is_stopping);
        int result = io_uring_submit_and_wait(&ring->ring, is_stopping ? 0 : 1);
        if (is_stopping) return ECANCELED;
        if (result < 0 && result != -EINTR && result != -EAGAIN) return -result;
    }
    int error = -completion->res;
    io_uring_cqe_seen(&ring->ring, completion);
    return error;
}

static void serve_request(struct ring_thread *ring) {
    AshlarFuseSession *session = ring->session;
    const struct fuse_in_header *head = (const void *)ring->header->in_out;
    uint32_t payload = ring->header->state.payload_bytes;
    size_t body = head->len - sizeof(*head) - payload;
    if (head->len < sizeof(*head) + payload || body > HEADER_BYTES) abort();
    // As read(2) would have it: head, body, payload, without a gap.
    char *start = payload_of(ring) - body - sizeof(*head);
    memcpy(start, head, sizeof(*head));
    memcpy(start + sizeof(*head), ring->header->body, body);
    struct fuse_buf request = {.mem = start, .size = head->len};
    ring->unique = head->unique;
    ring->can_lend_payload = payload == 0;
    ring->is_replied = false;
    current_ring = ring;
    ashlar_fuse_note_request(session, start);
    fuse_session_process_buf(session->fuse, &request);
    current_ring = NULL;
    if (!ring->is_replied) abort();
}

static void bind_to_processor(unsigned processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    // Refused where the daemon was told to stay elsewhere: then it does.
    pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/// The ring belongs to the thread that makes it: nobody else may submit to it.
static bool make_ring(struct ring_thread *ring) {
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    };
    return io_uring_queue_init_params(2, &ring->ring, &parameters) == 0;
}

/// Tells whether the ring is made, and waits until INIT is answered, so that it may be registered.
static bool wait_until_open(struct ashlar_fuse_rings *rings, bool is_made) {
    pthread_mutex_lock(&rings->lock);
    *(is_made ? &rings->made : &rings->failed) += 1;
    pthread_cond_broadcast(&rings->changed);
    while (!rings->is_open && !atomic_load(&rings->is_stopping))
        pthread_cond_wait(&rings->changed, &rings->lock);
    pthread_mutex_unlock(&rings->lock);
    return !atomic_load(&rings->is_stopping);
}

/// Registers the ring; the error that the kernel had at once, 0 where it took it.
static int register_ring(struct ring_thread *ring) {
    struct io_uring_cqe *completion;
    prepare(ring, COMMAND_REGISTER, 0);
    int result = io_uring_submit(&ring->ring);
    if (result < 0) return -result;
    // What succeeds is a request already, and is left where it is.
    if (io_uring_peek_cqe(&ring->ring, &completion) != 0 || completion->res >= 0) return 0;
    return -completion->res;
}

static void note_registration(struct ring_thread *ring, struct ashlar_fuse_rings *rings, int error) {
    pthread_mutex_lock(&rings->lock);
    *(error ? &rings->failed : &rings->registered) += 1;
    if (rings->registered + rings->failed == rings->count) {
        atomic_store_explicit(
            &ring->session->uses_rings, rings->failed == 0, memory_order_relaxed);
        atomic_store(&rings->is_settled, true);
        pthread_cond_broadcast(&rings->changed);
    }
    pthread_mutex_unlock(&rings->lock);
}

/// Waits until each thread has registered, or could not, or nobody needs to any more.
static void wait_until_settled(struct ashlar_fuse_rings *rings) {
    if (atomic_load(&rings->is_settled)) return;
    pthread_mutex_lock(&rings->lock);
    while (!atomic_load(&rings->is_settled) && !atomic_load(&rings->is_stopping))
        pthread_cond_wait(&rings->changed, &rings->lock);
    pthread_mutex_unlock(&rings->lock);
}

/// Serves until there are no more requests, and says why.
static int serve_requests(struct ring_thread *ring, struct ashlar_fuse_rings *rings) {
    int error;
    while ((error = wait_for_request(ring, rings)) == 0) {
        wait_until_settled(rings);
        serve_request(ring);
        prepare(ring, COMMAND_COMMIT_AND_FETCH, ring->header->state.commit_id);
    }
    return error;
}

static bool is_ordinary_end(int error) {
    return error == ENOTCONN || error == ECANCELED || error == ECONNABORTED;
}

static void *ring_main(void *argument) {
    struct ring_thread *ring = argument;
    struct ashlar_fuse_rings *rings = ring->session->rings;
    ashlar_fuse_mark_worker();
    bind_to_processor(ring->processor);
    bool is_made = make_ring(ring);
    if (wait_until_open(rings, is_made)) {
        int error = register_ring(ring);
        note_registration(ring, rings, error);
        if (error) {
            fuse_log(FUSE_LOG_WARNING, "ring of processor %u is refused: %s\n", ring->processor,
                     strerror(error));
        } else if (!is_ordinary_end(error = serve_requests(ring, rings))) {
            // Requests of its processor might wait for ever.
            fuse_log(FUSE_LOG_ERR, "ring of processor %u has ended: %s\n", ring->processor,
                     strerror(error));
            ashlar_fuse_session_request_exit(ring->session);
        }
    }
    // The kernel lets go of the connection's file with the ring.
    if (is_made) io_uring_queue_exit(&ring->ring);
    atomic_fetch_sub(&rings->running, 1);
    return NULL;
}

// MARK: making and stopping

/// Reads a list of processors ("0-3,8") of the kernel's; false where it cannot be understood.
static bool read_processors(const char *kind, cpu_set_t *set) {
    char path[64];
    snprintf(path, sizeof(path), "/sys/devices/system/cpu/%s", kind);
    CPU_ZERO(set);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    unsigned first, last;
    int separator = ',';
    while (separator == ',' && fscanf(file, "%u", &first) == 1) {
        last = first;
        separator = fgetc(file);
        if (separator == '-' && fscanf(file, "%u", &last) == 1) separator = fgetc(file);
        if (last < first || last >= PROCESSORS_MAX) break;
        for (unsigned processor = first; processor <= last; processor++) CPU_SET(processor, set);
    }
    fclose(file);
    return separator == '\n' && CPU_COUNT(set) > 0;
}

static bool make_buffers(struct ring_thread *ring) {
    ring->header = calloc(1, sizeof(*ring->header));
    // Untouched pages cost nothing.
    void *space = mmap(NULL, PAGE_BYTES + ASHLAR_FUSE_TRANSFER_BYTES_MAX, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ring->space = space == MAP_FAILED ? NULL : space;
    if (!ring->header || !ring->space) return false;
    ring->parts[0] = (struct iovec){ring->header, sizeof(*ring->header)};
    ring->parts[1] = (struct iovec){payload_of(ring), ASHLAR_FUSE_TRANSFER_BYTES_MAX};
    return true;
}

static void free_buffers(struct ring_thread *ring) {
    if (ring->space) munmap(ring->space, PAGE_BYTES + ASHLAR_FUSE_TRANSFER_BYTES_MAX);
    free(ring->header);
}

/// Makes the buffers of `depth` threads for each processor, of one for each that may be plugged in
/// later.
static bool make_all_buffers(AshlarFuseSession *session, unsigned processors,
                             const cpu_set_t *online, unsigned depth) {
    struct ashlar_fuse_rings *rings = session->rings;
    rings->threads = calloc((size_t)processors * depth, sizeof(*rings->threads));
    if (!rings->threads) return false;
    for (unsigned processor = 0; processor < processors; processor++)
        for (unsigned i = 0; i < (CPU_ISSET(processor, online) ? depth : 1); i++) {
            struct ring_thread *ring = &rings->threads[rings->count++];
            ring->session = session;
            ring->processor = processor;
            if (!make_buffers(ring)) return false;
        }
    return true;
}

/// Whether all threads run and have made their rings.
static bool start_threads(struct ashlar_fuse_rings *rings) {
    for (unsigned i = 0; i < rings->count; i++) {
        struct ring_thread *ring = &rings->threads[i];
        atomic_fetch_add(&rings->running, 1);
        ring->thread_runs = ashlar_fuse_start_worker(&ring->thread, ring_main, ring) == 0;
        if (!ring->thread_runs) {
            atomic_fetch_sub(&rings->running, 1);
            return false;
        }
    }
    pthread_mutex_lock(&rings->lock);
    while (rings->made + rings->failed < rings->count)
        pthread_cond_wait(&rings->changed, &rings->lock);
    bool all_made = rings->failed == 0;
    pthread_mutex_unlock(&rings->lock);
    return all_made;
}

bool ashlar_fuse_rings_make(AshlarFuseSession *session) {
    cpu_set_t possible, online;
    if (!read_processors("possible", &possible) || !read_processors("online", &online)) return false;
    unsigned processors = (unsigned)CPU_COUNT(&possible);
    // The kernel has queues 0 up to the count of possible processors, and chooses by number.
    if (!CPU_ISSET(processors - 1, &possible)) return false;
    unsigned used = (unsigned)CPU_COUNT(&online);
    unsigned depth = (session->options.threads_max + used - 1) / used;
    struct ashlar_fuse_rings *rings = calloc(1, sizeof(*rings));
    if (!rings) return false;
    pthread_mutex_init(&rings->lock, NULL);
    pthread_cond_init(&rings->changed, NULL);
    session->rings = rings;
    if (make_all_buffers(session, processors, &online, depth) && start_threads(rings)) return true;
    ashlar_fuse_rings_stop(session);
    return false;
}

void ashlar_fuse_rings_open(AshlarFuseSession *session) {
    struct ashlar_fuse_rings *rings = session->rings;
    pthread_mutex_lock(&rings->lock);
    rings->is_open = true;
    pthread_cond_broadcast(&rings->changed);
    pthread_mutex_unlock(&rings->lock);
}

void ashlar_fuse_rings_stop(AshlarFuseSession *session) {
    struct ashlar_fuse_rings *rings = session->rings;
    if (!rings) return;
    pthread_mutex_lock(&rings->lock);
    atomic_store(&rings->is_stopping, true);
    pthread_cond_broadcast(&rings->changed);
    pthread_mutex_unlock(&rings->lock);
    // A signal that comes before a thread sleeps is lost on it: again, until all are out.
    struct timespec moment = {.tv_nsec = STOP_POLL_NANOSECONDS};
    while (atomic_load(&rings->running) > 0) {
        for (unsigned i = 0; i < rings->count; i++)
            if (rings->threads[i].thread_runs)
                pthread_kill(rings->threads[i].thread, ASHLAR_FUSE_INTERRUPT_SIGNAL);
        nanosleep(&moment, NULL);
    }
    for (unsigned i = 0; i < rings->count; i++) {
        if (rings->threads[i].thread_runs) pthread_join(rings->threads[i].thread, NULL);
        free_buffers(&rings->threads[i]);
    }
    free(rings->threads);
    pthread_cond_destroy(&rings->changed);
    pthread_mutex_destroy(&rings->lock);
    free(rings);
    session->rings = NULL;
}
