#include "cli/ask.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/units.h"
#include "job/filter.h"
#include "pack/archive_in.h"
#include "store/location.h"
#include "store/spread/spread_template.h"

#include <stdio.h>
#include <sys/stat.h>

/* ---- filters ---- */

static int add_rule(struct filter *filter, const struct setting_rule *rule, struct err *err)
{
    switch (rule->kind) {
    case SETTING_RULE_INCLUDE:
        return filter_add(filter, FILTER_INCLUDE, rule->text, "--include", err);
    case SETTING_RULE_EXCLUDE:
        return filter_add(filter, FILTER_EXCLUDE, rule->text, "--exclude", err);
    case SETTING_RULE_FILTER:
        return filter_add(filter, FILTER_RULE, rule->text, "--filter", err);
    case SETTING_RULE_INCLUDE_FROM:
        return filter_add_file(filter, FILTER_INCLUDE, rule->text, err);
    case SETTING_RULE_EXCLUDE_FROM:
        return filter_add_file(filter, FILTER_EXCLUDE, rule->text, err);
    case SETTING_RULE_FILTER_FROM:
        return filter_add_file(filter, FILTER_RULE, rule->text, err);
    }
    return 0;
}

int ask_filter(struct filter **ret_filter, const struct settings *settings, struct err *err)
{
    if (settings->rules.count == 0) {
        *ret_filter = NULL;
        return 0;
    }
    struct filter *filter = filter_new();
    for (size_t i = 0; i < settings->rules.count; i++)
        if (add_rule(filter, &settings->rules.items[i], err) < 0) {
            filter_free(filter);
            return -1;
        }
    filter_seal(filter);
    *ret_filter = filter;
    return 0;
}

static int ask_filter_text(struct job_spec *spec, const struct settings *settings, struct err *err)
{
    struct filter *filter = NULL;
    if (ask_filter(&filter, settings, err) < 0)
        return -1;
    struct buf text = { 0 };
    if (filter != NULL)
        filter_text(filter, &text);
    filter_free(filter);
    spec->filter = buf_take(&text);
    return 0;
}

struct archive_limits ask_limits(const struct settings *settings)
{
    return (struct archive_limits){ .members = settings->max_members,
                                    .ratio = settings->max_ratio,
                                    .free_bytes = ARCHIVE_FREE_BYTES };
}

/* ---- places ---- */

int ask_absolute(char **ret_location, const char *text, struct err *err)
{
    SCOPED(location) struct location location = { 0 };
    if (location_parse(&location, text, err) < 0)
        return -1;
    struct buf out = { 0 };
    if (location_is_local(&location))
        buf_printf(&out, "file:%s", location.path);
    else
        buf_add_text(&out, text);
    *ret_location = buf_take(&out);
    return 0;
}

