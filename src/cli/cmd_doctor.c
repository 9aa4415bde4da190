#include "cli/command.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/scope.h"
#include "cli/rows.h"
#include "cli/say.h"
#include "store/location.h"
#include "store/spread/spread_template.h"

#define NAME_COLUMNS 16
#define TEXT_COLUMN (6 + NAME_COLUMNS)

static const char *const health_names[] = {
    [STORE_OK] = "ok", [STORE_WARN] = "warn", [STORE_BAD] = "bad"
};

static void show_json(const struct store_finding *finding)
{
    SCOPED(buf) struct buf line = { 0 };
    struct json json = json_into(&line);
    json_object(&json, NULL);
    json_text(&json, "name", finding->name);
    json_text(&json, "status", health_names[finding->health]);
    json_bytes(&json, "text", finding->text, strlen(finding->text));
    if (finding->todo[0] != '\0')
        json_bytes(&json, "todo", finding->todo, strlen(finding->todo));
    json_object_end(&json);
    json_line_end(&json);
    fwrite(line.data, 1, line.len, stdout);
}

static void show_text(const struct store_finding *finding)
{
    SCOPED(buf) struct buf line = { 0 };
    SCOPED(buf) struct buf text = { 0 };
    SCOPED(buf) struct buf todo = { 0 };
    say_escape(&text, finding->text);
    buf_printf(&line, "%-5s %-*s", health_names[finding->health], NAME_COLUMNS, finding->name);
    say_wrapped(&line, TEXT_COLUMN, TEXT_COLUMN, buf_text(&text));
    if (finding->todo[0] != '\0') {
        buf_printf(&line, "%*s", TEXT_COLUMN, "");
        buf_add_text(&todo, "to do: ");
        say_escape(&todo, finding->todo);
        say_wrapped(&line, TEXT_COLUMN, TEXT_COLUMN, todo.data);
    }
    fwrite(line.data, 1, line.len, stdout);
}

/* "3 days ago": the largest unit that gives a number. */
static void show_age(int64_t span_ns)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
    const int64_t seconds = span_ns / NS_PER_S;
    size_t i = 0;
    while (i < 3 && seconds < units[i].seconds)
        i++;
    const long long count = (long long)(seconds / units[i].seconds);
    printf("What the server can do was probed %lld %s%s ago; --again looks anew.\n", count,
           units[i].name, count == 1 ? "" : "s");
}

static void show_probed(const struct settings *settings, int64_t probed_ns)
{
    if (!settings->json) {
        show_age(clock_now_ns() - probed_ns);
        return;
    }
    char time_text[CLOCK_TEXT_MAX];
    SCOPED(buf) struct buf line = { 0 };
    struct json json = json_into(&line);
    clock_text_utc(probed_ns, time_text);
    json_object(&json, NULL);
    json_text(&json, "name", "probed");
    json_text(&json, "status", health_names[STORE_OK]);
    json_text(&json, "text", time_text);
    json_object_end(&json);
    json_line_end(&json);
    fwrite(line.data, 1, line.len, stdout);
}

static int show(const struct settings *settings, const struct store_findings *findings)
{
    int status = EXIT_DONE;
    for (size_t i = 0; i < findings->count; i++) {
        const struct store_finding *finding = &findings->items[i];
        if (settings->json)
            show_json(finding);
        else
            show_text(finding);
        if (finding->health == STORE_BAD)
            status = EXIT_SETUP;
    }
    if (findings->probed_ns != 0)
        show_probed(settings, findings->probed_ns);
    return status;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    SCOPED(location) struct location location = { 0 };
    SCOPED(store_findings) struct store_findings findings = { 0 };
    (void)operand_count;
    if (location_parse(&location, operands[0], err) < 0)
        return -1;
    if (spread_is_template(location.path)) {
        err_set(err, ERR_USAGE, "'%s' is a template of many buckets", operands[0]);
        return err_hint(err, "name one of them");
    }
    const char *scheme = location_is_local(&location) ? "file" : location.scheme;
    const struct store_options options = { .stall_s = (uint32_t)settings->stall_s,
                                           .access = settings->access };
    store_driver_by_scheme(scheme)->diagnose(location.path, &options, settings->again, &findings);
    return show(settings, &findings);
}

const struct command cmd_doctor = {
    .name = "doctor",
    .synopsis = { "LOC" },
    .summary = "tell what a store can do and what is wrong",
    .operand_min = 1,
    .operand_max = 1,
    .tables = { rows_doctor, rows_access, rows_network, rows_json, rows_common },
    .examples = {
        { "Why does it not work?", "lade doctor s3://run7" },
        { "Look at everything anew", "lade doctor --again s3://run7" },
        { "Is there room?", "lade doctor /scratch/run7" },
    },
    .prose = "doctor.md",
    .run = run,
};
