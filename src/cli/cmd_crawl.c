#include "cli/command.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/draft.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/ask.h"
#include "cli/rows.h"
#include "job/crawl.h"
#include "job/filter.h"
#include "job/listing.h"
#include "job/listing_read.h"
#include "job/survey.h"
#include "ui/survey.h"

#include <unistd.h>

/* Beyond it a directory is sorted outside memory. Small, since several may be read at once. */
#define LIST_BYTES ((size_t)8 * 1024 * 1024)

static bool to_file(const struct settings *settings)
{
    return settings->output != NULL && strcmp(settings->output, "-") != 0;
}

/* find.py follows links, and its format has no place for them. */
static enum link_mode links_of(const struct settings *settings)
{
    switch (settings->crawl_links) {
    case SETTING_CRAWL_LINKS_KEEP:
        return LINKS_KEEP;
    case SETTING_CRAWL_LINKS_FOLLOW:
        return LINKS_FOLLOW;
    case SETTING_CRAWL_LINKS_SKIP:
        return LINKS_SKIP;
    default:
        return settings->format == SETTING_FORMAT_DESI ? LINKS_FOLLOW : LINKS_KEEP;
    }
}

static void tell_unreadable(const struct crawl_item *item)
{
    SCOPED(buf) struct buf line = { 0 };
    buf_add_text(&line, "unreadable: ");
    path_show(&line, item->name);
    fprintf(stderr, "%s: %s\n", line.data, strerror(item->sys));
}

/* Where entries come from, what becomes of them, and where that goes. */
struct way {
    const struct settings *settings;
    struct crawl *crawl;           /* or */
    struct listing_reader *reader; /* one that was written before */
    struct listing *listing;
    struct survey *survey;
    int fd;
    const char *temp_dir; /* NULL: $TMPDIR */
};

static int next_item(const struct way *way, struct crawl_item *ret_item, struct err *err)
{
    return way->crawl != NULL ? crawl_next(way->crawl, ret_item, err)
                              : listing_reader_next(way->reader, ret_item, err);
}

static int say_write(const struct way *way, struct err *err)
{
    return err_at(err, "write '%s'", to_file(way->settings) ? way->settings->output : "-");
}

/* A listing tells its top before its first entry, so that one is had before the new one begins. */
static int copy_items(struct way *way, struct listing_options *form, struct err *err)
{
    struct crawl_item item;
    int got = next_item(way, &item, err);
    if (form->top == NULL)
        form->top = form->top_path = listing_reader_top(way->reader);
    if (got < 0 || listing_open(&way->listing, form, err) < 0)
        return -1;
    for (; got == 1; got = next_item(way, &item, err)) {
        if (item.reason == REASON_LINK_SKIPPED)
            continue;
        if (listing_add(way->listing, &item, err) < 0)
            return say_write(way, err);
        survey_add(way->survey, &item);
        if (item.reason == REASON_UNREADABLE)
            tell_unreadable(&item);
    }
    if (got < 0)
        return -1;
    return listing_finish(way->listing, err) < 0 ? say_write(way, err) : 0;
}

static struct listing_options form_of(const struct way *way)
{
    return (struct listing_options){ .format = (enum listing_format)way->settings->format,
                                     .fd = way->fd,
                                     .depth_max = (uint32_t)way->settings->max_depth,
                                     .temp_dir = way->temp_dir,
                                     .time_ns = clock_now_ns() };
}

static int convert(struct way *way, const char *top, struct err *err)
{
    if (way->settings->rules.count != 0)
        return err_set(err, ERR_USAGE, "--from takes the whole listing, without filter rules");
    if (listing_reader_open(&way->reader, way->settings->from, err) < 0)
        return -1;
    struct listing_options form = form_of(way);
    form.top = form.top_path = top;
    const int result = copy_items(way, &form, err);
    listing_close(way->listing);
    listing_reader_close(way->reader);
    return result;
}

