/* A job file as users write them. */
#include "base/ban.h"
#include "base/scope.h"
#include "cli/command.h"
#include "cli/jobfile.h"
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

static void require(bool promise)
{
    if (!promise)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SCOPED_FD int fd = memfd_create("jobfile", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    SCOPED(settings) struct settings settings = { 0 };
    struct err err = { 0 };
    size_t operands = 0;
    if (jobfile_parse(&settings, path, cmd_put.tables, cmd_run.tables, NULL, 0, NULL, &operands,
                      &err) < 0) {
        require(err.kind == ERR_CONFIG || err.kind == ERR_USAGE);
        return 0;
    }
    require(settings.place.base != NULL && settings.place.target != NULL);
    for (size_t i = 0; i < settings.place.sources.count; i++)
        require(settings.place.sources.items[i][0] == '/');
    return 0;
}
