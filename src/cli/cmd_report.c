#include "cli/command.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/jobs.h"
#include "cli/rows.h"
#include "job/outcome.h"
#include "ui/report.h"

#include <fcntl.h>

#define FILE_NAME "report.html"

/* The page takes the place of an older one only when it is whole. */
static int write_below(int dir_fd, const char *name, const struct buf *page, struct err *err)
{
    return file_replace(dir_fd, name, page->data, page->len, err);
}

static int write_to(const char *path, const struct buf *page, struct err *err)
{
    char *whole = path_absolute(path);
    char *slash = strrchr(whole, '/');
    const char *name = slash + 1;
    *slash = '\0';
    SCOPED_FD int dir_fd = open(whole[0] != '\0' ? whole : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int result = dir_fd < 0 ? err_sys(err, ERR_LOCAL, "open '%s'", whole)
                                  : write_below(dir_fd, name, page, err);
    mem_release(whole);
    return result;
}

static int put_page(const struct settings *settings, const struct job *job, const struct buf *page,
                    struct err *err)
{
    if (settings->output != NULL && strcmp(settings->output, "-") == 0) {
        fwrite(page->data, 1, page->len, stdout);
        return EXIT_DONE;
    }
    const int result = settings->output != NULL ? write_to(settings->output, page, err)
                                                : write_below(job->dir_fd, FILE_NAME, page, err);
    if (result < 0)
        return -1;
    SCOPED(buf) struct buf path = { 0 };
    path_show(&path, settings->output != NULL ? settings->output : job->path);
    if (!settings->quiet)
        printf("report     %s%s\n", buf_text(&path), settings->output != NULL ? "" : "/" FILE_NAME);
    return EXIT_DONE;
}

static int make_page(const struct job *job, const struct status *status,
                     const struct history *history, struct buf *page, struct err *err)
{
    struct tally *tally = mem_alloc(sizeof *tally);
    struct outcome outcome;
    struct err unknown = { 0 };
    const bool ended = outcome_read(&outcome, job, &unknown) == 0;
    const int result = tally_read(tally, job, status->generation, history, err);
    if (result == 0) {
        const struct report report = { .job = job,
                                       .status = status,
                                       .history = history,
                                       .tally = tally,
                                       .outcome = ended ? &outcome : NULL,
                                       .now_ns = clock_now_ns() };
        report_page(&report, page);
        tally_done(tally);
    }
    mem_release(tally);
    return result;
}

static int read_history(struct history *history, const struct job *job, uint32_t number,
                        struct err *err)
{
    struct generation generation;
    if (generation_open(&generation, job, number, err) < 0)
        return -1;
    const int result = history_read(history, &generation, err);
    generation_done(&generation);
    return result;
}

static int report(const struct settings *settings, const struct job *job, struct err *err)
{
    struct status status;
    struct history history;
    SCOPED(buf) struct buf page = { 0 };
    if (status_read(&status, job, err) < 0)
        return -1;
    if (status.generation == 0)
        return err_set(err, ERR_ABSENT, "nothing is planned in '%s' yet", job->path);
    if (read_history(&history, job, status.generation, err) < 0)
        return -1;
    const int result = make_page(job, &status, &history, &page, err);
    history_done(&history);
    return result < 0 ? -1 : put_page(settings, job, &page, err);
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    struct job job;
    if (jobs_open(&job, operand_count != 0 ? operands[0] : NULL, err) < 0)
        return -1;
    const int status = report(settings, &job, err);
    job_close(&job);
    return status;
}

const struct command cmd_report = {
    .name = "report",
    .synopsis = { "[JOB]" },
    .summary = "write what a job did as a page for a browser",
    .operand_min = 0,
    .operand_max = 1,
    .tables = { rows_output, rows_common },
    .examples = {
        { "Write a page that can be mailed or kept", "lade report -o run7.html run7.job" },
    },
    .prose = "report.md",
    .run = run,
};
