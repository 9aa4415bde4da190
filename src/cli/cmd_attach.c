#include "cli/command.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "cli/jobs.h"
#include "cli/rows.h"
#include "cli/say.h"
#include "cli/watch.h"
#include "job/crew.h"
#include "job/outcome.h"
#include "job/status.h"

static void tell(const struct settings *settings, const char *text)
{
    SCOPED(buf) struct buf line = { 0 };
    say_escape(&line, text);
    if (!settings->quiet)
        fprintf(stderr, "%s\n", buf_text(&line));
}

/* Several may have worked on it, and the one whose word is there last was not the lead: then the
 * job itself tells. */
static int tell_state(const struct settings *settings, const struct job *job)
{
    struct status status;
    struct err unknown = { 0 };
    if (status_read(&status, job, &unknown) < 0 ||
        (status.state != STATUS_FINISHED && status.state != STATUS_FAILURES))
        return -1;
    tell(settings, status_state_name(status.state));
    return status.state == STATUS_FINISHED ? EXIT_DONE : EXIT_SOME_FAILED;
}

/* How the run ended that had the job last; ERR_LOCAL when it did not say so. */
static int tell_outcome(const struct settings *settings, const struct job *job,
                        const struct claim_owner *owner, struct err *err)
{
    struct outcome outcome;
    struct err why = { 0 };
    if (outcome_read(&outcome, job, &why) < 0 || outcome.pid != owner->pid ||
        strcmp(outcome.host, owner->host) != 0) {
        const int exit_status = tell_state(settings, job);
        if (exit_status >= 0)
            return exit_status;
        err_set(err, ERR_LOCAL, "the last run did not say how it ended: process %ld on host '%s'",
                owner->pid, owner->host);
        return err_hint(err, "go on with 'lade run %.80s'", job->path);
    }
    char when[CLOCK_TEXT_MAX];
    SCOPED(buf) struct buf line = { 0 };
    clock_text_local(outcome.ended_ns, when);
    buf_printf(&line, "ended %s with status %d: %s", when, outcome.exit_status, outcome.text);
    tell(settings, line.data);
    return outcome.exit_status;
}

static int attach(const struct settings *settings, const struct job *job, struct err *err)
{
    const struct watch_options options = { .failures = true };
    enum watch_end end = WATCH_IDLE;
    struct claim_owner owner;
    if (watch_job(&end, settings, job, &options, err) < 0 ||
        claim_read(&owner, job->dir_fd, err) < 0)
        return -1;
    if (end == WATCH_INTERRUPTED) {
        SCOPED(buf) struct buf line = { 0 };
        buf_printf(&line, "the job goes on; look again: lade attach %s", job->path);
        tell(settings, line.data);
        return EXIT_INTERRUPTED;
    }
    if (owner.number == 0) {
        err_set(err, ERR_ABSENT, "nobody has worked on '%s' yet", job->path);
        return err_hint(err, "begin with 'lade run %.80s'", job->path);
    }
    return tell_outcome(settings, job, &owner, err);
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    struct job job;
    if (jobs_open(&job, operand_count != 0 ? operands[0] : NULL, err) < 0)
        return -1;
    const int status = attach(settings, &job, err);
    job_close(&job);
    return status;
}

const struct command cmd_attach = {
    .name = "attach",
    .synopsis = { "[JOB]" },
    .summary = "watch a job that another process runs",
    .operand_min = 0,
    .operand_max = 1,
    .tables = { rows_progress, rows_common },
    .examples = {
        { "Watch the job that was started last, until it ends", "lade attach" },
        { "A certain job", "lade attach run7.job" },
    },
    .prose = "attach.md",
    .run = run,
};
