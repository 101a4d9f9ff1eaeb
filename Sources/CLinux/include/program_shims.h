// Linux as the programs need it: terminals, namespaces, unmounting, interruptions, peers.
//
// As in linux_shims.h: 0 or a count on success, -1 with errno on failure, no EINTR is retried, and
// any thread may call, except where said.

#ifndef ASHLAR_PROGRAM_SHIMS_H
#define ASHLAR_PROGRAM_SHIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The columns of the terminal behind `fd`; 0 where it is none or does not say.
int ashlar_terminal_columns(int fd);

// Moves the process into the mount namespace of the file at `path`, /proc/PID/ns/mnt or a bind mount
// of one. Only while the process has one thread.
int ashlar_enter_mount_namespace(const char *path);

extern const int ASHLAR_UNMOUNT_FORCE;
extern const int ASHLAR_UNMOUNT_DETACH;

// umount2(2), never following a symbolic link at the end of `path`.
int ashlar_unmount(const char *path, int flags);

// Makes SIGINT, SIGTERM and SIGHUP only be remembered, so that the caller ends where it is clean; a
// second one kills at once. System calls that wait are interrupted.
int ashlar_catch_interruptions(void);

// The first signal remembered since then; 0 while there is none.
int ashlar_interruption(void);

// The process at the other end of a connected Unix stream socket (SO_PEERCRED).
int ashlar_peer(int fd, pid_t *process, uid_t *user);

// pipe2(2) with O_CLOEXEC: the reading end, then the writing end.
int ashlar_pipe(int ends[2]);

// accept4(2) with SOCK_CLOEXEC and SOCK_NONBLOCK, the peer's address left out.
int ashlar_accept(int listener);

// openlog(3) as the daemon "ashlar", with its process number.
void ashlar_open_system_log(void);

// syslog(3) of one line; `severity` as there (3 error, 4 warning, 6 info, 7 debug).
void ashlar_write_system_log(int severity, const char *text);

#endif
