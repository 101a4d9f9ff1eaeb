// Mounting, remounting and unmounting.
//
// Root mounts by mount(2) itself: libfuse's way knows neither relatime nor lazytime, and says why
// it failed on standard error only. Where that is not permitted, fusermount3 does it (by libfuse).
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/// A mount's number that is never used again (kernel 6.8); unknown to Debian 12's headers.
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif

struct flag_name {
    uint32_t flag;
    unsigned long native;
    /// For fusermount3, NULL where it has none.
    const char *name;
};

static const struct flag_name flag_names[] = {
    {ASHLAR_FUSE_MOUNT_READ_ONLY, MS_RDONLY, "ro"},
    {ASHLAR_FUSE_MOUNT_NO_SETUID, MS_NOSUID, "nosuid"},
    {ASHLAR_FUSE_MOUNT_NO_DEVICES, MS_NODEV, "nodev"},
    {ASHLAR_FUSE_MOUNT_NO_EXECUTION, MS_NOEXEC, "noexec"},
    {ASHLAR_FUSE_MOUNT_SYNCHRONOUS, MS_SYNCHRONOUS, "sync"},
    {ASHLAR_FUSE_MOUNT_DIRECTORY_SYNCHRONOUS, MS_DIRSYNC, "dirsync"},
    {ASHLAR_FUSE_MOUNT_NO_ACCESS_TIME, MS_NOATIME, "noatime"},
    {ASHLAR_FUSE_MOUNT_NO_DIRECTORY_ACCESS_TIME, MS_NODIRATIME, NULL},
    {ASHLAR_FUSE_MOUNT_RELATIVE_ACCESS_TIME, MS_RELATIME, NULL},
    {ASHLAR_FUSE_MOUNT_STRICT_ACCESS_TIME, MS_STRICTATIME, NULL},
    {ASHLAR_FUSE_MOUNT_LAZY_TIME, MS_LAZYTIME, NULL},
};
enum { FLAG_NAME_COUNT = sizeof(flag_names) / sizeof(flag_names[0]) };

static unsigned long native_flags(uint32_t flags) {
    unsigned long native = 0;
    for (int i = 0; i < FLAG_NAME_COUNT; i++)
        if (flags & flag_names[i].flag) native |= flag_names[i].native;
    return native;
}

char *ashlar_fuse_helper_options(const AshlarFuseOptions *options) {
    char *list = NULL;
    char source[4200];
    int failed = fuse_opt_add_opt(&list, "default_permissions,subtype=ashlar");
    if (options->allow_other) failed |= fuse_opt_add_opt(&list, "allow_other");
    if (options->debug) failed |= fuse_opt_add_opt(&list, "debug");
    for (int i = 0; i < FLAG_NAME_COUNT; i++)
        if ((options->mount_flags & flag_names[i].flag) && flag_names[i].name)
            failed |= fuse_opt_add_opt(&list, flag_names[i].name);
    if (snprintf(source, sizeof(source), "fsname=%s", options->source) >= (int)sizeof(source))
        failed = -1;
    failed |= fuse_opt_add_opt_escaped(&list, source);
    if (!failed) return list;
    free(list);
    return NULL;
}

/// Asks nothing of a filesystem, so that it answers for dead mounts and for one not yet served.
static int mount_statx(const char *path, struct statx *out) {
    memset(out, 0, sizeof(*out));
    int flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
    return statx(AT_FDCWD, path, flags, STATX_MNT_ID | STATX_MNT_ID_UNIQUE, out) == 0 ? 0 : errno;
}

bool ashlar_fuse_is_mounted(const AshlarFuseSession *session) {
    struct statx now;
    return session->mounted && mount_statx(session->mountpoint, &now) == 0 &&
        now.stx_mnt_id == session->mount_identity;
}

static int mount_directly(AshlarFuseSession *session) {
    struct stat directory;
    if (stat(session->mountpoint, &directory) != 0) return errno;
    if (!S_ISDIR(directory.st_mode)) return ENOTDIR;
    int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0) return errno == ENOENT ? ENODEV : errno;
    char data[128];
    snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=%u,group_id=%u,%s%s", device,
             (unsigned)getuid(), (unsigned)getgid(), "default_permissions",
             session->options.allow_other ? ",allow_other" : "");
    unsigned long flags = native_flags(session->options.mount_flags);
    if (mount(session->source, session->mountpoint, "fuse.ashlar", flags, data) != 0) {
        int error = errno;
        close(device);
        return error;
    }
    session->device = device;
    return 0;
}

static int mount_by_helper(AshlarFuseSession *session) {
    if (fuse_session_mount(session->fuse, session->mountpoint) != 0) return EPERM;
    session->device = fuse_session_fd(session->fuse);
    session->mounted_by_helper = true;
    return 0;
}

/// A FUSE mount begins with 128 KiB of read-ahead, which INIT can lower only; root may raise it.
static void raise_read_ahead(const struct statx *mount) {
    char path[64];
    snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", mount->stx_dev_major,
             mount->stx_dev_minor);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    ssize_t ignored = dprintf(file, "%d", ASHLAR_FUSE_TRANSFER_BYTES_MAX / 1024);
    (void)ignored;
    close(file);
}

int ashlar_fuse_session_mount(AshlarFuseSession *session) {
    if (session->device >= 0) return EBUSY;
    int error = mount_directly(session);
    if (error == EPERM) error = mount_by_helper(session);
    if (error) return error;
    struct statx mount;
    error = mount_statx(session->mountpoint, &mount);
    if (!error) {
        session->mount_identity = mount.stx_mnt_id;
        session->mounted = true;
        raise_read_ahead(&mount);
        error = ashlar_fuse_install_io(session);
    }
    if (error) {
        if (session->mounted_by_helper) {
            fuse_session_unmount(session->fuse);
        } else {
            close(session->device);
            umount2(session->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
        }
        session->device = -1;
        session->mounted = false;
    }
    return error;
}

void ashlar_fuse_disconnect(AshlarFuseSession *session) {
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere < 0) return;
    dup3(nowhere, session->device, O_CLOEXEC);
    close(nowhere);
}

int ashlar_fuse_session_unmount(AshlarFuseSession *session) {
    if (!ashlar_fuse_is_mounted(session)) {
        session->mounted = false;
        return 0;
    }
    session->mounted = false;
    if (umount2(session->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return 0;
    if (errno != EPERM || !session->mounted_by_helper) return errno;
    // By fusermount3; this closes the descriptor and forgets it.
    fuse_session_unmount(session->fuse);
    return 0;
}

int ashlar_fuse_remount(const char *mountpoint, uint32_t mount_flags) {
    unsigned long flags = MS_REMOUNT | native_flags(mount_flags);
    return mount("none", mountpoint, NULL, flags, NULL) == 0 ? 0 : errno;
}
