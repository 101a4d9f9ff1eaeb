// When the kernel has nothing left to ask: before a mount in use is ended.
//
// A request is on its way through four places: the kernel's queue, a worker that has taken it and
// not counted it yet (the kernel copies up to a MiB in between), a worker that serves it, and its
// reply. The queue is seen by poll(), the last two by the counts. What is between the queue and the
// counts is seen in nothing of ours, and a request lost there is a page that somebody wrote: so the
// kernel is asked which workers sleep. One that has a request in hand and has not counted it is
// running, runnable or waiting for memory ('R', 'D'), and one that sleeps ('S') waits for a request,
// or for something while it serves one that was counted.
//
// Hence the order: the counts agree, the queue is empty, all workers sleep, and the counts are
// still the same. A worker that took a request before the queue was looked at, and had not counted
// it at first, either does not sleep when it is looked at, or has counted it by the end.
#include "internal.h"

#include <dirent.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/// The name of all threads that read requests, of all sessions; it shows in top, too.
#define WORKER_NAME "ashlar-fuse"

void ashlar_fuse_mark_worker(void) {
    static _Thread_local bool is_marked;
    if (is_marked) return;
    prctl(PR_SET_NAME, WORKER_NAME);
    is_marked = true;
}

/// The requests read that are to be answered.
static uint64_t requests_to_answer(const AshlarFuseSession *session) {
    uint64_t requests = 0;
    for (unsigned i = 0; i < ASHLAR_FUSE_OPCODE_COUNT; i++)
        if (i != FUSE_FORGET && i != FUSE_BATCH_FORGET && i != FUSE_INTERRUPT)
            requests += ashlar_fuse_session_count(session, i);
    return requests;
}

/// Whether a thread of this process reads requests and does not sleep.
static bool is_awake_worker(const char *thread) {
    char path[64];
    char line[128];
    snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", thread);
    FILE *file = fopen(path, "re");
    // A thread that has ended meanwhile has nothing in hand.
    if (!file) return false;
    // "1234 (name) S …"
    const char *state = fgets(line, sizeof(line), file) ? strstr(line, "(" WORKER_NAME ") ") : NULL;
    fclose(file);
    return state && state[sizeof("(" WORKER_NAME ") ") - 1] != 'S';
}

/// False, too, where /proc does not tell.
static bool all_workers_sleep(void) {
    DIR *threads = opendir("/proc/self/task");
    if (!threads) return false;
    bool awake = false;
    const struct dirent *entry;
    while (!awake && (entry = readdir(threads)))
        awake = entry->d_name[0] != '.' && is_awake_worker(entry->d_name);
    closedir(threads);
    return !awake;
}

bool ashlar_fuse_is_quiet(const AshlarFuseSession *session) {
    uint64_t replies = atomic_load_explicit(&session->replies, memory_order_acquire);
    uint64_t requests = requests_to_answer(session);
    struct pollfd device = {.fd = session->device, .events = POLLIN};
    return requests == replies && poll(&device, 1, 0) == 0 && all_workers_sleep() &&
        requests_to_answer(session) == requests;
}
