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

static int copy_items(struct crawl *crawl, struct listing *listing, struct survey *survey,
                      const struct settings *settings, struct err *err)
{
    struct crawl_item item;
    int got;
    while ((got = crawl_next(crawl, &item, err)) == 1) {
        if (item.reason == REASON_LINK_SKIPPED)
            continue;
        survey_add(survey, &item);
        if (item.reason == REASON_UNREADABLE)
            tell_unreadable(&item);
        if (listing_add(listing, &item, err) < 0)
            return err_at(err, "write '%s'", to_file(settings) ? settings->output : "-");
    }
    return got;
}

static int write_listing(struct crawl *crawl, const struct listing_options *options,
                         struct survey *survey, const struct settings *settings, struct err *err)
{
    struct listing *listing = NULL;
    if (listing_open(&listing, options, err) < 0)
        return -1;
    int result = copy_items(crawl, listing, survey, settings, err);
    if (result == 0 && listing_finish(listing, err) < 0)
        result = err_at(err, "write '%s'", to_file(settings) ? settings->output : "-");
    listing_close(listing);
    return result;
}

static int crawl_to(int fd, const char *temp_dir, const struct source_set *sources, const char *top,
                    struct survey *survey, const struct settings *settings, struct err *err)
{
    struct filter *filter = NULL;
    if (ask_filter(&filter, settings, err) < 0)
        return -1;
    const struct crawl_options options = { .sources = sources,
                                           .filter = filter,
                                           .links = links_of(settings),
                                           .one_file_system = settings->one_file_system,
                                           .crawlers = (uint32_t)settings->crawlers,
                                           .list_memory_bytes = LIST_BYTES,
                                           .temp_dir = temp_dir,
                                           .dirs_first = true };
    const struct listing_options form = { .format = (enum listing_format)settings->format,
                                          .fd = fd,
                                          .top = top,
                                          .top_path = sources->roots[0].path,
                                          .top_stat = sources->roots[0].st,
                                          .depth_max = (uint32_t)settings->max_depth,
                                          .temp_dir = temp_dir,
                                          .time_ns = clock_now_ns() };
    struct crawl *crawl = NULL;
    int result = crawl_open(&crawl, &options, err);
    if (result == 0)
        result = write_listing(crawl, &form, survey, settings, err);
    crawl_close(crawl);
    filter_free(filter);
    return result;
}

/* The temporary files lie beside the result, where there is room for it; /tmp may be memory. */
static int crawl_to_file(const struct source_set *sources, const char *top, struct survey *survey,
                         const struct settings *settings, struct err *err)
{
    struct draft draft;
    if (draft_open(&draft, settings->output, err) < 0)
        return err_at(err, "--output");
    const char *temp_dir = draft.dir_fd >= 0 ? draft.dir.data : NULL;
    int result = crawl_to(draft.fd, temp_dir, sources, top, survey, settings, err);
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
    (void)operand_count;
    const int64_t start_ns = clock_monotonic_ns();
    struct source_set sources = { 0 };
    const struct source_options options = { .follow = links_of(settings) == LINKS_FOLLOW };
    if (source_set_open(&sources, operands, 1, &options, err) < 0)
        return -1;
    struct survey survey = { 0 };
    int result;
    if (sources.roots[0].inner[0] != '\0')
        result = err_set(err, ERR_USAGE, "'%s' is no directory", operands[0]);
    else if (to_file(settings))
        result = crawl_to_file(&sources, operands[0], &survey, settings, err);
    else
        result = crawl_to(STDOUT_FILENO, NULL, &sources, operands[0], &survey, settings, err);
    const int status = result < 0 ? -1 : tell(settings, &survey, start_ns);
    survey_done(&survey);
    source_set_done(&sources);
    return status;
}

const struct command cmd_crawl = {
    .name = "crawl",
    .synopsis = { "DIR" },
    .summary = "list a directory tree and tell what moving it will need",
    .operand_min = 1,
    .operand_max = 1,
    .tables = { rows_listing, rows_filter, rows_one_file_system, rows_crawl, rows_json, rows_common },
    .examples = {
        { "What is there, how much, and what will need care", "lade crawl -o /dev/null results" },
        { "The tree as nested arrays, as DESI's find.py writes it",
          "lade crawl --max-workers 64 -o find.json ." },
        { "Look around in it with ncdu", "lade crawl --format ncdu results | ncdu -f -" },
        { "Names, sizes and times for a spreadsheet",
          "lade crawl --format csv -o results.csv results" },
    },
    .prose = "crawl.md",
    .run = run,
};
