// Replies, and the buffers they are built in. Bodies are the kernel's own structures, laid out
// here: fuse_reply_buf() sends them as they are.
#include "internal.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

// MARK: STATX, which Debian 12's linux/fuse.h does not declare yet (protocol 7.39)

struct statx_time {
    int64_t seconds;
    uint32_t nanoseconds;
    int32_t reserved;
};

struct statx_reply {
    uint64_t attr_valid;
    uint32_t attr_valid_nsec;
    uint32_t flags;
    uint64_t spare[2];
    struct {
        uint32_t mask;
        uint32_t blksize;
        uint64_t attributes;
        uint32_t nlink;
        uint32_t uid;
        uint32_t gid;
        uint16_t mode;
        uint16_t spare0;
        uint64_t ino;
        uint64_t size;
        uint64_t blocks;
        uint64_t attributes_mask;
        struct statx_time atime;
        struct statx_time btime;
        struct statx_time ctime;
        struct statx_time mtime;
        uint32_t rdev_major;
        uint32_t rdev_minor;
        uint32_t dev_major;
        uint32_t dev_minor;
        uint64_t spare2[14];
    } stat;
};
_Static_assert(sizeof(struct statx_reply) == 288, "struct fuse_statx_out has 288 bytes");

/// STATX_BASIC_STATS and STATX_BTIME.
enum { STATX_MASK = 0x7ff | 0x800 };

enum { NANOSECONDS = 1000000000 };

static const AshlarFuseOptions *options_of(AshlarFuseRequest *request) {
    const AshlarFuseSession *session = fuse_req_userdata(native(request));
    return &session->options;
}

static void fill_attributes(struct fuse_attr *out, const AshlarFuseAttributes *in) {
    memset(out, 0, sizeof(*out));
    out->ino = in->inode;
    out->size = in->size;
    out->blocks = in->blocks;
    out->atime = (uint64_t)in->access_seconds;
    out->mtime = (uint64_t)in->modification_seconds;
    out->ctime = (uint64_t)in->change_seconds;
    out->atimensec = in->access_nanoseconds;
    out->mtimensec = in->modification_nanoseconds;
    out->ctimensec = in->change_nanoseconds;
    out->mode = in->mode;
    out->nlink = in->links;
    out->uid = in->user;
    out->gid = in->group;
    // The kernel's 12 + 20 bit encoding, which is the low half of glibc's.
    out->rdev = (uint32_t)makedev(in->device_major, in->device_minor);
    out->blksize = in->block_bytes;
}

static void fill_entry(
    struct fuse_entry_out *out, const AshlarFuseOptions *options, const AshlarFuseAttributes *in) {
    out->nodeid = in->inode;
    out->generation = in->generation;
    out->entry_valid = options->entry_timeout_nanoseconds / NANOSECONDS;
    out->entry_valid_nsec = (uint32_t)(options->entry_timeout_nanoseconds % NANOSECONDS);
    out->attr_valid = options->attribute_timeout_nanoseconds / NANOSECONDS;
    out->attr_valid_nsec = (uint32_t)(options->attribute_timeout_nanoseconds % NANOSECONDS);
    fill_attributes(&out->attr, in);
}

static int send(AshlarFuseRequest *request, const void *body, size_t length) {
    return -fuse_reply_buf(native(request), body, length);
}

int ashlar_fuse_reply_error(AshlarFuseRequest *request, int error) {
    return -fuse_reply_err(native(request), error);
}

int ashlar_fuse_reply_entry(AshlarFuseRequest *request, const AshlarFuseAttributes *attributes) {
    const AshlarFuseOptions *options = options_of(request);
    struct fuse_entry_out out;
    memset(&out, 0, sizeof(out));
    if (attributes) {
        fill_entry(&out, options, attributes);
    } else {
        // Node 0 with a timeout: a negative entry that the kernel keeps.
        out.entry_valid = options->entry_timeout_nanoseconds / NANOSECONDS;
        out.entry_valid_nsec = (uint32_t)(options->entry_timeout_nanoseconds % NANOSECONDS);
    }
    return send(request, &out, sizeof(out));
}

static struct statx_time statx_time_of(int64_t seconds, uint32_t nanoseconds) {
    return (struct statx_time){.seconds = seconds, .nanoseconds = nanoseconds};
}

static int reply_statx(AshlarFuseRequest *request, const AshlarFuseAttributes *in) {
    const AshlarFuseOptions *options = options_of(request);
    struct statx_reply out;
    memset(&out, 0, sizeof(out));
    out.attr_valid = options->attribute_timeout_nanoseconds / NANOSECONDS;
    out.attr_valid_nsec = (uint32_t)(options->attribute_timeout_nanoseconds % NANOSECONDS);
    out.stat.mask = STATX_MASK;
    out.stat.blksize = in->block_bytes;
    out.stat.nlink = in->links;
    out.stat.uid = in->user;
    out.stat.gid = in->group;
    out.stat.mode = (uint16_t)in->mode;
    out.stat.ino = in->inode;
    out.stat.size = in->size;
    out.stat.blocks = in->blocks;
    out.stat.atime = statx_time_of(in->access_seconds, in->access_nanoseconds);
    out.stat.btime = statx_time_of(in->birth_seconds, in->birth_nanoseconds);
    out.stat.ctime = statx_time_of(in->change_seconds, in->change_nanoseconds);
    out.stat.mtime = statx_time_of(in->modification_seconds, in->modification_nanoseconds);
    out.stat.rdev_major = in->device_major;
    out.stat.rdev_minor = in->device_minor;
    return send(request, &out, sizeof(out));
}

