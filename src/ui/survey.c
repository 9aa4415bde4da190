#include "ui/survey.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/path.h"
#include "base/units.h"

static void add_row(struct buf *out, uint64_t count, const char *bytes, const char *what)
{
    char number[UNITS_TEXT_MAX];
    buf_printf(out, "%15s  %10s  %s\n", units_count(count, number), bytes, what);
}

static const char *class_text(size_t class, char text[UNITS_TEXT_MAX + 16])
{
    char limit[UNITS_TEXT_MAX];
    if (class == 0)
        return "empty";
    const bool last = survey_class_below[class] == 0;
    const uint64_t bound = survey_class_below[last ? class - 1 : class];
    snprintf(text, UNITS_TEXT_MAX + 16, "%s %s", last ? "from" : "below",
             units_bytes(bound, limit));
    return text;
}

static void show_classes(struct buf *out, const struct survey *survey)
{
    buf_add_text(out, "files by size\n");
    char size[UNITS_TEXT_MAX];
    char text[UNITS_TEXT_MAX + 16];
    for (size_t i = 0; i < SURVEY_CLASSES; i++)
        if (survey->classes[i].count != 0)
            add_row(out, survey->classes[i].count, units_bytes(survey->classes[i].bytes, size),
                    class_text(i, text));
}

static void show_directory(struct buf *out, const struct survey_directory *directory)
{
    char count[UNITS_TEXT_MAX];
    char size[UNITS_TEXT_MAX];
    buf_printf(out, "%15s  %10s  ", units_count(directory->sum.count, count),
               units_bytes(directory->sum.bytes, size));
    path_show(out, directory->name[0] != '\0' ? directory->name : ".");
    buf_add_char(out, '\n');
}

static void show_found(struct buf *out, const struct survey_found *found, const char *text)
{
    char size[UNITS_TEXT_MAX] = "";
    if (found->sum.bytes != 0)
        units_bytes(found->sum.bytes, size);
    add_row(out, found->sum.count, size, text);
    for (size_t i = 0; i < SURVEY_EXAMPLES && found->examples[i] != NULL; i++) {
        buf_printf(out, "%15s  %10s    ", "", "");
        path_show(out, found->examples[i]);
        buf_add_char(out, '\n');
    }
    if (found->sum.count > SURVEY_EXAMPLES)
        buf_printf(out, "%15s  %10s    ...\n", "", "");
}

static void show_care(struct buf *out, const struct survey *survey, bool problems,
                      const char *title)
{
    bool titled = false;
    for (int care = 0; care < CARE_COUNT; care++) {
        const struct survey_found *found = &survey->care[care];
        if (found->sum.count == 0 || survey_care_is_problem(care) != problems)
            continue;
        if (!titled)
            buf_add_text(out, title);
        titled = true;
        show_found(out, found, survey_care_text(care));
    }
}

void survey_show(struct buf *out, const struct survey *survey)
{
    char size[UNITS_TEXT_MAX];
    add_row(out, survey->files.count, units_bytes(survey->files.bytes, size), "files");
    add_row(out, survey->directories, "", "directories");
    if (survey->links != 0)
        add_row(out, survey->links, "", "symbolic links");
    if (survey->others != 0)
        add_row(out, survey->others, "", "neither files, directories nor links");
    if (survey->unreadable != 0)
        add_row(out, survey->unreadable, "", "not to be looked at");
    if (survey->files.count != 0)
        show_classes(out, survey);
    if (survey->largest_count != 0)
        buf_add_text(out, "largest directories, with all that is below them\n");
    for (size_t i = 0; i < survey->largest_count; i++)
        show_directory(out, &survey->largest[i]);
    if (survey->fullest.name != NULL) {
        buf_add_text(out, "most entries in one directory\n");
        show_directory(out, &survey->fullest);
    }
    show_care(out, survey, false, "will need care\n");
    show_care(out, survey, true, "cannot be stored as it is\n");
}

/* ---- JSON ---- */

static void add_sum(struct json *json, const char *key, const struct survey_sum *sum)
{
    json_object(json, key);
    json_u64(json, "count", sum->count);
    json_u64(json, "bytes", sum->bytes);
    json_object_end(json);
}

static void add_name(struct json *json, const char *key, const char *name)
{
    json_bytes(json, key, name, strlen(name));
}

static void add_classes(struct json *json, const struct survey *survey)
{
    json_array(json, "sizes");
    for (size_t i = 0; i < SURVEY_CLASSES; i++) {
        json_object(json, NULL);
        if (survey_class_below[i] == 0)
            json_null(json, "below");
        else
            json_u64(json, "below", survey_class_below[i]);
        json_u64(json, "count", survey->classes[i].count);
        json_u64(json, "bytes", survey->classes[i].bytes);
        json_object_end(json);
    }
    json_array_end(json);
}

static void add_care(struct json *json, const struct survey *survey)
{
    json_array(json, "care");
    for (int care = 0; care < CARE_COUNT; care++) {
        const struct survey_found *found = &survey->care[care];
        if (found->sum.count == 0)
            continue;
        json_object(json, NULL);
        json_text(json, "what", survey_care_name(care));
        json_u64(json, "count", found->sum.count);
        json_u64(json, "bytes", found->sum.bytes);
        json_bool(json, "problem", survey_care_is_problem(care));
        json_array(json, "examples");
        for (size_t i = 0; i < SURVEY_EXAMPLES && found->examples[i] != NULL; i++)
            add_name(json, NULL, found->examples[i]);
        json_array_end(json);
        json_object_end(json);
    }
    json_array_end(json);
}

void survey_event(struct buf *out, int64_t time_ns, const struct survey *survey, int64_t elapsed_ns,
                  int exit_status)
{
    char time_text[CLOCK_TEXT_MAX];
    clock_text_utc(time_ns, time_text);
    struct json json = json_into(out);
    json_object(&json, NULL);
    json_text(&json, "event", "crawl");
    json_text(&json, "time", time_text);
    add_sum(&json, "files", &survey->files);
    json_u64(&json, "directories", survey->directories);
    json_u64(&json, "links", survey->links);
    json_u64(&json, "others", survey->others);
    json_u64(&json, "unreadable", survey->unreadable);
    json_u64(&json, "disk_bytes", survey->disk_bytes);
    json_u64(&json, "depth", survey->depth_max);
    json_u64(&json, "longest_path", survey->name_max);
    add_classes(&json, survey);
    json_array(&json, "largest");
    for (size_t i = 0; i < survey->largest_count; i++) {
        json_object(&json, NULL);
        add_name(&json, "name", survey->largest[i].name);
        json_u64(&json, "files", survey->largest[i].sum.count);
        json_u64(&json, "bytes", survey->largest[i].sum.bytes);
        json_object_end(&json);
    }
    json_array_end(&json);
    if (survey->fullest.name != NULL) {
        json_object(&json, "fullest");
        add_name(&json, "name", survey->fullest.name);
        json_u64(&json, "entries", survey->fullest.sum.count);
        json_object_end(&json);
    }
    add_care(&json, survey);
    json_double(&json, "elapsed_s", (double)elapsed_ns / (double)NS_PER_S);
    json_i64(&json, "exit_status", exit_status);
    json_object_end(&json);
    json_line_end(&json);
}
