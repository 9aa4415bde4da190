/* The job_spec part of job/job.h. */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/job.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCESS_COUNT 5
static const char *const access_names[ACCESS_COUNT] = { "endpoint-url", "profile", "region",
                                                        "storage-class", "acl" };

static void percent_add(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("/._-+:,@", c) != NULL)
            buf_add_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The reverse, in place; -1 when it is not what percent_add() writes. */
static int percent_undo(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        const int high = hex_value(from[1]);
        const int low = high < 0 ? -1 : hex_value(from[2]);
        if (low < 0 || (high == 0 && low == 0))
            return -1;
        *to++ = (char)(high * 16 + low);
        from += 2;
    }
    *to = '\0';
    return 0;
}

static void write_text(struct buf *out, const char *key, const char *value)
{
    if (value == NULL)
        return;
    buf_printf(out, "%s=", key);
    percent_add(out, value);
    buf_add_char(out, '\n');
}

/* How the store is reached, under the names of its options. */
static void access_fields(struct store_access *access, const char **fields[ACCESS_COUNT])
{
    fields[0] = &access->endpoint_url;
    fields[1] = &access->profile;
    fields[2] = &access->region;
    fields[3] = &access->storage_class;
    fields[4] = &access->acl;
}

void job_spec_write(const struct job_spec *spec, struct buf *out)
{
    write_text(out, "direction", spec->direction == JOB_PUT ? "put" : "get");
    for (size_t i = 0; i < spec->source_count; i++)
        write_text(out, "source", spec->sources[i]);
    write_text(out, "base", spec->base);
    write_text(out, "fallback-root", spec->fallback_root);
    write_text(out, "dest", spec->dest);
    write_text(out, "name", spec->one_name);
    write_text(out, "filter", spec->filter);
    write_text(out, "files-from", spec->files_from);
    write_text(out, "list-crc", spec->list_crc);
    buf_printf(out, "null=%d\nkeep-name=%d\none-file-system=%d\nchecksum=%d\nimmutable=%d\n",
               spec->files_from_nul, spec->keep_name, spec->one_file_system, spec->checksum,
               spec->immutable);
    buf_printf(out, "overwrite=%d\nglob=%d\nlinks=%d\ndigests=%u\n", spec->overwrite, spec->glob,
               (int)spec->links, spec->digests);
    buf_printf(out, "batch-min-bytes=%" PRIu64 "\nbatch-max-bytes=%" PRIu64 "\nbatch-objects=%u\n",
               spec->batch_min_bytes, spec->batch_max_bytes, spec->batch_objects);
    if (spec->bucket_objects != 0)
        buf_printf(out, "bucket-objects=%" PRIu64 "\n", spec->bucket_objects);
    if (spec->make_bucket)
        buf_add_text(out, "make-bucket=1\n");
    if (spec->from_listing)
        buf_add_text(out, "listing=1\n");
    if (spec->keep_packs)
        buf_add_text(out, "keep-packs=1\n");
    if (spec->xattrs)
        buf_add_text(out, "xattrs=1\n");
    if (spec->pack != JOB_PACK_OFF)
        buf_printf(out,
                   "pack=%d\npack-level=%u\npack-below=%" PRIu64 "\npack-size=%" PRIu64
                   "\nlevel=%u\nno-compress=%d\n",
                   (int)spec->pack, spec->pack_level, spec->pack_below_bytes, spec->pack_bytes,
                   spec->compress_level, spec->no_compress);
    struct store_access access = spec->access;
    const char **fields[ACCESS_COUNT];
    access_fields(&access, fields);
    for (size_t i = 0; i < ACCESS_COUNT; i++)
        write_text(out, access_names[i], *fields[i]);
    for (size_t i = 0; i < spec->meta_count; i++) {
        write_text(out, "meta-name", spec->meta[i].name);
        write_text(out, "meta-value", spec->meta[i].value);
    }
}

static int take_number(struct job_spec *spec, const char *key, const char *value)
{
    const unsigned long number = strtoul(value, NULL, 10);
    const struct {
        const char *key;
        uint64_t *field;
    } sizes[] = { { "batch-min-bytes", &spec->batch_min_bytes },
                  { "batch-max-bytes", &spec->batch_max_bytes },
                  { "pack-below", &spec->pack_below_bytes },
                  { "pack-size", &spec->pack_bytes },
                  { "bucket-objects", &spec->bucket_objects } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strcmp(key, sizes[i].key) == 0) {
            *sizes[i].field = number;
            return 0;
        }
    const struct {
        const char *key;
        bool *flag;
    } flags[] = {
        { "null", &spec->files_from_nul },
        { "keep-name", &spec->keep_name },
        { "checksum", &spec->checksum },
        { "one-file-system", &spec->one_file_system },
        { "immutable", &spec->immutable },
        { "overwrite", &spec->overwrite },
        { "glob", &spec->glob },
        { "listing", &spec->from_listing },
        { "no-compress", &spec->no_compress },
        { "keep-packs", &spec->keep_packs },
        { "xattrs", &spec->xattrs },
        { "make-bucket", &spec->make_bucket },
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(key, flags[i].key) == 0) {
            *flags[i].flag = number != 0;
            return 0;
        }
    if (strcmp(key, "digests") == 0)
        spec->digests = (uint32_t)number;
    else if (strcmp(key, "batch-objects") == 0)
        spec->batch_objects = (uint32_t)number;
    else if (strcmp(key, "pack") == 0 && number <= JOB_PACK_LEVEL)
        spec->pack = (enum job_pack)number;
    else if (strcmp(key, "pack-level") == 0)
        spec->pack_level = (uint32_t)number;
    else if (strcmp(key, "level") == 0 && number <= 19)
        spec->compress_level = (uint32_t)number;
    else if (strcmp(key, "links") == 0 && number <= LINKS_SKIP)
        spec->links = (enum link_mode)number;
    else
        return -1;
    return 0;
}

