#define _GNU_SOURCE
#include "program_shims.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

const int ASHLAR_UNMOUNT_FORCE = MNT_FORCE;
const int ASHLAR_UNMOUNT_DETACH = MNT_DETACH;

int ashlar_terminal_columns(int fd) {
    struct winsize size;
    memset(&size, 0, sizeof size);
    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int ashlar_enter_mount_namespace(const char *path) {
    int space = open(path, O_RDONLY | O_CLOEXEC);
    if (space < 0) return -1;
    int result = setns(space, CLONE_NEWNS);
    int reason = errno;
    close(space);
    errno = reason;
    return result;
}

int ashlar_unmount(const char *path, int flags) {
    return umount2(path, flags | UMOUNT_NOFOLLOW);
}

static volatile sig_atomic_t interruption = 0;

static void remember(int signal_number) {
    interruption = signal_number;
}

int ashlar_catch_interruptions(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = remember;
    // The second one finds the default action again.
    action.sa_flags = (int)SA_RESETHAND;
    const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (sigaction(signals[i], &action, NULL) != 0) return -1;
    return 0;
}

int ashlar_interruption(void) { return interruption; }

int ashlar_peer(int fd, pid_t *process, uid_t *user) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -1;
    *process = peer.pid;
    *user = peer.uid;
    return 0;
}

int ashlar_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int ashlar_accept(int listener) {
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

void ashlar_open_system_log(void) { openlog("ashlar", LOG_PID, LOG_DAEMON); }

void ashlar_write_system_log(int severity, const char *text) {
    syslog(LOG_DAEMON | (severity & LOG_PRIMASK), "%s", text);
}