static int crawl_sources(struct way *way, const struct source_set *sources, const char *top,
                         struct err *err)
{
    const struct settings *settings = way->settings;
    struct filter *filter = NULL;
    if (ask_filter(&filter, settings, err) < 0)
        return -1;
    const struct crawl_options options = { .sources = sources,
                                           .filter = filter,
                                           .links = links_of(settings),
                                           .one_file_system = settings->one_file_system,
                                           .crawlers = (uint32_t)settings->crawlers,
                                           .list_memory_bytes = LIST_BYTES,
                                           .temp_dir = way->temp_dir,
                                           .dirs_first = true };
    struct listing_options form = form_of(way);
    form.top = top;
    form.top_path = sources->roots[0].path;
    form.top_stat = sources->roots[0].st;
    int result = crawl_open(&way->crawl, &options, err);
    if (result == 0)
        result = copy_items(way, &form, err);
    listing_close(way->listing);
    crawl_close(way->crawl);
    filter_free(filter);
    return result;
}

static int crawl_directory(struct way *way, char *top, struct err *err)
{
    struct source_set sources = { 0 };
    const struct source_options options = { .follow = links_of(way->settings) == LINKS_FOLLOW };
    if (source_set_open(&sources, &top, 1, &options, err) < 0)
        return -1;
    const int result = sources.roots[0].inner[0] != '\0'
                           ? err_set(err, ERR_USAGE, "'%s' is no directory", top)
                           : crawl_sources(way, &sources, top, err);
    source_set_done(&sources);
    return result;
}

static int go(struct way *way, char *top, struct err *err)
{
    return way->settings->from != NULL ? convert(way, top, err) : crawl_directory(way, top, err);
}

/* The temporary files lie beside the result, where there is room for it; /tmp may be memory. */
static int go_to_file(struct way *way, char *top, struct err *err)
{
    struct draft draft;
    if (draft_open(&draft, way->settings->output, err) < 0)
        return err_at(err, "--output");
    way->fd = draft.fd;
    way->temp_dir = draft.dir_fd >= 0 ? draft.dir.data : NULL;
    int result = go(way, top, err);
    if (result == 0)
        result = draft_commit(&draft, err);
    draft_done(&draft);
    return result;
}

static int tell(const struct settings *settings, struct survey *survey, int64_t start_ns)
{
    survey_finish(survey);
    const int status = survey->care[CARE_UNREADABLE].sum.count != 0 ? EXIT_SOME_FAILED : EXIT_DONE;
    SCOPED(buf) struct buf text = { 0 };
    if (settings->json)
        survey_event(&text, clock_now_ns(), survey, clock_monotonic_ns() - start_ns, status);
    else if (!settings->quiet)
        survey_show(&text, survey);
    fwrite(buf_text(&text), 1, text.len, to_file(settings) ? stdout : stderr);
    return status;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    const int64_t start_ns = clock_monotonic_ns();
    if (operand_count == 0 && settings->from == NULL) {
        err_set(err, ERR_USAGE, "crawl needs a directory, nothing is given");
        return err_hint(err, "'lade help crawl' tells what it takes");
    }
    char *top = operand_count != 0 ? operands[0] : NULL;
    struct survey survey = { 0 };
    struct way way = { .settings = settings, .survey = &survey, .fd = STDOUT_FILENO };
    const int result = to_file(settings) ? go_to_file(&way, top, err) : go(&way, top, err);
    const int status = result < 0 ? -1 : tell(settings, &survey, start_ns);
    survey_done(&survey);
    return status;
}

const struct command cmd_crawl = {
    .name = "crawl",
    .synopsis = { "DIR", "--from LISTING [DIR]" },
    .summary = "list a directory tree and tell what moving it will need",
    .operand_min = 0,
    .operand_max = 1,
    .tables = { rows_listing, rows_from, rows_filter, rows_one_file_system, rows_crawl, rows_json, rows_common },
    .examples = {
        { "What is there, how much, and what will need care", "lade crawl -o /dev/null results" },
        { "The tree as nested arrays, as DESI's find.py writes it",
          "lade crawl --max-workers 64 -o find.json ." },
        { "Look around in it with ncdu", "lade crawl --format ncdu results | ncdu -f -" },
        { "The summary of a listing that was made elsewhere, and then its upload",
          "lade crawl --from find.json -o /dev/null\n"
          "lade put --from find.json --links follow results s3://bucket/results" },
        { "Names, sizes and times for a spreadsheet",
          "lade crawl --format csv -o results.csv results" },
    },
    .prose = "crawl.md",
    .run = run,
};
