// The life of a session: its loop, the ways in which it ends, and notifications.
//
// libfuse's multi-threaded loop waits in sem_wait() while its workers read, and looks at its exit
// flag whenever that returns. Only a signal makes it return from outside, and a signal sent to the
// process may well hit another thread. So signals just post a semaphore; a thread of ours (the
// ender) wakes up, ends the mount, and then interrupts the loop's thread until it is out.
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

enum {
    POLL_MILLISECONDS = 10,
    /// How long an unmounted connection may live on (in another namespace) before the loop ends.
    LINGER_MILLISECONDS = 2000,
    /// How long the kernel's writes are waited for when a mount in use is ended.
    FLUSH_MILLISECONDS = 5000,
};

static const int end_signals[] = {SIGTERM, SIGINT, SIGHUP};
enum { END_SIGNAL_COUNT = sizeof(end_signals) / sizeof(end_signals[0]) };

/// The sessions that signals end. A handler may run on any thread at any time, so places are atomic;
/// whoever takes a session out waits until no handler can see it any more.
static AshlarFuseSession *_Atomic signal_sessions[ASHLAR_FUSE_SIGNAL_SESSIONS_MAX];
static _Atomic int signal_handlers_running;

// MARK: libfuse's log

static void on_log(enum fuse_log_level level, const char *format, va_list arguments) {
    char message[512];
    int length = vsnprintf(message, sizeof(message), format, arguments);
    if (length < 0) return;
    if ((size_t)length >= sizeof(message)) length = sizeof(message) - 1;
    if (length > 0 && message[length - 1] == '\n') message[length - 1] = 0;
    ashlarFuseLog((int32_t)level, message);
}

// MARK: making and freeing

AshlarFuseSession *ashlar_fuse_session_new(
    const AshlarFuseOptions *options, void *context, int *error) {
    *error = ENOMEM;
    AshlarFuseSession *session = calloc(1, sizeof(*session));
    if (!session) return NULL;
    session->context = context;
    session->device = -1;
    session->options = *options;
    session->source = strdup(options->source);
    session->mountpoint = strdup(options->mountpoint);
    char *list = ashlar_fuse_helper_options(options);
    struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
    bool ready = session->source && session->mountpoint && list &&
        fuse_opt_add_arg(&arguments, "ashlar") == 0 && fuse_opt_add_arg(&arguments, "-o") == 0 &&
        fuse_opt_add_arg(&arguments, list) == 0;
    free(list);
    if (ready) {
        session->options.source = session->source;
        session->options.mountpoint = session->mountpoint;
        fuse_set_log_func(on_log);
        session->fuse = fuse_session_new(
            &arguments, &ashlar_fuse_operations, sizeof(ashlar_fuse_operations), session);
        if (!session->fuse) *error = EINVAL;
    }
    fuse_opt_free_args(&arguments);
    if (session->fuse && sem_init(&session->wake, 0, 0) == 0) {
        *error = 0;
        return session;
    }
    if (session->fuse) fuse_session_destroy(session->fuse);
    free(session->source);
    free(session->mountpoint);
    free(session);
    return NULL;
}

void ashlar_fuse_session_destroy(AshlarFuseSession *session) {
    fuse_session_destroy(session->fuse);
    sem_destroy(&session->wake);
    free(session->source);
    free(session->mountpoint);
    free(session);
}

uint64_t ashlar_fuse_session_count(const AshlarFuseSession *session, uint32_t opcode) {
    if (opcode >= ASHLAR_FUSE_OPCODE_COUNT) return 0;
    return atomic_load_explicit(&session->counts[opcode], memory_order_relaxed);
}

bool ashlar_fuse_session_uses_rings(const AshlarFuseSession *session) {
    return atomic_load_explicit(&session->uses_rings, memory_order_relaxed);
}

// MARK: ending

static bool begin_ending(AshlarFuseSession *session, int reason) {
    int none = 0;
    if (!atomic_compare_exchange_strong(&session->ending, &none, reason)) return false;
    sem_post(&session->wake);
    return true;
}

