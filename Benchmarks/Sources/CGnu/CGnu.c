#define _GNU_SOURCE
#include "CGnu.h"

#include <unistd.h>

int gnu_syncfs(int file) {
    return syncfs(file);
}

int gnu_spawn_chdir(posix_spawn_file_actions_t *actions, const char *path) {
    return posix_spawn_file_actions_addchdir_np(actions, path);
}

off_t gnu_seek_data(int file, off_t from) {
    return lseek(file, from, SEEK_DATA);
}

off_t gnu_seek_hole(int file, off_t from) {
    return lseek(file, from, SEEK_HOLE);
}
