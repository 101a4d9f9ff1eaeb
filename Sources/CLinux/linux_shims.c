#define _GNU_SOURCE
#include "linux_shims.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

const int ASHLAR_O_DIRECT = O_DIRECT;
const int ASHLAR_O_DIRECTORY = O_DIRECTORY;
const int ASHLAR_O_NOFOLLOW = O_NOFOLLOW;
const int ASHLAR_O_NOATIME = O_NOATIME;
const int ASHLAR_O_PATH = O_PATH;

const int ASHLAR_FALLOCATE_KEEP_SIZE = FALLOC_FL_KEEP_SIZE;
const int ASHLAR_FALLOCATE_PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE;
const int ASHLAR_FALLOCATE_ZERO_RANGE = FALLOC_FL_ZERO_RANGE;

bool ashlar_is_regular_file(uint32_t mode) { return S_ISREG(mode); }

bool ashlar_is_directory(uint32_t mode) { return S_ISDIR(mode); }

bool ashlar_is_symbolic_link(uint32_t mode) { return S_ISLNK(mode); }

int ashlar_fallocate(int fd, int mode, int64_t offset, int64_t length) {
    return fallocate(fd, mode, offset, length);
}

int ashlar_start_writeback(int fd, int64_t offset, int64_t length) {
    return sync_file_range(fd, offset, length, SYNC_FILE_RANGE_WRITE);
}

int ashlar_syncfs(int fd) { return syncfs(fd); }

int ashlar_rename_exclusive(int from_directory, const char *from, int to_directory,
                            const char *to) {
    return renameat2(from_directory, from, to_directory, to, RENAME_NOREPLACE);
}

int ashlar_rename_exchange(int from_directory, const char *from, int to_directory,
                           const char *to) {
    return renameat2(from_directory, from, to_directory, to, RENAME_EXCHANGE);
}

// l_pid must be 0 for the OFD commands; start 0 and length 0 mean the whole file.
static struct flock whole_file_lock(int kind) {
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_whence = SEEK_SET;
    lock.l_type = kind == ASHLAR_LOCK_EXCLUSIVE ? F_WRLCK
                  : kind == ASHLAR_LOCK_SHARED  ? F_RDLCK
                                                : F_UNLCK;
    return lock;
}

int ashlar_ofd_lock(int fd, int kind) {
    struct flock lock = whole_file_lock(kind);
    return fcntl(fd, F_OFD_SETLK, &lock);
}

int ashlar_ofd_conflict(int fd, int kind) {
    struct flock lock = whole_file_lock(kind);
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0) return -1;
    if (lock.l_type == F_WRLCK) return ASHLAR_LOCK_EXCLUSIVE;
    return lock.l_type == F_RDLCK ? ASHLAR_LOCK_SHARED : ASHLAR_LOCK_NONE;
}

void ashlar_name_thread(const char *name) {
    char kept[16];
    snprintf(kept, sizeof kept, "%s", name);
    // The name is for people who look with top or gdb; there is nothing to do without it.
    (void)pthread_setname_np(pthread_self(), kept);
}

int ashlar_random(void *buffer, size_t count) {
    unsigned char *next = buffer;
    while (count > 0) {
        ssize_t got = getrandom(next, count, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        next += got;
        count -= (size_t)got;
    }
    return 0;
}

bool ashlar_malloc_limit_arenas(int arenas_max) { return mallopt(M_ARENA_MAX, arenas_max) == 1; }

bool ashlar_malloc_map_threshold(size_t bytes) {
    return bytes <= INT_MAX && mallopt(M_MMAP_THRESHOLD, (int)bytes) == 1;
}

bool ashlar_malloc_trim(void) { return malloc_trim(0) == 1; }

int ashlar_set_io_flusher(void) { return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0); }

int ashlar_set_dumpable(bool dumpable) {
    return prctl(PR_SET_DUMPABLE, dumpable ? 1UL : 0UL, 0, 0, 0);
}

int ashlar_set_parent_death_signal(int signal) {
    return prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0, 0, 0);
}

ssize_t ashlar_list_attributes(const char *path, char *names, size_t count) {
    return listxattr(path, names, count);
}

ssize_t ashlar_get_attribute(const char *path, const char *name, void *value, size_t count) {
    return getxattr(path, name, value, count);
}

int ashlar_set_attribute(const char *path, const char *name, const void *value, size_t count) {
    return setxattr(path, name, value, count, 0);
}

int ashlar_remove_attribute(const char *path, const char *name) {
    return removexattr(path, name);
}