// Async-signal-safe throughout: atomics, sem_post, pthread_kill, and libfuse's flag.
static void on_end_signal(int number) {
    int saved = errno;
    atomic_fetch_add(&signal_handlers_running, 1);
    for (int i = 0; i < ASHLAR_FUSE_SIGNAL_SESSIONS_MAX; i++) {
        AshlarFuseSession *session = atomic_load(&signal_sessions[i]);
        // A second signal does not wait for the unmounting that the first one began.
        if (session && !begin_ending(session, number)) {
            fuse_session_exit(session->fuse);
            pthread_kill(session->loop_thread, ASHLAR_FUSE_INTERRUPT_SIGNAL);
        }
    }
    atomic_fetch_sub(&signal_handlers_running, 1);
    errno = saved;
}

static void on_interrupt(int number) {
    (void)number;
}

void ashlar_fuse_session_request_exit(AshlarFuseSession *session) {
    begin_ending(session, ASHLAR_FUSE_END_REQUESTED);
}

/// Waits until the loop has ended or the time is over; says whether it has.
static bool loop_ends_within(AshlarFuseSession *session, long milliseconds) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (milliseconds % 1000) * 1000000;
    until.tv_sec += milliseconds / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!atomic_load(&session->loop_ended))
        if (sem_timedwait(&session->wake, &until) != 0 && errno == ETIMEDOUT) break;
    return atomic_load(&session->loop_ended);
}

/// What processes wrote through mappings is in the kernel only, and the workers still serve its
/// writes. For FUSE syncfs() starts them but does not wait: so we wait until nothing is left to
/// answer.
static void flush_kernel(AshlarFuseSession *session) {
    if (!ashlar_fuse_is_mounted(session)) return;
    int root = open(session->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return;
    syncfs(root);
    close(root);
    for (int waited = 0; waited < FLUSH_MILLISECONDS; waited += POLL_MILLISECONDS)
        if (ashlar_fuse_is_quiet(session) || loop_ends_within(session, POLL_MILLISECONDS)) return;
}

static void *ender_main(void *argument) {
    AshlarFuseSession *session = argument;
    while (sem_wait(&session->wake) != 0) continue;
    if (atomic_load(&session->loop_ended)) return NULL;
    // An unmount that succeeds ends the connection by itself, with nothing left behind.
    bool unmounted = ashlar_fuse_is_mounted(session) &&
        umount2(session->mountpoint, UMOUNT_NOFOLLOW) == 0;
    if (unmounted && loop_ends_within(session, LINGER_MILLISECONDS)) return NULL;
    if (!unmounted) flush_kernel(session);
    fuse_session_exit(session->fuse);
    do {
        pthread_kill(session->loop_thread, ASHLAR_FUSE_INTERRUPT_SIGNAL);
    } while (!loop_ends_within(session, POLL_MILLISECONDS));
    return NULL;
}

// MARK: running

/// Sessions of one process may begin and end in any order: the first installs the handlers, and the
/// last puts back what was there before.
static pthread_mutex_t handlers_lock = PTHREAD_MUTEX_INITIALIZER;
static int interrupt_users;
static struct sigaction interrupt_before;
static int end_signal_users;
static struct sigaction end_signals_before[END_SIGNAL_COUNT];

static void install_interrupt(void) {
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    if (interrupt_users++ == 0) sigaction(ASHLAR_FUSE_INTERRUPT_SIGNAL, &action, &interrupt_before);
}

static void remove_interrupt(void) {
    if (--interrupt_users == 0) sigaction(ASHLAR_FUSE_INTERRUPT_SIGNAL, &interrupt_before, NULL);
}

/// Says whether there was a place for the session.
static bool take_end_signals(AshlarFuseSession *session) {
    struct sigaction action = {.sa_handler = on_end_signal};
    sigemptyset(&action.sa_mask);
    int place = 0;
    while (place < ASHLAR_FUSE_SIGNAL_SESSIONS_MAX && atomic_load(&signal_sessions[place])) place++;
    if (place == ASHLAR_FUSE_SIGNAL_SESSIONS_MAX) return false;
    atomic_store(&signal_sessions[place], session);
    if (end_signal_users++ > 0) return true;
    for (int i = 0; i < END_SIGNAL_COUNT; i++)
        sigaction(end_signals[i], &action, &end_signals_before[i]);
    return true;
}

static void leave_end_signals(AshlarFuseSession *session) {
    for (int i = 0; i < ASHLAR_FUSE_SIGNAL_SESSIONS_MAX; i++)
        if (atomic_load(&signal_sessions[i]) == session) atomic_store(&signal_sessions[i], NULL);
    if (--end_signal_users == 0)
        for (int i = 0; i < END_SIGNAL_COUNT; i++)
            sigaction(end_signals[i], &end_signals_before[i], NULL);
    struct timespec moment = {.tv_nsec = 100000};
    while (atomic_load(&signal_handlers_running) > 0) nanosleep(&moment, NULL);
}

static bool install_handlers(AshlarFuseSession *session, sigset_t *mask_before) {
    pthread_mutex_lock(&handlers_lock);
    bool ready = !session->options.handle_signals || take_end_signals(session);
    if (ready) install_interrupt();
    pthread_mutex_unlock(&handlers_lock);
    if (!ready) return false;
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, ASHLAR_FUSE_INTERRUPT_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &interrupt, mask_before);
    return true;
}

