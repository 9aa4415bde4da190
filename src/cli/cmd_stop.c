#include "cli/command.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"
#include "cli/jobs.h"
#include "cli/rows.h"
#include "job/crew.h"

#include <errno.h>
#include <signal.h>

#define LOOK_NS (50 * NS_PER_MS)
#define HARDER_NS                                                                                  \
    (3 * NS_PER_S) /* a run ends within two seconds, unless it ignores the first signal */

/* One that released its claim ends by itself. Looked at again right before: a number that is
 * another process's by now gets no signal. */
static int signal_one(const struct claim_owner *owner, int number, struct err *err)
{
    if (owner->released || !claim_owner_lives_here(owner) || kill((pid_t)owner->pid, number) == 0 ||
        errno == ESRCH)
        return 0;
    return err_sys(err, ERR_DENIED, "stop process %ld", owner->pid);
}

static int signal_all(const struct crew *crew, int number, struct err *err)
{
    for (size_t i = 0; i < crew->count; i++)
        if (signal_one(&crew->here[i], number, err) < 0)
            return -1;
    return 0;
}

/* One that lives, NULL: none does. */
static const struct claim_owner *find_living(const struct crew *crew)
{
    for (size_t i = 0; i < crew->count; i++)
        if (claim_owner_lives_here(&crew->here[i]))
            return &crew->here[i];
    return NULL;
}

static int wait_for_all(const struct crew *crew, int64_t span_ns, struct err *err)
{
    const struct timespec step = clock_to_timespec(LOOK_NS);
    const int64_t start_ns = clock_monotonic_ns();
    const struct claim_owner *living;
    bool harder = false;
    while ((living = find_living(crew)) != NULL) {
        const int64_t waited_ns = clock_monotonic_ns() - start_ns;
        if (waited_ns >= span_ns) {
            err_set(err, ERR_LOCAL, "process %ld is still there", living->pid);
            return err_hint(err, "'kill -9 %ld' ends it; the job can be continued all the same",
                            living->pid);
        }
        /* A shell may have started it so that it ignores the signal of Ctrl-C. */
        if (waited_ns >= HARDER_NS && !harder) {
            harder = true;
            if (signal_all(crew, SIGTERM, err) < 0)
                return -1;
        }
        nanosleep(&step, NULL);
    }
    return 0;
}

static int stop_crew(const struct settings *settings, const struct job *job,
                     const struct crew *crew, struct err *err)
{
    if (signal_all(crew, SIGINT, err) < 0 ||
        wait_for_all(crew, (int64_t)settings->wait_s * NS_PER_S, err) < 0)
        return -1;
    for (size_t i = 0; i < crew->count && !settings->quiet; i++)
        printf("stopped: process %ld\n", crew->here[i].pid);
    if (crew->elsewhere.number != 0) {
        err_set(err, ERR_CONFIG, "process %ld works on this job on host '%s', or did last",
                crew->elsewhere.pid, crew->elsewhere.host);
        return err_hint(err, "stop it there, with the same command");
    }
    if (crew->count == 0 && !settings->quiet)
        printf("nobody works on '%s'\n", job->path);
    return EXIT_DONE;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    struct job job;
    struct crew crew;
    (void)operand_count;
    if (jobs_open(&job, operands[0], err) < 0)
        return -1;
    int status = crew_read(&crew, &job, err);
    if (status == 0) {
        status = stop_crew(settings, &job, &crew, err);
        crew_done(&crew);
    }
    job_close(&job);
    return status;
}

const struct command cmd_stop = {
    .name = "stop",
    .synopsis = { "JOB" },
    .summary = "stop a job, so that it can be continued",
    .operand_min = 1,
    .operand_max = 1,
    .tables = { rows_wait, rows_common },
    .examples = {
        { "Stop a job that runs in the background, and go on with it later",
          "lade stop run7.job" },
    },
    .prose = "stop.md",
    .run = run,
};
