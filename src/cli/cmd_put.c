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
    return drive_asked(settings, &spec, DRIVE_ALL, err);
}

const struct command cmd_put = {
    .name = "put",
    .synopsis = { "SRC... DEST" },
    .summary = "store files and directories",
    .operand_min = 2,
    .operand_max = COMMAND_OPERANDS_ANY,
    .tables = { rows_keep_name, rows_filter, rows_source, rows_from, rows_one_file_system, rows_fallback, rows_links, rows_dry_run, rows_put,
                rows_compare, rows_digest, rows_job, rows_detach, rows_batches, rows_batch_size, rows_pack, rows_buckets, rows_make_bucket, rows_transfer, rows_access, rows_network, rows_stored, rows_crawl,
                rows_progress, rows_json, rows_common },
    .examples = {
        { "Store what is in a directory below a key", "lade put results file:/store/run7" },
        { "The same without temporary files, and first only on paper",
          "lade put --dry-run --exclude '*.tmp' results file:/store/run7" },
        { "Store exactly the files that a list names, whatever their names are",
          "find . -name '*.fits' -print0 | lade put -0 --files-from - . file:/store/fits" },
        { "Use at most 50 MB a second", "lade put --bwlimit 50MB results file:/store/run7" },
        { "Go on after logout", "lade put --detach results file:/store/run7" },
    },
    .prose = "put.md",
    .run = run,
};
