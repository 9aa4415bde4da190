#include "cli/command.h"

#include "base/ban.h"
#include "cli/ask.h"
#include "cli/drive.h"
#include "cli/drive_archive.h"
#include "cli/rows.h"

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    struct archived_place place;
    const int inside = drive_archive_find(&place, settings, operands, operand_count, err);
    if (inside != 0)
        return inside < 0 ? -1 : drive_archive(settings, &place, operands, operand_count, err);
    struct job_spec spec;
    if (ask_get(&spec, settings, operands, operand_count, err) < 0)
        return -1;
    return drive_asked(settings, &spec, DRIVE_ALL, err);
}

const struct command cmd_get = {
    .name = "get",
    .synopsis = { "LOC... DIR", "--to FILE LOC" },
    .summary = "fetch objects into a directory",
    .operand_min = 1,
    .operand_max = COMMAND_OPERANDS_ANY,
    .tables = { rows_keep_name, rows_get, rows_setid, rows_archive, rows_filter, rows_dry_run, rows_compare, rows_job,
                rows_detach, rows_batches, rows_batch_size, rows_keep_packs, rows_xattrs, rows_buckets, rows_transfer, rows_access, rows_network, rows_progress, rows_json, rows_common },
    .examples = {
        { "Fetch all that lies below a key", "lade get file:/store/run7 results" },
        { "Fetch one object under another name",
          "lade get --to first.fits file:/store/run7/a.fits" },
        { "Unpack a directory of an archive",
          "lade get 's3://bucket/run7.tar.zst!/night1/' results" },
        { "Fetch by wildcard", "lade get --glob 'file:/store/run*/a.fits' results" },
    },
    .prose = "get.md",
    .run = run,
};