int ashlar_fuse_reply_attributes(
    AshlarFuseRequest *request, const AshlarFuseAttributes *attributes) {
    if (current_request.is_statx) return reply_statx(request, attributes);
    const AshlarFuseOptions *options = options_of(request);
    struct fuse_attr_out out;
    memset(&out, 0, sizeof(out));
    out.attr_valid = options->attribute_timeout_nanoseconds / NANOSECONDS;
    out.attr_valid_nsec = (uint32_t)(options->attribute_timeout_nanoseconds % NANOSECONDS);
    fill_attributes(&out.attr, attributes);
    return send(request, &out, sizeof(out));
}

int ashlar_fuse_reply_bytes(AshlarFuseRequest *request, const void *bytes, size_t length) {
    return send(request, bytes, length);
}

int ashlar_fuse_reply_written(AshlarFuseRequest *request, uint32_t length) {
    struct fuse_write_out out = {.size = length};
    return send(request, &out, sizeof(out));
}

int ashlar_fuse_reply_usage(AshlarFuseRequest *request, const AshlarFuseUsage *usage) {
    struct fuse_statfs_out out;
    memset(&out, 0, sizeof(out));
    out.st.blocks = usage->blocks;
    out.st.bfree = usage->blocks_free;
    out.st.bavail = usage->blocks_available;
    out.st.files = usage->files;
    out.st.ffree = usage->files_free;
    out.st.bsize = usage->block_bytes;
    out.st.frsize = usage->block_bytes;
    out.st.namelen = usage->name_bytes_max;
    return send(request, &out, sizeof(out));
}

int ashlar_fuse_reply_attribute_length(AshlarFuseRequest *request, uint32_t length) {
    struct fuse_getxattr_out out = {.size = length};
    return send(request, &out, sizeof(out));
}

int ashlar_fuse_reply_position(AshlarFuseRequest *request, uint64_t offset) {
    struct fuse_lseek_out out = {.offset = offset};
    return send(request, &out, sizeof(out));
}

// MARK: buffers

struct thread_buffer {
    void *bytes;
    size_t capacity;
};

static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;
static int buffer_key_error;

static void free_buffer(void *value) {
    struct thread_buffer *buffer = value;
    free(buffer->bytes);
    free(buffer);
}

static void make_buffer_key(void) {
    buffer_key_error = pthread_key_create(&buffer_key, free_buffer);
}

static struct thread_buffer *buffer_of_thread(void) {
    pthread_once(&buffer_once, make_buffer_key);
    if (buffer_key_error) return NULL;
    struct thread_buffer *buffer = pthread_getspecific(buffer_key);
    if (buffer) return buffer;
    buffer = calloc(1, sizeof(*buffer));
    if (!buffer) return NULL;
    if (pthread_setspecific(buffer_key, buffer) != 0) {
        free(buffer);
        return NULL;
    }
    return buffer;
}

void *ashlar_fuse_thread_buffer(size_t length) {
    void *payload = ashlar_fuse_ring_payload(length);
    if (payload) return payload;
    struct thread_buffer *buffer = buffer_of_thread();
    if (!buffer) return NULL;
    if (buffer->capacity >= length) return buffer->bytes;
    // Untouched pages cost nothing, so the first allocation already suits the largest read.
    size_t capacity =
        length > ASHLAR_FUSE_TRANSFER_BYTES_MAX ? length : ASHLAR_FUSE_TRANSFER_BYTES_MAX;
    void *bytes = NULL;
    if (posix_memalign(&bytes, 4096, capacity) != 0) return NULL;
    free(buffer->bytes);
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return bytes;
}

// MARK: directory entries

static void fill_dirent(
    struct fuse_dirent *out, const void *name, size_t length, uint64_t inode, uint8_t kind,
    uint64_t next_cookie) {
    out->ino = inode;
    out->off = next_cookie;
    out->namelen = (uint32_t)length;
    out->type = kind;
    memcpy(out->name, name, length);
    memset(out->name + length, 0, FUSE_DIRENT_SIZE(out) - FUSE_NAME_OFFSET - length);
}

size_t ashlar_fuse_append_entry(
    void *buffer, size_t capacity, size_t used, const void *name, size_t length, uint64_t inode,
    uint8_t kind, uint64_t next_cookie) {
    size_t needed = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + length);
    if (needed > capacity - used) return 0;
    fill_dirent((void *)((char *)buffer + used), name, length, inode, kind, next_cookie);
    return used + needed;
}

size_t ashlar_fuse_append_entry_plus(
    AshlarFuseRequest *request, void *buffer, size_t capacity, size_t used, const void *name,
    size_t length, uint64_t inode, uint8_t kind, uint64_t next_cookie,
    const AshlarFuseAttributes *attributes) {
    size_t needed = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + length);
    if (needed > capacity - used) return 0;
    struct fuse_direntplus *out = (void *)((char *)buffer + used);
    // Node 0: the kernel takes the name only and counts no lookup.
    memset(&out->entry_out, 0, sizeof(out->entry_out));
    if (attributes) fill_entry(&out->entry_out, options_of(request), attributes);
    fill_dirent(&out->dirent, name, length, inode, kind, next_cookie);
    return used + needed;
}

uint64_t ashlar_fuse_next_counted_inode(const void *buffer, size_t *position) {
    const struct fuse_direntplus *entry = (const void *)((const char *)buffer + *position);
    *position += FUSE_DIRENTPLUS_SIZE(entry);
    return entry->entry_out.nodeid;
}
