// Linux as Swift cannot see it.
//
// `import Glibc` hides what needs _GNU_SOURCE (fallocate, O_DIRECT, OFD locks, renameat2), macros
// with arguments (S_ISDIR) and fork. Everything here is a thin function: no state and no policy.
//
// Unless said otherwise a function returns 0 (or a count) on success, and on failure -1 with the
// reason in errno, as the system call itself does. None of them retries EINTR. All may be called
// from any thread, except the ashlar_daemon_ functions.

#ifndef ASHLAR_LINUX_SHIMS_H
#define ASHLAR_LINUX_SHIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "program_shims.h"
#include "tree_shims.h"

// MARK: opening

// Their values differ between architectures, hence variables and not macros.
extern const int ASHLAR_O_DIRECT;
extern const int ASHLAR_O_DIRECTORY;
extern const int ASHLAR_O_NOFOLLOW;
extern const int ASHLAR_O_NOATIME;
extern const int ASHLAR_O_PATH;

bool ashlar_is_regular_file(uint32_t mode);
bool ashlar_is_directory(uint32_t mode);
bool ashlar_is_symbolic_link(uint32_t mode);

// MARK: space and writing back

extern const int ASHLAR_FALLOCATE_KEEP_SIZE;
extern const int ASHLAR_FALLOCATE_PUNCH_HOLE;
extern const int ASHLAR_FALLOCATE_ZERO_RANGE;

int ashlar_fallocate(int fd, int mode, int64_t offset, int64_t length);

// Starts writing the range back (SYNC_FILE_RANGE_WRITE) and does not wait. Proves nothing.
int ashlar_start_writeback(int fd, int64_t offset, int64_t length);

// Writes the whole filesystem that holds `fd` to the medium.
int ashlar_syncfs(int fd);

// MARK: names

// Renames and fails with EEXIST where `to` is there already.
int ashlar_rename_exclusive(int from_directory, const char *from, int to_directory,
                            const char *to);

// Swaps two names in one step.
int ashlar_rename_exchange(int from_directory, const char *from, int to_directory,
                           const char *to);

// MARK: extended attributes

// listxattr(2), getxattr(2), setxattr(2) and removexattr(2), which follow symbolic links: a path below
// /proc/self/fd leads to the very inode of a descriptor.
ssize_t ashlar_list_attributes(const char *path, char *names, size_t count);
ssize_t ashlar_get_attribute(const char *path, const char *name, void *value, size_t count);
int ashlar_set_attribute(const char *path, const char *name, const void *value, size_t count);
int ashlar_remove_attribute(const char *path, const char *name);

// MARK: locks

// Locks of an open file description (OFD) over the whole file. They belong to the description, not
// to the process: descriptors made by dup and fork share one, and it goes when the last is closed.

enum ashlar_lock_kind {
    ASHLAR_LOCK_NONE = 0,
    ASHLAR_LOCK_SHARED = 1,
    ASHLAR_LOCK_EXCLUSIVE = 2,
};

// Sets the lock of the description without waiting; EAGAIN or EACCES when another is in the way.
// ASHLAR_LOCK_NONE gives it up for every descriptor of the description.
int ashlar_ofd_lock(int fd, int kind);

// The lock of another description that would be in the way of `kind`: ASHLAR_LOCK_NONE, _SHARED or
// _EXCLUSIVE; -1 on failure.
int ashlar_ofd_conflict(int fd, int kind);

// MARK: process

// Names the calling thread; at most 15 bytes are kept.
void ashlar_name_thread(const char *name);

// Fills `buffer` from the kernel's random generator. Returns 0, or -1 with errno.
int ashlar_random(void *buffer, size_t count);

// At most this many malloc arenas: each costs up to 64 MiB that is seldom given back.
bool ashlar_malloc_limit_arenas(int arenas_max);

// From this size on malloc maps pages of their own, which free gives back to the kernel at once.
// Fixing it switches off glibc's habit of raising it to 32 MiB.
bool ashlar_malloc_map_threshold(size_t bytes);

// Gives free memory at the end and inside of all arenas back to the kernel; true if there was any.
bool ashlar_malloc_trim(void);

// Marks the calling thread as one that memory reclaim may depend on, so that its own allocations do
// not wait for its own writes (PR_SET_IO_FLUSHER; needs CAP_SYS_RESOURCE).
int ashlar_set_io_flusher(void);

// Whether the process may leave core dumps, which could hold its secrets (PR_SET_DUMPABLE).
int ashlar_set_dumpable(bool dumpable);

// The signal that the calling process gets when its parent dies (PR_SET_PDEATHSIG); 0 for none.
int ashlar_set_parent_death_signal(int signal);

// MARK: daemon

enum { ASHLAR_DAEMON_MESSAGE_BYTES_MAX = 1024 };

// What the parent learned of its daemon.
struct ashlar_daemon_outcome {
    pid_t pid;
    // The status that the daemon reported: 0 when it is ready, else an exit code for the parent. A
    // daemon that died silently gives its own exit status, or 128 + the signal that killed it.
    int status;
    bool reported;
    // Ended by NUL.
    char message[ASHLAR_DAEMON_MESSAGE_BYTES_MAX + 1];
};

// Forks a daemon: a child in a session of its own. Call it before any thread exists.
//
// Returns 0 in the daemon, with the descriptor for ashlar_daemon_report in `*report_descriptor`.
// Returns 1 in the parent, after the daemon has reported that it is ready, or has ended, with
// `*outcome` filled.
int ashlar_daemon_fork(int *report_descriptor, struct ashlar_daemon_outcome *outcome);

// Tells the waiting parent the daemon's status with a message (NULL for none), and closes the
// descriptor. With a status other than 0 the daemon has to end: its parent waits for that. With status 0 the daemon also leaves the terminal: standard streams go to /dev/null
// and its working directory becomes "/".
int ashlar_daemon_report(int report_descriptor, int status, const char *message);

#endif
