#include "cli/command.h"

#include "base/ban.h"
#include "cli/ask.h"
#include "cli/drive.h"
#include "cli/rows.h"

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    struct job_spec spec;
    if (ask_put(&spec, settings, operands, operand_count, err) < 0)
        return -1;
    return drive_asked(settings, &spec, DRIVE_PLAN, err);
}

const struct command cmd_plan = {
    .name = "plan",
    .synopsis = { "SRC... DEST", "--file FILE" },
    .summary = "plan a put without moving anything",
    .operand_min = 2,
    .operand_max = COMMAND_OPERANDS_ANY,
    .tables = { rows_file, rows_keep_name, rows_filter, rows_source, rows_fallback, rows_links, rows_dry_run, rows_put,
                rows_compare, rows_digest, rows_job, rows_batches, rows_transfer, rows_access, rows_network, rows_stored, rows_crawl,
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
