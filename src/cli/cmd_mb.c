#include "cli/command.h"

#include "base/ban.h"
#include "base/scope.h"
#include "cli/rows.h"
#include "store/location.h"
#include "store/spread/spread_template.h"

static int make(const struct settings *settings, const char *text, struct err *err)
{
    SCOPED(location) struct location location = { 0 };
    if (location_parse(&location, text, err) < 0)
        return -1;
    if (location_is_local(&location)) {
        err_set(err, ERR_USAGE, "'%s' is a directory, not a bucket", text);
        return err_hint(err, "lade put makes directories as it needs them");
    }
    if (spread_is_template(location.path))
        return err_set(err, ERR_USAGE, "a template names no bucket to make");
    const struct store_driver *driver = store_driver_by_scheme(location.scheme);
    const struct store_options options = { .make_bucket = true,
                                           .stall_s = (uint32_t)settings->stall_s,
                                           .access = settings->access };
    struct store *store = NULL;
    if (driver->open(&store, location.path, &options, err) < 0)
        return -1;
    driver->close(store);
    return 0;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    for (size_t i = 0; i < operand_count; i++)
        if (make(settings, operands[i], err) < 0)
            return err_at(err, "make '%s'", operands[i]);
    return EXIT_DONE;
}

const struct command cmd_mb = {
    .name = "mb",
    .synopsis = { "s3://BUCKET..." },
    .summary = "make buckets",
    .operand_min = 1,
    .operand_max = COMMAND_OPERANDS_ANY,
    .tables = { rows_access, rows_network, rows_common },
    .examples = {
        { "Make a bucket", "lade mb s3://run7" },
        { "The same on another server", "lade mb --endpoint-url https://a3s.fi s3://run7" },
    },
    .prose = "mb.md",
    .run = run,
};
