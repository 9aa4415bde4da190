#include "job/crew.h"

#include "base/ban.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#define CLAIM_FILE_MAX 4096

static void take_line(struct claim_owner *owner, const char *key, const char *value)
{
    if (strcmp(key, "pid") == 0)
        owner->pid = strtol(value, NULL, 10);
    else if (strcmp(key, "start") == 0)
        owner->start_ticks = strtoull(value, NULL, 10);
    else if (strcmp(key, "boot") == 0)
        snprintf(owner->boot, sizeof owner->boot, "%s", value);
    else if (strcmp(key, "host") == 0)
        snprintf(owner->host, sizeof owner->host, "%s", value);
    else if (strcmp(key, "released") == 0)
        owner->released = strcmp(value, "1") == 0;
}

/* Who is named in a claim; what is torn names nobody. */
static void parse(struct claim_owner *owner, char *text)
{
    *owner = (struct claim_owner){ 0 };
    for (char *line = text; *line != '\0';) {
        char *end = strchrnul(line, '\n');
        char *next = *end != '\0' ? end + 1 : end;
        *end = '\0';
        char *blank = strchr(line, ' ');
        if (blank != NULL) {
            *blank = '\0';
            take_line(owner, line, blank + 1);
        }
        line = next;
    }
}

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
    SCOPED(buf) struct buf text = { 0 };
    if (file_read(dir_fd, name, CLAIM_FILE_MAX, &text, &ignored) < 0 || text.len == 0)
        return;
    struct claim_owner owner;
    parse(&owner, text.data);
    if (owner.pid <= 0 || !claim_owner_lives_here(&owner) || is_known(crew, &owner) ||
        crew->count == CREW_MAX)
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