/* A source of put or the directory of get: a plain path, or file: in front of one. */
static int local_path(char **ret_path, const char *text, struct err *err)
{
    SCOPED(location) struct location location = { 0 };
    if (location_parse(&location, text, err) < 0)
        return -1;
    if (!location_is_local(&location))
        return err_set(err, ERR_USAGE, "'%s' is not on this machine", text);
    *ret_path = mem_string(location.path);
    return 0;
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Below a directory that is moved, the destination would be moved too, into itself. */
static int check_not_inside(const struct job_spec *spec, struct err *err)
{
    if (strncmp(spec->dest, "file:", 5) != 0)
        return 0;
    const char *dest = spec->dest + 5;
    for (size_t i = 0; i < spec->source_count; i++) {
        const char *source = spec->sources[i];
        const size_t len = strlen(source);
        const bool inside = strncmp(dest, source, len) == 0 &&
                            (dest[len] == '\0' || dest[len] == '/' || source[len - 1] == '/');
        if (inside && is_directory(source)) {
            err_set(err, ERR_USAGE, "the destination '%s' lies in the source '%s'", dest, source);
            return err_hint(err, "put it beside the source");
        }
    }
    return 0;
}

/* "SRC file:/d/name": one file goes to exactly that key, unless the destination ends in '/', is a
 * place without a key, or is a directory that exists. */
static int name_single_file(struct job_spec *spec, const char *dest, struct err *err)
{
    SCOPED(location) struct location location = { 0 };
    if (location_parse(&location, dest, err) < 0)
        return -1;
    const bool is_bucket =
        strncmp(location.path, "//", 2) == 0 && strchr(location.path + 2, '/') == NULL;
    if (spread_is_template(location.path) || location.ends_in_slash || is_bucket ||
        strchr(location.path, '/') == NULL ||
        (location_is_local(&location) && is_directory(location.path)))
        return 0;
    spec->one_name = path_base(location.path);
    char *slash = strrchr(spec->dest, '/');
    /* "file:/name" lies in "file:/". */
    const size_t keep = slash[-1] == ':' ? 1 : 0;
    slash[keep] = '\0';
    return 0;
}

static int take_meta(struct job_spec *spec, const struct settings *settings, struct err *err)
{
    spec->meta = mem_alloc(settings->metadata.count * sizeof *spec->meta);
    for (size_t i = 0; i < settings->metadata.count; i++) {
        const char *item = settings->metadata.items[i];
        const char *equals = strchr(item, '=');
        if (equals == NULL || equals == item)
            return err_set(err, ERR_USAGE, "--metadata '%s' is not name=value", item);
        char *name = mem_string(item);
        name[equals - item] = '\0';
        spec->meta[spec->meta_count++] =
            (struct store_meta){ .name = name, .value = mem_string(equals + 1) };
    }
    return 0;
}

static char *copy_of(const char *text)
{
    return text != NULL ? mem_string(text) : NULL;
}

static void take_flags(struct job_spec *spec, const struct settings *settings)
{
    spec->keep_name = settings->keep_name;
    spec->one_file_system = settings->one_file_system;
    spec->checksum = settings->checksum;
    spec->immutable = settings->immutable;
    spec->keep_packs = settings->keep_packs;
    spec->xattrs = settings->xattrs;
    spec->overwrite = settings->overwrite;
    spec->files_from_nul = settings->null_separated;
    spec->digests = settings->digests;
    spec->bucket_objects = settings->bucket_objects;
    spec->make_bucket = settings->make_bucket;
    spec->links = (enum link_mode)settings->links;
    spec->access = (struct store_access){
        .endpoint_url = copy_of(settings->access.endpoint_url),
        .profile = copy_of(settings->access.profile),
        .region = copy_of(settings->access.region),
        .storage_class = copy_of(settings->access.storage_class),
        .acl = copy_of(settings->access.acl),
    };
    if (settings->fallback_root != NULL)
        spec->fallback_root = path_absolute(settings->fallback_root);
}

/* "10GB..1TB", "..1TB", "10GB..", "100GB" (about so much). */
static int take_batch_bytes(struct job_spec *spec, const char *text, struct err *err)
{
    spec->batch_min_bytes = JOB_BATCH_MIN_BYTES;
    spec->batch_max_bytes = JOB_BATCH_MAX_BYTES;
    if (text == NULL)
        return 0;
    const char *dots = strstr(text, "..");
    char *min = mem_string(text);
    const char *max = dots != NULL ? dots + 2 : "";
    min[dots != NULL ? (size_t)(dots - text) : strlen(text)] = '\0';
    int result = 0;
    if (min[0] != '\0')
        result = units_parse_bytes(&spec->batch_min_bytes, min, err);
    if (result == 0 && max[0] != '\0')
        result = units_parse_bytes(&spec->batch_max_bytes, max, err);
    else if (spec->batch_max_bytes < spec->batch_min_bytes || dots == NULL)
        spec->batch_max_bytes = 2 * spec->batch_min_bytes;
    if (result == 0 && dots != NULL && min[0] == '\0' &&
        spec->batch_max_bytes < spec->batch_min_bytes)
        spec->batch_min_bytes = spec->batch_max_bytes / 2;
    mem_release(min);
    if (result == 0 &&
        (spec->batch_min_bytes == 0 || spec->batch_max_bytes < spec->batch_min_bytes))
        result = err_set(err, ERR_USAGE, "'%s' is no range of sizes", text);
    if (result < 0) {
        err_at(err, "--batch-bytes");
        return err_hint(err, "as 10GB..1TB");
    }
    return 0;
}

static int take_batches(struct job_spec *spec, const struct settings *settings, struct err *err)
{
    spec->batch_objects = (uint32_t)settings->batch_objects;
    return take_batch_bytes(spec, settings->batch_bytes, err);
}

/* The format desi, which knows files and directories and no links: those were followed. */
static bool is_of_arrays(const char *path)
{
    FILE *file = fopen(path, "re");
    int c = EOF;
    if (file != NULL) {
        do
            c = getc(file);
        while (c == ' ' || c == '\n' || c == '\r' || c == '\t');
        fclose(file);
    }
    return c == '[';
}

/* How entries are put together to packs. */
static int take_pack(struct job_spec *spec, const struct settings *settings, struct err *err)
{
    const char *mode = settings->pack;
    if (mode == NULL || strcmp(mode, "off") == 0) {
        if (!settings->xattrs)
            return 0;
        err_set(err, ERR_USAGE,
                "--xattrs goes with --pack: an object of its own has no room for "
                "extended attributes");
        return err_hint(err, "add --pack, or leave out --xattrs");
    }
    if (strcmp(mode, "auto") == 0) {
        spec->pack = JOB_PACK_AUTO;
        spec->pack_below_bytes = settings->pack_below_bytes;
        spec->pack_bytes = settings->pack_bytes;
    } else if (mode[strspn(mode, "0123456789")] == '\0' && strlen(mode) <= 4) {
        spec->pack = JOB_PACK_LEVEL;
        spec->pack_level = (uint32_t)strtoul(mode, NULL, 10);
    } else {
        err_set(err, ERR_USAGE, "--pack=%s", mode);
        return err_hint(err, "say auto, off, or how many levels below SRC a pack is made of each "
                             "directory");
    }
    spec->compress_level = (uint32_t)settings->compress_level;
    spec->no_compress = settings->compress == SETTING_OFF;
    return 0;
}

static int fill_put(struct job_spec *spec, const struct settings *settings, char **operands,
                    size_t count, struct err *err)
{
    take_flags(spec, settings);
    spec->sources = mem_alloc((count - 1) * sizeof *spec->sources);
    for (size_t i = 0; i + 1 < count; i++, spec->source_count++)
        if (local_path(&spec->sources[i], operands[i], err) < 0)
            return err_at(err, "source");
    const char *dest = operands[count - 1];
    if (ask_absolute(&spec->dest, dest, err) < 0)
        return err_at(err, "destination");
    if (settings->files_from != NULL)
        spec->files_from = strcmp(settings->files_from, "-") == 0
                               ? mem_string("-")
                               : path_absolute(settings->files_from);
    if (settings->from != NULL && settings->files_from != NULL)
        return err_set(err, ERR_USAGE, "--from and --files-from are two lists of what to move");
    if (settings->from != NULL) {
        spec->from_listing = true;
        spec->files_from =
            strcmp(settings->from, "-") == 0 ? mem_string("-") : path_absolute(settings->from);
        if (spec->links == LINKS_KEEP && is_of_arrays(spec->files_from))
            spec->links = LINKS_FOLLOW;
    }
    if (spec->files_from != NULL)
        spec->list_crc = job_list_crc(spec->files_from);
    struct stat st;
    if (spec->base == NULL && spec->source_count == 1 && lstat(spec->sources[0], &st) == 0 &&
        !is_directory(spec->sources[0]) && name_single_file(spec, dest, err) < 0)
        return -1;
    if (spec->one_name != NULL && spec->fallback_root != NULL)
        return err_set(err, ERR_USAGE, "--fallback-root does not go with a new name for one file");
    if (take_batches(spec, settings, err) < 0 || take_pack(spec, settings, err) < 0 ||
        take_meta(spec, settings, err) < 0 || ask_filter_text(spec, settings, err) < 0)
        return -1;
    return check_not_inside(spec, err);
}

/* What a job file says takes the place of operands. */
static int fill_placed(struct job_spec *spec, const struct settings *settings, struct err *err)
{
    const struct setting_place *place = &settings->place;
    const size_t count = place->sources.count + 1;
    if (settings->keep_name)
        return err_set(err, ERR_USAGE,
                       "--keep-name does not go with a job file: names are those "
                       "below root");
    if ((settings->files_from != NULL || settings->from != NULL) &&
        (count != 2 || strcmp(place->sources.items[0], place->base) != 0)) {
        err_set(err, ERR_USAGE,
                "a list of files has paths below root, and the job file selects "
                "some of them already");
        return err_hint(err, "leave out release, subdir and common");
    }
    spec->base = mem_string(place->base);
    char **operands = mem_alloc(count * sizeof *operands);
    for (size_t i = 0; i < count; i++)
        operands[i] = mem_string(i + 1 < count ? place->sources.items[i] : place->target);
    const int result = fill_put(spec, settings, operands, count, err);
    for (size_t i = 0; i < count; i++)
        mem_release(operands[i]);
    mem_release(operands);
    return result;
}

int ask_put(struct job_spec *ret_spec, const struct settings *settings, char **operands,
            size_t count, struct err *err)
{
    *ret_spec = (struct job_spec){ .direction = JOB_PUT };
    if ((settings->place.base != NULL ? fill_placed(ret_spec, settings, err)
                                      : fill_put(ret_spec, settings, operands, count, err)) == 0)
        return 0;
    job_spec_done(ret_spec);
    return -1;
}

/* ---- get ---- */

/* The first component with a wildcard and all behind it become a filter rule below the rest. */
static int split_glob(struct job_spec *spec, struct err *err)
{
    if (spec->source_count != 1)
        return err_set(err, ERR_USAGE, "--glob takes one location");
    if (spec->filter[0] != '\0')
        return err_set(err, ERR_USAGE, "--glob does not go together with filter rules");
    char *location = spec->sources[0];
    char *wild = strpbrk(location, "*?[{");
    if (wild == NULL)
        return 0;
    while (wild > location && *wild != '/')
        wild--;
    if (*wild != '/' || (wild - location >= 2 && strncmp(wild - 2, "://", 3) == 0))
        return err_set(err, ERR_USAGE, "'%s' has a wildcard where a bucket's name must be",
                       location);
    struct buf rules = { 0 };
    buf_printf(&rules, "+ %s\n+ %s/**\n- *\n", wild, wild);
    mem_release(spec->filter);
    spec->filter = buf_take(&rules);
    wild[wild > location && wild[-1] == ':' ? 1 : 0] = '\0';
    return 0;
}

static int fill_get(struct job_spec *spec, const struct settings *settings, char **operands,
                    size_t count, struct err *err)
{
    take_flags(spec, settings);
    spec->glob = settings->glob;
    const size_t sources = settings->to != NULL ? count : count - 1;
    if (sources == 0)
        return err_set(err, ERR_USAGE, "the directory to get '%s' into is missing", operands[0]);
    if (settings->to != NULL && sources != 1)
        return err_set(err, ERR_USAGE, "--to takes one location and no directory");
    spec->sources = mem_alloc(sources * sizeof *spec->sources);
    for (size_t i = 0; i < sources; i++, spec->source_count++)
        if (ask_absolute(&spec->sources[i], operands[i], err) < 0)
            return err_at(err, "location");
    if (settings->to != NULL) {
        char *target = path_absolute(settings->to);
        spec->one_name = path_base(target);
        char *slash = strrchr(target, '/');
        slash[slash == target ? 1 : 0] = '\0';
        spec->dest = target;
        if (spec->one_name[0] == '\0' || settings->to[strlen(settings->to) - 1] == '/')
            return err_set(err, ERR_USAGE, "--to '%s' names no file", settings->to);
    } else if (local_path(&spec->dest, operands[count - 1], err) < 0) {
        return err_at(err, "target directory");
    }
    if (take_batches(spec, settings, err) < 0 || ask_filter_text(spec, settings, err) < 0)
        return -1;
    return settings->glob ? split_glob(spec, err) : 0;
}

int ask_get(struct job_spec *ret_spec, const struct settings *settings, char **operands,
            size_t count, struct err *err)
{
    *ret_spec = (struct job_spec){ .direction = JOB_GET };
    if (fill_get(ret_spec, settings, operands, count, err) == 0)
        return 0;
    job_spec_done(ret_spec);
    return -1;
}
