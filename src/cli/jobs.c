#include "cli/jobs.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/job.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

static int64_t modified_ns(const char *path, const char *below)
{
    SCOPED(buf) struct buf whole = { 0 };
    struct stat st;
    buf_printf(&whole, "%s/%s", path, below);
    return stat(whole.data, &st) == 0 ? clock_from_timespec_ns(st.st_mtim) : 0;
}

static int compare_names(const void *left, const void *right)
{
    const struct job_name *a = left;
    const struct job_name *b = right;
    return a->worked_ns < b->worked_ns ? -1 : a->worked_ns > b->worked_ns;
}

int jobs_list(struct job_name **ret_names, size_t *ret_count, struct err *err)
{
    struct job_name *names = NULL;
    size_t count = 0;
    char *home = jobs_home();
    DIR *dir = opendir(home);
    if (dir == NULL && errno != ENOENT) {
        err_sys(err, ERR_CONFIG, "read '%s'", home);
        mem_release(home);
        return -1;
    }
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        struct buf path = { 0 };
        buf_printf(&path, "%s/%s", home, entry->d_name);
        names = mem_resize(names, (count + 1) * sizeof *names);
        names[count] = (struct job_name){ .name = mem_string(entry->d_name),
                                          .worked_ns = modified_ns(path.data, "claims") };
        names[count++].path = buf_take(&path);
    }
    if (dir != NULL)
        closedir(dir);
    mem_release(home);
    if (count != 0)
        qsort(names, count, sizeof *names, compare_names);
    *ret_names = names;
    *ret_count = count;
    return 0;
}

void jobs_free(struct job_name *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_release(names[i].name);
        mem_release(names[i].path);
    }
    mem_release(names);
}

int jobs_newest(char **ret_path, struct err *err)
{
    struct job_name *names = NULL;
    size_t count = 0;
    if (jobs_list(&names, &count, err) < 0)
        return -1;
    if (count == 0) {
        err_set(err, ERR_ABSENT, "there is no job yet");
        return err_hint(err, "give the directory of a job");
    }
    *ret_path = mem_string(names[count - 1].path);
    jobs_free(names, count);
    return 0;
}

int jobs_open(struct job *job, const char *path, struct err *err)
{
    char *newest = NULL;
    if (path == NULL && jobs_newest(&newest, err) < 0)
        return -1;
    const int result = job_open(job, path != NULL ? path : newest, err);
    mem_release(newest);
    return result;
}