static void remove_handlers(AshlarFuseSession *session, const sigset_t *mask_before) {
    pthread_mutex_lock(&handlers_lock);
    if (session->options.handle_signals) leave_end_signals(session);
    remove_interrupt();
    pthread_mutex_unlock(&handlers_lock);
    pthread_sigmask(SIG_SETMASK, mask_before, NULL);
}

static int start_blocked(pthread_t *thread, void *(*body)(void *), void *argument) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(thread, NULL, body, argument);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

int ashlar_fuse_start_worker(pthread_t *thread, void *(*body)(void *), void *argument) {
    sigset_t others, old;
    sigfillset(&others);
    sigdelset(&others, ASHLAR_FUSE_INTERRUPT_SIGNAL);
    pthread_sigmask(SIG_SETMASK, &others, &old);
    int error = pthread_create(thread, NULL, body, argument);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

static int run_loop(AshlarFuseSession *session) {
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    if (!config) return -ENOMEM;
    fuse_loop_cfg_set_clone_fd(config, session->options.clone_fd);
    fuse_loop_cfg_set_max_threads(config, session->options.threads_max);
    fuse_loop_cfg_set_idle_threads(config, session->options.idle_threads_max);
    int result = fuse_session_loop_mt(session->fuse, config);
    fuse_loop_cfg_destroy(config);
    return result;
}

int ashlar_fuse_session_run(AshlarFuseSession *session) {
    if (session->device < 0 || atomic_load(&session->loop_ended)) return -EINVAL;
    sigset_t mask_before;
    pthread_t ender;
    session->loop_thread = pthread_self();
    if (!install_handlers(session, &mask_before)) return -EMFILE;
    int error = start_blocked(&ender, ender_main, session);
    int result = error ? -error : run_loop(session);
    // First of all, so that nobody (a stuck ender, too) waits for answers that cannot come.
    ashlar_fuse_rings_stop(session);
    ashlar_fuse_disconnect(session);
    atomic_store(&session->loop_ended, true);
    sem_post(&session->wake);
    if (!error) pthread_join(ender, NULL);
    remove_handlers(session, &mask_before);
    int ending = atomic_load(&session->ending);
    if (ending) return ending;
    return result > 0 ? -result : result;
}

// MARK: notifications

int ashlar_fuse_invalidate_entry(
    AshlarFuseSession *session, uint64_t parent, const void *name, size_t length) {
    return -fuse_lowlevel_notify_inval_entry(session->fuse, parent, name, length);
}

int ashlar_fuse_invalidate_inode(
    AshlarFuseSession *session, uint64_t inode, int64_t offset, int64_t length) {
    return -fuse_lowlevel_notify_inval_inode(session->fuse, inode, offset, length);
}

// MARK: threads

static void *thread_main(void *context) {
    ashlarFuseThreadMain(context);
    return NULL;
}

int ashlar_fuse_thread_start(const char *name, void *context, uint64_t *thread) {
    pthread_t native_thread;
    int error = start_blocked(&native_thread, thread_main, context);
    if (error) return error;
    pthread_setname_np(native_thread, name);
    *thread = (uint64_t)native_thread;
    return 0;
}

void ashlar_fuse_thread_join(uint64_t thread) {
    pthread_join((pthread_t)thread, NULL);
}
