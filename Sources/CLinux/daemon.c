// A daemon whose parent waits until it is ready.
//
// The report that goes through the pipe, in the order of the machine (both ends are one program):
//
//   0        4                    4 + n
//   | status | message, n bytes   |        n <= ASHLAR_DAEMON_MESSAGE_BYTES_MAX, to the end of file
//
// 1. The parent never waits for a dead daemon: only the daemon holds the writing end (it is closed
//    in programs that it starts), so that its death is an end of file.
// 2. One write of at most PIPE_BUF bytes: a report arrives whole or not at all.

#define _GNU_SOURCE
#include "linux_shims.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REPORT_BYTES_MAX = sizeof(int) + ASHLAR_DAEMON_MESSAGE_BYTES_MAX };

_Static_assert((int)REPORT_BYTES_MAX <= PIPE_BUF, "a report must be one atomic write");

static ssize_t read_report(int fd, char *buffer) {
    size_t have = 0;
    while (have < REPORT_BYTES_MAX) {
        ssize_t got = read(fd, buffer + have, REPORT_BYTES_MAX - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static void describe_silent_death(struct ashlar_daemon_outcome *outcome) {
    int status = 0;
    pid_t waited;
    do {
        waited = waitpid(outcome->pid, &status, 0);
    } while (waited < 0 && errno == EINTR);
    outcome->status = 1;
    if (waited == outcome->pid && WIFSIGNALED(status)) {
        outcome->status = 128 + WTERMSIG(status);
        snprintf(outcome->message, sizeof outcome->message,
                 "the daemon was killed by signal %d before it was ready", WTERMSIG(status));
        return;
    }
    // A daemon that says nothing has not come up, even if it ended with 0.
    if (waited == outcome->pid && WIFEXITED(status) && WEXITSTATUS(status) != 0)
        outcome->status = WEXITSTATUS(status);
    snprintf(outcome->message, sizeof outcome->message, "the daemon ended before it was ready");
}

// A daemon that did not come up ends: what it holds, locks above all, is free when the caller goes
// on. Its exit status stays there for whoever asks.
static void await_end(pid_t pid) {
    siginfo_t end;
    while (waitid(P_PID, (id_t)pid, &end, WEXITED | WNOWAIT) < 0 && errno == EINTR) continue;
}

static int await_daemon(int fd, struct ashlar_daemon_outcome *outcome) {
    char report[REPORT_BYTES_MAX];
    ssize_t got = read_report(fd, report);
    if (got < 0) return -1;
    if ((size_t)got < sizeof(int)) {
        describe_silent_death(outcome);
        return 1;
    }
    outcome->reported = true;
    memcpy(&outcome->status, report, sizeof(int));
    memcpy(outcome->message, report + sizeof(int), (size_t)got - sizeof(int));
    outcome->message[(size_t)got - sizeof(int)] = 0;
    if (outcome->status != 0) await_end(outcome->pid);
    return 1;
}

int ashlar_daemon_fork(int *report_descriptor, struct ashlar_daemon_outcome *outcome) {
    memset(outcome, 0, sizeof *outcome);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    // What stdio still holds would otherwise be written by both.
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        int reason = errno;
        close(ends[0]);
        close(ends[1]);
        errno = reason;
        return -1;
    }
    if (pid == 0) {
        close(ends[0]);
        // A fresh child leads no process group, so that this cannot fail.
        setsid();
        *report_descriptor = ends[1];
        return 0;
    }
    close(ends[1]);
    outcome->pid = pid;
    int result = await_daemon(ends[0], outcome);
    int reason = errno;
    close(ends[0]);
    errno = reason;
    return result;
}

static int leave_terminal(void) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return -1;
    for (int standard = 0; standard <= 2; standard++) {
        // dup2 clears close-on-exec, except where source and target are the same.
        if (null == standard ? fcntl(null, F_SETFD, 0) < 0 : dup2(null, standard) < 0) return -1;
    }
    if (null > 2) close(null);
    return chdir("/");
}

// write(2) without SIGPIPE, should the parent have been killed: a daemon that came up stays up.
static ssize_t write_without_signal(int fd, const void *bytes, size_t count) {
    struct sigaction ignore, old;
    memset(&ignore, 0, sizeof ignore);
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, &old);
    ssize_t written;
    do {
        written = write(fd, bytes, count);
    } while (written < 0 && errno == EINTR);
    int reason = errno;
    sigaction(SIGPIPE, &old, NULL);
    errno = reason;
    return written;
}

int ashlar_daemon_report(int report_descriptor, int status, const char *message) {
    char report[REPORT_BYTES_MAX];
    size_t length = message == NULL ? 0 : strnlen(message, ASHLAR_DAEMON_MESSAGE_BYTES_MAX);
    memcpy(report, &status, sizeof status);
    if (length > 0) memcpy(report + sizeof status, message, length);
    int result = 0, reason = 0;
    // Before the report: whoever learns that the daemon is ready may unmount its working directory.
    if (status == 0 && leave_terminal() != 0) {
        result = -1;
        reason = errno;
    }
    if (write_without_signal(report_descriptor, report, sizeof status + length) < 0) {
        result = -1;
        reason = errno;
    }
    close(report_descriptor);
    errno = reason;
    return result;
}
