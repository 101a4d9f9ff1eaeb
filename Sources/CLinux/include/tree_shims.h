// Linux as programs need it that copy trees of files: everything about a file, under names of any
// bytes, relative to an open directory.
//
// As in linux_shims.h: 0, a count or a descriptor on success, -1 with errno on failure, no EINTR is
// retried, and any thread may call. Names are one part of a path, ended by NUL. Symbolic links are
// never followed.

#ifndef ASHLAR_TREE_SHIMS_H
#define ASHLAR_TREE_SHIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ashlar_time {
    int64_t seconds;
    uint32_t nanoseconds;
};

// What statx(2) tells.
struct ashlar_file_facts {
    uint64_t device;
    uint64_t inode;
    uint64_t links;
    uint64_t size;
    // Bytes of blocks: less than the size where there are holes.
    uint64_t allocated;
    uint32_t mode;
    uint32_t owner;
    uint32_t group;
    // Of a device file itself.
    uint32_t device_major;
    uint32_t device_minor;
    struct ashlar_time modified;
    struct ashlar_time changed;
    // Zero where the filesystem keeps none.
    struct ashlar_time born;
};

// Of a name in a directory; of the directory itself where the name is empty.
int ashlar_file_facts(int directory, const char *name, struct ashlar_file_facts *facts);

// Opens a file or directory for reading without changing its access time where that is allowed, and
// without waiting for anybody: a FIFO opens at once.
int ashlar_open_to_read(int directory, const char *name, bool is_directory);

// The next records of an open directory: getdents64(2).
ssize_t ashlar_directory_records(int directory, void *buffer, size_t count);

// The next record behind `offset` of such records: its name, and where the one behind it begins in
// `*next`. NULL where there is none.
const char *ashlar_directory_record(const void *records, size_t count, size_t offset,
                                    size_t *next);

// Where data or a hole begins at or behind `offset`; ENXIO behind the last data.
int64_t ashlar_seek_data(int fd, int64_t offset);
int64_t ashlar_seek_hole(int fd, int64_t offset);

// Extended attributes of a name in a directory, whatever kind of file it is: listxattr(2) and its
// family through /proc/self/fd. ENOTSUP where there are none.
ssize_t ashlar_attribute_names(int directory, const char *name, char *buffer, size_t count);
ssize_t ashlar_attribute_value(int directory, const char *name, const char *attribute,
                               void *buffer, size_t count);
int ashlar_attribute_set(int directory, const char *name, const char *attribute,
                         const void *value, size_t count);
int ashlar_attribute_remove(int directory, const char *name, const char *attribute);

// Makes a device, FIFO or socket.
int ashlar_make_node(int directory, const char *name, uint32_t mode, uint32_t device_major,
                     uint32_t device_minor);

// Sets the time of modification, and leaves that of access.
int ashlar_set_modified(int directory, const char *name, struct ashlar_time modified);

// Sets the permissions of what is no symbolic link.
int ashlar_set_mode(int directory, const char *name, uint32_t mode);

// As many descriptors as the process may have at all.
void ashlar_raise_descriptor_limit(void);

#endif
