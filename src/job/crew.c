#include "job/crew.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

/* A process that runs a job again and again has a claim for each time. */
static bool is_known(struct crew *crew, const struct claim_owner *owner)
{
    for (size_t i = 0; i < crew->count; i++) {
        if (crew->here[i].pid != owner->pid)
            continue;
        crew->here[i].released = crew->here[i].released && owner->released;
        return true;
    }
    return false;
}

static void look_at(struct crew *crew, int dir_fd, const char *name)
{
    struct err ignored = { 0 };
    struct claim_owner owner;
    if (claim_read_file(&owner, dir_fd, name, 0, &ignored) < 0 || owner.pid <= 0 ||
        !claim_owner_lives_here(&owner) || is_known(crew, &owner) || crew->count == CREW_MAX)
        return;
    crew->here = mem_resize(crew->here, (crew->count + 1) * sizeof *crew->here);
    crew->here[crew->count++] = owner;
}

int crew_read(struct crew *ret_crew, const struct job *job, struct err *err)
{
    struct crew crew = { 0 };
    if (claim_read(&crew.elsewhere, job->dir_fd, err) < 0)
        return -1;
    if (crew.elsewhere.released || claim_owner_is_local(&crew.elsewhere))
        crew.elsewhere = (struct claim_owner){ 0 };
    const int fd = openat(job->dir_fd, "claims", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL && errno != ENOENT)
        return err_sys(err, ERR_LOCAL, "read the claims of the job");
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            look_at(&crew, fd, entry->d_name);
    if (dir != NULL)
        closedir(dir);
    *ret_crew = crew;
    return 0;
}

void crew_done(struct crew *crew)
{
    mem_free(crew->here);
    crew->count = 0;
}
