#include "fuzz_file.h"

#include "base/ban.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

static char path[64];
static int dir_fd = -1;

static void remove_dir(void)
{
    DIR *dir = fdopendir(dir_fd);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        unlinkat(dir_fd, entry->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    rmdir(path);
}

int fuzz_dir(void)
{
    if (dir_fd >= 0)
        return dir_fd;
    const bool shm = access("/dev/shm", W_OK) == 0; /* a file system in memory is fast */
    snprintf(path, sizeof path, "%s/lade-fuzz-XXXXXX", shm ? "/dev/shm" : "/tmp");
    if (mkdtemp(path) == NULL || (dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        abort();
    atexit(remove_dir);
    return dir_fd;
}

void fuzz_write(const char *name, const void *bytes, size_t len)
{
    const int fd = openat(fuzz_dir(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
        abort();
    close(fd);
}