static void set_text(char **field, const char *value)
{
    mem_release(*field);
    *field = mem_string(value);
}

static int take_meta(struct job_spec *spec, const char *key, const char *value)
{
    if (strcmp(key, "meta-name") == 0) {
        spec->meta = mem_resize(spec->meta, (spec->meta_count + 1) * sizeof *spec->meta);
        spec->meta[spec->meta_count++] =
            (struct store_meta){ .name = mem_string(value), .value = NULL };
        return 0;
    }
    if (strcmp(key, "meta-value") != 0 || spec->meta_count == 0 ||
        spec->meta[spec->meta_count - 1].value != NULL)
        return -1;
    spec->meta[spec->meta_count - 1].value = mem_string(value);
    return 0;
}

static bool take_access(struct job_spec *spec, const char *key, const char *value)
{
    const char **fields[ACCESS_COUNT];
    access_fields(&spec->access, fields);
    for (size_t i = 0; i < ACCESS_COUNT; i++)
        if (strcmp(key, access_names[i]) == 0) {
            mem_release(*fields[i]);
            *fields[i] = mem_string(value);
            return true;
        }
    return false;
}

static int take_line(struct job_spec *spec, const char *key, const char *value)
{
    if (strcmp(key, "direction") == 0) {
        spec->direction = strcmp(value, "get") == 0 ? JOB_GET : JOB_PUT;
        return strcmp(value, spec->direction == JOB_GET ? "get" : "put") == 0 ? 0 : -1;
    }
    if (strcmp(key, "source") == 0) {
        spec->sources = mem_resize(spec->sources, (spec->source_count + 1) * sizeof *spec->sources);
        spec->sources[spec->source_count++] = mem_string(value);
    } else if (strcmp(key, "base") == 0)
        set_text(&spec->base, value);
    else if (strcmp(key, "fallback-root") == 0)
        set_text(&spec->fallback_root, value);
    else if (strcmp(key, "dest") == 0)
        set_text(&spec->dest, value);
    else if (strcmp(key, "name") == 0)
        set_text(&spec->one_name, value);
    else if (strcmp(key, "filter") == 0)
        set_text(&spec->filter, value);
    else if (strcmp(key, "files-from") == 0)
        set_text(&spec->files_from, value);
    else if (strcmp(key, "list-crc") == 0)
        set_text(&spec->list_crc, value);
    else if (strncmp(key, "meta-", 5) == 0)
        return take_meta(spec, key, value);
    else if (!take_access(spec, key, value))
        return take_number(spec, key, value);
    return 0;
}

static bool complete(const struct job_spec *spec)
{
    for (size_t i = 0; i < spec->meta_count; i++)
        if (spec->meta[i].value == NULL)
            return false;
    return spec->source_count != 0 && spec->dest != NULL;
}

/* A line without its newline; what follows it may be the end of the memory. */
static int parse_line(struct job_spec *spec, const char *text, size_t len)
{
    SCOPED(buf) struct buf line = { 0 };
    buf_add(&line, text, len);
    char *value = strchr(line.data, '=');
    if (value == NULL || memchr(text, '\0', len) != NULL)
        return -1;
    *value++ = '\0';
    return percent_undo(value) < 0 ? -1 : take_line(spec, line.data, value);
}

int job_spec_parse(struct job_spec *ret_spec, const char *text, size_t len, struct err *err)
{
    struct job_spec spec = { .batch_min_bytes = JOB_BATCH_MIN_BYTES,
                             .batch_max_bytes = JOB_BATCH_MAX_BYTES,
                             .batch_objects = JOB_BATCH_OBJECTS };
    const char *end = text + len;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const size_t line_len = (size_t)((newline != NULL ? newline : end) - text);
        if (parse_line(&spec, text, line_len) < 0)
            break;
        text = newline != NULL ? newline + 1 : end;
    }
    if (text < end || !complete(&spec)) {
        job_spec_done(&spec);
        return err_set(err, ERR_CONFIG, "the job file has a line that is not understood");
    }
    if (spec.filter == NULL)
        spec.filter = mem_string("");
    *ret_spec = spec;
    return 0;
}

