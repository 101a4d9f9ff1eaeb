// The table of low-level operations: libfuse's arguments to the shim's, and what needs no Swift.
#include "internal.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/sysmacros.h>

static void *context_of(fuse_req_t request) {
    const AshlarFuseSession *session = fuse_req_userdata(request);
    return session->context;
}

static AshlarFuseRequest *shim(fuse_req_t request) {
    return (AshlarFuseRequest *)request;
}

static AshlarFuseCaller caller_of(fuse_req_t request) {
    const struct fuse_ctx *context = fuse_req_ctx(request);
    return (AshlarFuseCaller){
        .user = context->uid,
        .group = context->gid,
        .process = context->pid,
        .umask = context->umask,
    };
}

static void on_init(void *userdata, struct fuse_conn_info *connection) {
    (void)userdata;
    connection->max_write = ASHLAR_FUSE_TRANSFER_BYTES_MAX;
    // Requests that nobody waits for in person (read-ahead, write-back) at a time; the kernel's
    // default of 12 starves a fast reader.
    connection->max_background = 64;
    connection->congestion_threshold = 48;
    connection->time_gran = 1;
    // The flags themselves are chosen in negotiation.c; libfuse itself acts upon these.
    connection->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                                    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ATOMIC_O_TRUNC);
}

// MARK: names

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
    ashlarFuseLookup(context_of(request), shim(request), parent, name, strlen(name));
}

static void on_forget(fuse_req_t request, fuse_ino_t inode, uint64_t count) {
    ashlarFuseForget(context_of(request), inode, count);
    fuse_reply_none(request);
}

static void on_forget_multi(fuse_req_t request, size_t count, struct fuse_forget_data *forgets) {
    for (size_t i = 0; i < count; i++)
        ashlarFuseForget(context_of(request), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(request);
}

static void on_mknod(
    fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, dev_t device) {
    AshlarFuseCaller caller = caller_of(request);
    ashlarFuseMakeNode(context_of(request), shim(request), parent, name, strlen(name), mode,
                       major(device), minor(device), &caller);
}

static void on_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode) {
    AshlarFuseCaller caller = caller_of(request);
    ashlarFuseMakeDirectory(
        context_of(request), shim(request), parent, name, strlen(name), mode, &caller);
}

static void on_symlink(
    fuse_req_t request, const char *target, fuse_ino_t parent, const char *name) {
    AshlarFuseCaller caller = caller_of(request);
    ashlarFuseMakeSymbolicLink(context_of(request), shim(request), parent, name, strlen(name),
                               target, strlen(target), &caller);
}

static void on_link(fuse_req_t request, fuse_ino_t inode, fuse_ino_t parent, const char *name) {
    ashlarFuseLink(context_of(request), shim(request), inode, parent, name, strlen(name));
}

static void on_unlink(fuse_req_t request, fuse_ino_t parent, const char *name) {
    ashlarFuseUnlink(context_of(request), shim(request), parent, name, strlen(name));
}

static void on_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name) {
    ashlarFuseRemoveDirectory(context_of(request), shim(request), parent, name, strlen(name));
}

static void on_rename(
    fuse_req_t request, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
    const char *new_name, unsigned flags) {
    AshlarFuseCaller caller = caller_of(request);
    ashlarFuseRename(context_of(request), shim(request), parent, name, strlen(name), new_parent,
                     new_name, strlen(new_name), flags, &caller);
}

static void on_readlink(fuse_req_t request, fuse_ino_t inode) {
    ashlarFuseReadLink(context_of(request), shim(request), inode);
}

static void on_readdir(
    fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)info;
    ashlarFuseReadDirectory(
        context_of(request), shim(request), inode, (uint64_t)offset, size, false);
}

static void on_readdirplus(
    fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)info;
    ashlarFuseReadDirectory(
        context_of(request), shim(request), inode, (uint64_t)offset, size, true);
}

// MARK: attributes

static void on_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info) {
    (void)info;
    ashlarFuseGetAttributes(context_of(request), shim(request), inode);
}

static void on_setattr(
    fuse_req_t request, fuse_ino_t inode, struct stat *attributes, int valid,
    struct fuse_file_info *info) {
    (void)info;
    (void)valid;  // without FATTR_KILL_SUIDGID, which libfuse 3.14 masks away
    AshlarFuseAttributeChange change = {
        .valid = current_request.setattr_valid,
        .mode = attributes->st_mode,
        .user = attributes->st_uid,
        .group = attributes->st_gid,
        .size = (uint64_t)attributes->st_size,
        .access_seconds = attributes->st_atim.tv_sec,
        .modification_seconds = attributes->st_mtim.tv_sec,
        .change_seconds = attributes->st_ctim.tv_sec,
        .access_nanoseconds = (uint32_t)attributes->st_atim.tv_nsec,
        .modification_nanoseconds = (uint32_t)attributes->st_mtim.tv_nsec,
        .change_nanoseconds = (uint32_t)attributes->st_ctim.tv_nsec,
    };
    AshlarFuseCaller caller = caller_of(request);
    ashlarFuseSetAttributes(context_of(request), shim(request), inode, &change, &caller);
}

static void on_statfs(fuse_req_t request, fuse_ino_t inode) {
    (void)inode;
    ashlarFuseUsage(context_of(request), shim(request));
}

