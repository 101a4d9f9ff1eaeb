#define _GNU_SOURCE
#include "tree_shims.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct ashlar_time time_of(struct statx_timestamp stamp) {
    struct ashlar_time time = {stamp.tv_sec, stamp.tv_nsec};
    return time;
}

int ashlar_file_facts(int directory, const char *name, struct ashlar_file_facts *facts) {
    struct statx found;
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] ? 0 : AT_EMPTY_PATH);
    if (statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME, &found) != 0) return -1;
    memset(facts, 0, sizeof *facts);
    facts->device = makedev(found.stx_dev_major, found.stx_dev_minor);
    facts->inode = found.stx_ino;
    facts->links = found.stx_nlink;
    facts->size = found.stx_size;
    facts->allocated = found.stx_blocks * 512;
    facts->mode = found.stx_mode;
    facts->owner = found.stx_uid;
    facts->group = found.stx_gid;
    facts->device_major = found.stx_rdev_major;
    facts->device_minor = found.stx_rdev_minor;
    facts->modified = time_of(found.stx_mtime);
    facts->changed = time_of(found.stx_ctime);
    if (found.stx_mask & STATX_BTIME) facts->born = time_of(found.stx_btime);
    return 0;
}

int ashlar_open_to_read(int directory, const char *name, bool is_directory) {
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    if (is_directory) flags |= O_DIRECTORY;
    int fd = openat(directory, name, flags | O_NOATIME);
    // Only an owner may leave the access time alone.
    if (fd < 0 && errno == EPERM) fd = openat(directory, name, flags);
    return fd;
}

ssize_t ashlar_directory_records(int directory, void *buffer, size_t count) {
    return syscall(SYS_getdents64, directory, buffer, count);
}

const char *ashlar_directory_record(const void *records, size_t count, size_t offset,
                                    size_t *next) {
    if (offset >= count) return NULL;
    const struct dirent64 *record =
        (const struct dirent64 *)(const void *)((const char *)records + offset);
    if (record->d_reclen == 0) return NULL;
    *next = offset + record->d_reclen;
    return record->d_name;
}

int64_t ashlar_seek_data(int fd, int64_t offset) { return lseek(fd, offset, SEEK_DATA); }

int64_t ashlar_seek_hole(int fd, int64_t offset) { return lseek(fd, offset, SEEK_HOLE); }

enum { PATH_BYTES = NAME_MAX + 64 };

// The l-family of xattr calls follows the links on the way, as that to the directory is, and not
// the last part.
static int path_of(int directory, const char *name, char path[PATH_BYTES]) {
    int length = snprintf(path, PATH_BYTES, "/proc/self/fd/%d/%s", directory, name[0] ? name : ".");
    if (length < PATH_BYTES) return 0;
    errno = ENAMETOOLONG;
    return -1;
}

ssize_t ashlar_attribute_names(int directory, const char *name, char *buffer, size_t count) {
    char path[PATH_BYTES];
    if (path_of(directory, name, path) != 0) return -1;
    return llistxattr(path, buffer, count);
}

ssize_t ashlar_attribute_value(int directory, const char *name, const char *attribute,
                               void *buffer, size_t count) {
    char path[PATH_BYTES];
    if (path_of(directory, name, path) != 0) return -1;
    return lgetxattr(path, attribute, buffer, count);
}

int ashlar_attribute_set(int directory, const char *name, const char *attribute,
                         const void *value, size_t count) {
    char path[PATH_BYTES];
    if (path_of(directory, name, path) != 0) return -1;
    return lsetxattr(path, attribute, value, count, 0);
}

int ashlar_attribute_remove(int directory, const char *name, const char *attribute) {
    char path[PATH_BYTES];
    if (path_of(directory, name, path) != 0) return -1;
    return lremovexattr(path, attribute);
}

int ashlar_make_node(int directory, const char *name, uint32_t mode, uint32_t device_major,
                     uint32_t device_minor) {
    return mknodat(directory, name, mode, makedev(device_major, device_minor));
}

int ashlar_set_modified(int directory, const char *name, struct ashlar_time modified) {
    struct timespec times[2];
    memset(times, 0, sizeof times);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = modified.seconds;
    times[1].tv_nsec = modified.nanoseconds;
    return utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW);
}

int ashlar_set_mode(int directory, const char *name, uint32_t mode) {
    return fchmodat(directory, name, mode & 07777, 0);
}

void ashlar_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    // What there is has to be enough where more is refused.
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}
