#include "cli/command.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/units.h"
#include "cli/rows.h"
#include "job/objects.h"

struct sweep {
    const struct settings *settings;
    struct store *store;
    int64_t begun_before_ns; /* 0 = any */
    uint64_t failed;
};

static void tell(const struct sweep *sweep, const struct store_upload *upload,
                 const struct err *why)
{
    SCOPED(buf) struct buf line = { 0 };
    char time_text[CLOCK_TEXT_MAX] = "-";
    const bool aborted = sweep->settings->abort_uploads && why->kind == ERR_NONE;
    if (sweep->settings->json) {
        struct json json = json_into(&line);
        json_object(&json, NULL);
        json_bytes(&json, "key", upload->key.data, upload->key.len);
        json_text(&json, "id", upload->id);
        if (upload->begun_ns != 0)
            clock_text_utc(upload->begun_ns, time_text);
        json_text(&json, "begun", upload->begun_ns != 0 ? time_text : NULL);
        json_u64(&json, "size", upload->size_bytes);
        json_u64(&json, "parts", upload->parts);
        json_bool(&json, "aborted", aborted);
        if (why->kind != ERR_NONE)
            json_text(&json, "reason", why->text);
        json_object_end(&json);
        json_line_end(&json);
    } else {
        if (upload->begun_ns != 0)
            clock_text_local(upload->begun_ns, time_text);
        buf_printf(&line, "%s%s  %15llu  %s  ", aborted ? "abort: " : "", time_text,
                   (unsigned long long)upload->size_bytes, upload->id);
        path_show(&line, upload->key.data);
        buf_add_char(&line, '\n');
    }
    fwrite(line.data, 1, line.len, stdout);
    if (why->kind != ERR_NONE && !sweep->settings->json)
        fprintf(stderr, "failed: %s: %s\n", upload->id, why->text);
}

static int visit(struct sweep *sweep, const struct store_upload *upload, struct err *err)
{
    if (sweep->begun_before_ns != 0 && upload->begun_ns > sweep->begun_before_ns)
        return 0;
    struct err why = { 0 };
    if (sweep->settings->abort_uploads &&
        sweep->store->driver->abort(sweep->store, upload->key.data, upload->token, &why) < 0) {
        if (err_trait(why.kind)->ends_run) {
            *err = why;
            return -1;
        }
        sweep->failed++;
    }
    tell(sweep, upload, &why);
    return 0;
}

static int sweep_all(struct sweep *sweep, struct err *err)
{
    const struct store_driver *driver = sweep->store->driver;
    struct store_uploads *uploads = NULL;
    SCOPED(store_upload) struct store_upload upload = { 0 };
    if (driver->locate != NULL) {
        err_set(err, ERR_USAGE, "uploads are told for one bucket at a time");
        return err_hint(err, "name a bucket instead of the template");
    }
    if (driver->uploads_open == NULL)
        return err_set(err, ERR_USAGE, "such a store does not tell of unfinished uploads");
    if (driver->uploads_open(&uploads, sweep->store, "", err) < 0)
        return -1;
    int got = 0;
    while ((got = driver->uploads_next(uploads, &upload, err)) == 1)
        if (visit(sweep, &upload, err) < 0) {
            got = -1;
            break;
        }
    driver->uploads_close(uploads);
    return got;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    struct sweep sweep = { .settings = settings };
    (void)operand_count;
    if (settings->older_than != NULL) {
        uint64_t seconds = 0;
        if (units_parse_span(&seconds, settings->older_than, err) < 0)
            return err_at(err, "--older-than");
        sweep.begun_before_ns = clock_now_ns() - (int64_t)seconds * NS_PER_S;
    }
    const struct store_options options = { .stall_s = (uint32_t)settings->stall_s,
                                           .access = settings->access };
    if (store_open_location(&sweep.store, operands[0], &options, err) < 0)
        return -1;
    const int result = sweep_all(&sweep, err);
    sweep.store->driver->close(sweep.store);
    if (result < 0)
        return err_at(err, "'%s'", operands[0]);
    return sweep.failed != 0 ? EXIT_SOME_FAILED : EXIT_DONE;
}

const struct command cmd_uploads = {
    .name = "uploads",
    .synopsis = { "LOC" },
    .summary = "list unfinished uploads, and end them",
    .operand_min = 1,
    .operand_max = 1,
    .tables = { rows_uploads, rows_access, rows_network, rows_json, rows_common },
    .examples = {
        { "What takes room below a key and belongs to no object", "lade uploads s3://run7/raw" },
        { "End what is older than a week", "lade uploads --abort --older-than 7d s3://run7" },
    },
    .prose = "uploads.md",
    .run = run,
};
