#include "cli/command.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/units.h"
#include "cli/ask.h"
#include "cli/rows.h"
#include "cli/say.h"
#include "job/find.h"
#include "ui/table.h"

#include <stdlib.h>
#include <unistd.h>

/* How what is found is written. */
struct output {
    const struct settings *settings;
    bool on_terminal;
    struct table table;
    struct buf line;
};

static const struct table_column long_columns[] = {
    { .title = "size", .cells = 15, .right = true },
    { .title = "date", .cells = 19 },
    { .title = "location" },
};
static const char *const kind_names[] = { "file", "dir", "link", "pack" };

static void write_json(struct output *output, const struct search_hit *hit, const char *location)
{
    struct json json = json_into(&output->line);
    json_object(&json, NULL);
    json_bytes(&json, "location", location, strlen(location));
    json_text(&json, "kind", kind_names[hit->kind]);
    if (hit->has_size)
        json_u64(&json, "size", hit->size_bytes);
    if (hit->time_ns != 0) {
        char text[CLOCK_TEXT_MAX];
        clock_text_utc(hit->time_ns, text);
        json_text(&json, "time", text);
    }
    json_bytes(&json, "key", hit->key, strlen(hit->key));
    if (hit->member != NULL)
        json_bytes(&json, "member", hit->member, strlen(hit->member));
    json_object_end(&json);
    json_line_end(&json);
}

static void write_long(struct output *output, const struct search_hit *hit, const char *location)
{
    char size[UNITS_TEXT_MAX] = "";
    char time_text[CLOCK_TEXT_MAX] = "";
    if (hit->has_size)
        snprintf(size, sizeof size, "%llu", (unsigned long long)hit->size_bytes);
    if (hit->time_ns != 0)
        clock_text_local(hit->time_ns, time_text);
    const char *texts[] = { size, time_text, location };
    table_row(&output->table, texts, &output->line);
}

static int take(void *ctx, const struct place *place, const struct search_hit *hit,
                const char *location, struct err *err)
{
    struct output *output = ctx;
    (void)place;
    buf_clear(&output->line);
    if (output->settings->json) {
        write_json(output, hit, location);
    } else if (output->settings->long_format) {
        write_long(output, hit, location);
    } else {
        /* To a program a name is its bytes; on a terminal it must not do anything. */
        if (output->on_terminal)
            path_show(&output->line, location);
        else
            buf_add_text(&output->line, location);
        buf_add_char(&output->line, output->settings->end_in_nul ? '\0' : '\n');
    }
    if (fwrite(output->line.data, 1, output->line.len, stdout) != output->line.len)
        return err_sys(err, ERR_LOCAL, "write to standard output");
    return 0;
}

static void warn(void *ctx, const struct place *place, const struct err *err)
{
    SCOPED(buf) struct buf line = { 0 };
    (void)ctx;
    buf_add_text(&line, "lade: '");
    path_show(&line, place->location);
    buf_add_text(&line, "': ");
    say_escape(&line, err->text);
    fprintf(stderr, "%s\n", line.data);
    if (err->hint[0] != '\0')
        fprintf(stderr, "hint: %s\n", err->hint);
}

/* ---- where ---- */

static int asked_places(struct places *places, const struct settings *settings, char **operands,
                        size_t count, struct err *err)
{
    places->items = mem_alloc(count * sizeof *places->items);
    for (size_t i = 0; i < count; i++) {
        char *absolute = NULL;
        if (ask_absolute(&absolute, operands[i], err) < 0)
            return -1;
        place_of(&places->items[places->count++], absolute, &settings->access);
        mem_release(absolute);
    }
    return 0;
}

static int known_places(struct places *places, struct err *err)
{
    places_read(places);
    if (places->count != 0)
        return 0;
    err_set(err, ERR_USAGE, "no place is known yet where something could be found");
    return err_hint(err, "name one: lade find PATTERN LOC");
}

static int ask_query(struct query **ret_query, const struct settings *settings, const char *pattern,
                     struct err *err)
{
    struct query_bounds bounds = { .kinds = settings->types };
    if (settings->size != NULL && query_parse_size(&bounds, settings->size, err) < 0)
        return err_at(err, "--size");
    if (settings->newer != NULL &&
        query_parse_newer(&bounds, settings->newer, clock_now_ns(), err) < 0)
        return err_at(err, "--newer");
    return query_new(ret_query, pattern, settings->regex, &bounds, err);
}

/* Search one after the other. A place that is no more is forgotten when nobody named it. */
static int find_all(const struct places *places, bool named, const struct find_options *options,
                    struct err *err)
{
    struct find_counts counts = { 0 };
    for (size_t i = 0; i < places->count; i++) {
        const struct place *place = &places->items[i];
        if (find_in(place, options, &counts, err) < 0)
            return err_at(err, "find in '%s'", place->location);
        if (counts.gone && !named)
            places_note(place, true);
        else if (!counts.gone && named && !options->offline)
            places_note(place, false);
    }
    return counts.unreached != 0 ? EXIT_SETUP : counts.found != 0 ? EXIT_DONE : EXIT_SOME_FAILED;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    SCOPED(places) struct places places = { 0 };
    struct query *query = NULL;
    const bool named = operand_count > 1;
    if ((named ? asked_places(&places, settings, operands + 1, operand_count - 1, err)
               : known_places(&places, err)) < 0 ||
        ask_query(&query, settings, operands[0], err) < 0)
        return -1;
    struct output output = { .settings = settings,
                             .on_terminal = isatty(STDOUT_FILENO) != 0,
                             .table = { long_columns,
                                        sizeof long_columns / sizeof *long_columns } };
    const struct find_options options = { .query = query,
                                          .all = settings->all_versions,
                                          .offline = settings->offline,
                                          .stall_s = (uint32_t)settings->stall_s,
                                          .take = take,
                                          .warn = warn,
                                          .ctx = &output };
    const int status = find_all(&places, named, &options, err);
    query_free(query);
    buf_done(&output.line);
    return status;
}

const struct command cmd_find = {
    .name = "find",
    .synopsis = { "PATTERN [LOC...]" },
    .summary = "find objects and members of packs by name",
    .operand_min = 1,
    .operand_max = COMMAND_OPERANDS_ANY,
    .tables = { rows_find, rows_long, rows_access, rows_network, rows_json, rows_common },
    .examples = {
        { "Where is that image, in any place that was ever used from here", "lade find img0042" },
        { "All large FITS files of the last week in a bucket",
          "lade find --size +1G --newer 7d '*.fits' s3://bucket" },
        { "Fetch what is found",
          "lade find -0 'night1 *.log' s3://bucket | xargs -0 -I {} lade get {} logs" },
    },
    .prose = "find.md",
    .run = run,
};