static void on_setxattr(
    fuse_req_t request, fuse_ino_t inode, const char *name, const char *value, size_t size,
    int flags) {
    // Not from libfuse's arguments: see FUSE_SETXATTR_EXT in negotiation.c.
    (void)name;
    (void)value;
    (void)size;
    (void)flags;
    const AshlarFuseSession *session = fuse_req_userdata(request);
    const struct fuse_in_header *header = current_request.raw;
    const struct fuse_setxattr_in *in = (const void *)(header + 1);
    bool extended = atomic_load_explicit(&session->extended_setxattr, memory_order_relaxed);
    size_t fixed = extended ? sizeof(*in) : FUSE_COMPAT_SETXATTR_IN_SIZE;
    const char *key = (const char *)in + fixed;
    size_t rest = header->len - sizeof(*header) - fixed;
    size_t length = strnlen(key, rest);
    if (header->len < sizeof(*header) + fixed || length == rest || in->size > rest - length - 1) {
        fuse_reply_err(request, EINVAL);
        return;
    }
    bool clear_set_group = extended && (in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID);
    ashlarFuseSetExtendedAttribute(session->context, shim(request), inode, key, length,
                                   key + length + 1, in->size, in->flags, clear_set_group);
}

static void on_getxattr(fuse_req_t request, fuse_ino_t inode, const char *name, size_t size) {
    ashlarFuseGetExtendedAttribute(
        context_of(request), shim(request), inode, name, strlen(name), size);
}

static void on_listxattr(fuse_req_t request, fuse_ino_t inode, size_t size) {
    AshlarFuseCaller caller = caller_of(request);
    ashlarFuseListExtendedAttributes(context_of(request), shim(request), inode, size, &caller);
}

static void on_removexattr(fuse_req_t request, fuse_ino_t inode, const char *name) {
    ashlarFuseRemoveExtendedAttribute(
        context_of(request), shim(request), inode, name, strlen(name));
}

// MARK: content

// ENOSYS once, and the kernel opens, reads directories and closes without asking. Not left out of
// the table: libfuse would answer success, once for every open.
static void on_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info) {
    (void)inode;
    (void)info;
    fuse_reply_err(request, ENOSYS);
}

static void on_read(
    fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)info;
    ashlarFuseRead(context_of(request), shim(request), inode, (uint64_t)offset, size);
}

static void on_write(
    fuse_req_t request, fuse_ino_t inode, const char *bytes, size_t size, off_t offset,
    struct fuse_file_info *info) {
    (void)info;
    const struct fuse_in_header *header = current_request.raw;
    const struct fuse_write_in *in = (const void *)(header + 1);
    bool drop_privileges = (in->write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
    ashlarFuseWrite(context_of(request), shim(request), inode, (uint64_t)offset, bytes, size,
                    drop_privileges);
}

static void on_fsync(
    fuse_req_t request, fuse_ino_t inode, int data_only, struct fuse_file_info *info) {
    (void)info;
    ashlarFuseSynchronize(context_of(request), shim(request), inode, data_only != 0);
}

static void on_fsyncdir(
    fuse_req_t request, fuse_ino_t inode, int data_only, struct fuse_file_info *info) {
    (void)inode;
    (void)data_only;
    (void)info;
    ashlarFuseSynchronizeAll(context_of(request), shim(request));
}

static void on_fallocate(
    fuse_req_t request, fuse_ino_t inode, int mode, off_t offset, off_t length,
    struct fuse_file_info *info) {
    (void)info;
    AshlarFuseCaller caller = caller_of(request);
    ashlarFuseAllocate(context_of(request), shim(request), inode, mode, (uint64_t)offset,
                       (uint64_t)length, &caller);
}

static void on_lseek(
    fuse_req_t request, fuse_ino_t inode, off_t offset, int whence, struct fuse_file_info *info) {
    (void)info;
    ashlarFuseSeek(context_of(request), shim(request), inode, (uint64_t)offset, whence);
}

static void on_copy_file_range(
    fuse_req_t request, fuse_ino_t source, off_t offset, struct fuse_file_info *info,
    fuse_ino_t target, off_t target_offset, struct fuse_file_info *target_info, size_t length,
    int flags) {
    (void)info;
    (void)target_info;
    if (flags) {
        fuse_reply_err(request, EINVAL);
        return;
    }
    AshlarFuseCaller caller = caller_of(request);
    ashlarFuseCopyRange(context_of(request), shim(request), source, (uint64_t)offset, target,
                        (uint64_t)target_offset, length, &caller);
}

static void on_ioctl(
    fuse_req_t request, fuse_ino_t inode, unsigned command, void *argument,
    struct fuse_file_info *info, unsigned flags, const void *in, size_t in_size, size_t out_size) {
    (void)inode;
    (void)command;
    (void)argument;
    (void)info;
    (void)flags;
    (void)in;
    (void)in_size;
    (void)out_size;
    fuse_reply_err(request, ENOTTY);
}

// Absent, and thereby ENOSYS: access (default_permissions), create (MKNOD costs the same one
// request and opens nothing), flush, getlk, setlk and flock (the kernel's own), bmap, poll.
const struct fuse_lowlevel_ops ashlar_fuse_operations = {
    .init = on_init,
    .lookup = on_lookup,
    .forget = on_forget,
    .forget_multi = on_forget_multi,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .readlink = on_readlink,
    .mknod = on_mknod,
    .mkdir = on_mkdir,
    .symlink = on_symlink,
    .link = on_link,
    .unlink = on_unlink,
    .rmdir = on_rmdir,
    .rename = on_rename,
    .open = on_open,
    .opendir = on_open,
    .read = on_read,
    .write = on_write,
    .fsync = on_fsync,
    .fsyncdir = on_fsyncdir,
    .readdir = on_readdir,
    .readdirplus = on_readdirplus,
    .statfs = on_statfs,
    .setxattr = on_setxattr,
    .getxattr = on_getxattr,
    .listxattr = on_listxattr,
    .removexattr = on_removexattr,
    .fallocate = on_fallocate,
    .lseek = on_lseek,
    .copy_file_range = on_copy_file_range,
    .ioctl = on_ioctl,
};