char *job_list_crc(const char *path)
{
    SCOPED_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    char bytes[64 * 1024];
    uint64_t crc = 0;
    ssize_t got;
    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        crc = crc64nvme(crc, bytes, (size_t)got);
    if (got < 0)
        return NULL;
    snprintf(bytes, sizeof bytes, "%016" PRIx64, crc);
    return mem_string(bytes);
}

void job_spec_done(struct job_spec *spec)
{
    for (size_t i = 0; i < spec->source_count; i++)
        mem_release(spec->sources[i]);
    for (size_t i = 0; i < spec->meta_count; i++) {
        mem_release(spec->meta[i].name);
        mem_release(spec->meta[i].value);
    }
    mem_release(spec->sources);
    mem_release(spec->meta);
    mem_release(spec->dest);
    mem_release(spec->base);
    mem_release(spec->fallback_root);
    mem_release(spec->one_name);
    mem_release(spec->filter);
    mem_release(spec->files_from);
    const char **fields[ACCESS_COUNT];
    access_fields(&spec->access, fields);
    for (size_t i = 0; i < ACCESS_COUNT; i++)
        mem_release(*fields[i]);
    mem_release(spec->list_crc);
    *spec = (struct job_spec){ 0 };
}

void job_spec_copy(struct job_spec *to, const struct job_spec *from)
{
    /* What can be written can be read. */
    SCOPED(buf) struct buf text = { 0 };
    struct err err = { 0 };
    job_spec_write(from, &text);
    if (job_spec_parse(to, text.data, text.len, &err) < 0)
        abort();
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_meta(const struct job_spec *a, const struct job_spec *b)
{
    if (a->meta_count != b->meta_count)
        return false;
    for (size_t i = 0; i < a->meta_count; i++)
        if (strcmp(a->meta[i].name, b->meta[i].name) != 0 ||
            strcmp(a->meta[i].value, b->meta[i].value) != 0)
            return false;
    return true;
}

/* What one of them does not know of its list is taken on trust. */
static bool same_list(const struct job_spec *a, const struct job_spec *b)
{
    return a->list_crc == NULL || b->list_crc == NULL || strcmp(a->list_crc, b->list_crc) == 0;
}

bool job_spec_same_late(const struct job_spec *a, const struct job_spec *b)
{
    return same_text(a->fallback_root, b->fallback_root) && a->make_bucket == b->make_bucket;
}

const char *job_spec_difference(const struct job_spec *a, const struct job_spec *b)
{
    if (a->direction != b->direction)
        return "the direction";
    if (a->source_count != b->source_count)
        return "the sources";
    for (size_t i = 0; i < a->source_count; i++)
        if (strcmp(a->sources[i], b->sources[i]) != 0)
            return "the sources";
    const struct {
        const char *name;
        bool same;
    } checks[] = {
        { "the root directory", same_text(a->base, b->base) },
        { "the destination", same_text(a->dest, b->dest) },
        { "the destination's name", same_text(a->one_name, b->one_name) },
        { "the filter rules", same_text(a->filter, b->filter) },
        { "--files-from", same_text(a->files_from, b->files_from) },
        { "the list of --files-from", same_list(a, b) },
        { "--null", a->files_from_nul == b->files_from_nul },
        { "--from", a->from_listing == b->from_listing },
        { "--keep-name", a->keep_name == b->keep_name },
        { "--one-file-system", a->one_file_system == b->one_file_system },
        { "--checksum", a->checksum == b->checksum },
        { "--immutable", a->immutable == b->immutable },
        { "--overwrite", a->overwrite == b->overwrite },
        { "--glob", a->glob == b->glob },
        { "--links", a->links == b->links },
        { "--digest", a->digests == b->digests },
        { "--batch-bytes",
          a->batch_min_bytes == b->batch_min_bytes && a->batch_max_bytes == b->batch_max_bytes },
        { "--batch-objects", a->batch_objects == b->batch_objects },
        { "--pack", a->pack == b->pack && a->pack_level == b->pack_level },
        { "--keep-packs", a->keep_packs == b->keep_packs },
        { "--xattrs", a->xattrs == b->xattrs },
        { "--pack-below", a->pack_below_bytes == b->pack_below_bytes },
        { "--pack-size", a->pack_bytes == b->pack_bytes },
        { "--level", a->compress_level == b->compress_level },
        { "--no-compress", a->no_compress == b->no_compress },
        { "--bucket-objects", a->bucket_objects == b->bucket_objects },
        { "--metadata", same_meta(a, b) },
        { "--endpoint-url", same_text(a->access.endpoint_url, b->access.endpoint_url) },
        { "--profile", same_text(a->access.profile, b->access.profile) },
        { "--region", same_text(a->access.region, b->access.region) },
        { "--storage-class", same_text(a->access.storage_class, b->access.storage_class) },
        { "--acl", same_text(a->access.acl, b->access.acl) },
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (!checks[i].same)
            return checks[i].name;
    return NULL;
}
