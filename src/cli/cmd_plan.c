#include "cli/command.h"

#include "base/ban.h"
#include "base/scope.h"
#include "cli/ask.h"
#include "cli/drive.h"
#include "cli/rows.h"
#include "job/batches.h"

#include <stdio.h>
#include <unistd.h>

/* Only the whole list is ever seen under its name. */
static int export_batches(const struct job *job, const char *path, struct err *err)
{
    uint32_t newest = 0;
    uint32_t finished = 0;
    if (job_generations(job, &newest, &finished, err) < 0)
        return -1;
    if (strcmp(path, "-") == 0)
        return batches_export(job, newest, stdout, err);
    SCOPED(buf) struct buf temp = { 0 };
    buf_printf(&temp, "%s.%ld.tmp", path, (long)getpid());
    FILE *out = fopen(temp.data, "we");
    if (out == NULL)
        return err_sys(err, ERR_LOCAL, "write '%s'", path);
    int result = batches_export(job, newest, out, err);
    if (result == 0 && (fflush(out) != 0 || fsync(fileno(out)) != 0))
        result = err_sys(err, ERR_LOCAL, "write '%s'", path);
    fclose(out);
    if (result == 0 && rename(temp.data, path) != 0)
        result = err_sys(err, ERR_LOCAL, "write '%s'", path);
    if (result < 0)
        unlink(temp.data);
    return result;
}

static int plan_and_export(const struct settings *settings, struct job_spec *spec, struct err *err)
{
    struct job job;
    if (drive_open(&job, settings, spec, err) < 0)
        return -1;
    struct settings silent = *settings;
    silent.quiet |= strcmp(settings->export, "-") == 0;
    int status = drive_job(&silent, &job, spec, DRIVE_PLAN, err);
    job_spec_done(spec);
    if (status == EXIT_DONE && export_batches(&job, settings->export, err) < 0)
        status = -1;
    job_close(&job);
    return status;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    struct job_spec spec;
    if (ask_put(&spec, settings, operands, operand_count, err) < 0)
        return -1;
    if (settings->export == NULL)
        return drive_asked(settings, &spec, DRIVE_PLAN, err);
    if (settings->dry_run) {
        job_spec_done(&spec);
        return err_set(err, ERR_USAGE,
                       "--export writes the plan of a job, and --dry-run makes none");
    }
    return plan_and_export(settings, &spec, err);
}

const struct command cmd_plan = {
    .name = "plan",
    .synopsis = { "SRC... DEST", "--file FILE" },
    .summary = "plan a put without moving anything",
    .operand_min = 2,
    .operand_max = COMMAND_OPERANDS_ANY,
    .tables = { rows_file, rows_keep_name, rows_filter, rows_source, rows_from, rows_one_file_system, rows_fallback, rows_links, rows_dry_run, rows_put,
                rows_compare, rows_digest, rows_export, rows_job, rows_batches, rows_batch_size, rows_pack, rows_buckets, rows_make_bucket, rows_transfer, rows_access, rows_network, rows_stored, rows_crawl,
                rows_progress, rows_json, rows_common },
    .examples = {
        { "Make a job, look at it, and run it",
          "lade plan --job run7.job results file:/store/run7" },
        { "Plan one part of what a job file describes, as a test",
          "lade plan --file mirror.ini --only edr/spectro/redux" },
        { "Tell which entries would be moved, and why the others would not",
          "lade plan --dry-run -v --exclude '*.tmp' results file:/store/run7" },
    },
    .prose = "plan.md",
    .run = run,
};
