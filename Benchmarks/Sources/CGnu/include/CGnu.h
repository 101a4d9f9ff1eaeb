/* CGnu: what glibc offers only with _GNU_SOURCE, which Swift's Glibc module does not define. */
#ifndef CGNU_H
#define CGNU_H

#include <spawn.h>
#include <sys/types.h>

/* syncfs(2). */
int gnu_syncfs(int file);
/* posix_spawn_file_actions_addchdir_np(3). */
int gnu_spawn_chdir(posix_spawn_file_actions_t *actions, const char *path);
/* lseek(2) with SEEK_DATA and SEEK_HOLE. */
off_t gnu_seek_data(int file, off_t from);
off_t gnu_seek_hole(int file, off_t from);

#endif
