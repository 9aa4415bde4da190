#include "job/places.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/home.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "http/sigv4.h"
#include "store/spread/spread_template.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "places"
#define FILE_MAX ((size_t)16 << 20)
#define FILE_TIDY ((size_t)1 << 20) /* rewritten once it is longer */
#define SUM_CHARS 16u
#define FIELDS 5u
#define NUMBERED "/{1+}" /* behind a bucket or a key in it: that of its numbered buckets, too */

/* ---- one place ---- */

static const char *environment(const char *one, const char *other)
{
    const char *value = getenv(one);
    if ((value == NULL || value[0] == '\0') && other != NULL)
        value = getenv(other);
    return value != NULL ? value : "";
}

void place_of(struct place *ret_place, const char *location, const struct store_access *access)
{
    const bool s3 = strncmp(location, "s3:", 3) == 0;
    const char *endpoint = access->endpoint_url;
    const char *profile = access->profile;
    const char *region = access->region;
    if (s3 && endpoint == NULL)
        endpoint = environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
    if (s3 && profile == NULL)
        profile = environment("AWS_PROFILE", NULL);
    char *copy = mem_string(location);
    char *inside = strstr(copy, "!/"); /* an archive is the place, not what is in it */
    if (inside != NULL)
        *inside = '\0';
    size_t len = strlen(copy); /* with or without a slash it is one place */
    while (len > 1 && copy[len - 1] == '/' && copy[len - 2] != '/' && copy[len - 2] != ':')
        copy[--len] = '\0';
    *ret_place = (struct place){ .location = copy,
                                 .endpoint_url = mem_string(s3 && endpoint ? endpoint : ""),
                                 .profile = mem_string(s3 && profile ? profile : ""),
                                 .region = mem_string(s3 && region ? region : "") };
}

void place_done(struct place *place)
{
    mem_release(place->location);
    mem_release(place->endpoint_url);
    mem_release(place->profile);
    mem_release(place->region);
    *place = (struct place){ 0 };
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

struct store_access place_access(const struct place *place)
{
    return (struct store_access){ .endpoint_url = or_null(place->endpoint_url),
                                  .profile = or_null(place->profile),
                                  .region = or_null(place->region) };
}

void place_listed_as(const struct place *place, struct buf *out)
{
    buf_printf(out, "%s\n%s\n%s\n%s", place->location, place->endpoint_url, place->profile,
               place->region);
}

static bool same_access(const struct place *a, const struct place *b)
{
    return strcmp(a->endpoint_url, b->endpoint_url) == 0 && strcmp(a->profile, b->profile) == 0 &&
           strcmp(a->region, b->region) == 0;
}

static bool is_template(const char *location)
{
    const char *path = strchr(location, ':');
    return path != NULL && spread_is_template(path + 1);
}

void place_of_numbered(struct place *ret_place, const char *location,
                       const struct store_access *access)
{
    SCOPED(buf) struct buf numbered = { 0 };
    place_of(ret_place, location, access);
    if (is_template(ret_place->location))
        return;
    buf_add_text(&numbered, ret_place->location);
    buf_add_text(&numbered, NUMBERED);
    mem_release(ret_place->location);
    ret_place->location = buf_take(&numbered);
}

/* Of the text of a place that others can lie below. */
static size_t outer_len(const char *location)
{
    const size_t len = strlen(location);
    const size_t end = sizeof NUMBERED - 1;
    return len > end && strcmp(location + len - end, NUMBERED) == 0 ? len - end : len;
}

bool place_is_below(const struct place *place, const struct place *outer)
{
    const size_t len = outer_len(outer->location);
    if (is_template(place->location) && strcmp(place->location, outer->location) != 0)
        return false; /* it has buckets that the other one has not */
    return same_access(place, outer) && strncmp(place->location, outer->location, len) == 0 &&
           (place->location[len] == '\0' || place->location[len] == '/' ||
            outer->location[len - 1] == '/');
}

/* ---- the file ---- */

static void write_line(const struct place *place, bool gone, struct buf *out)
{
    SCOPED(buf) struct buf line = { 0 };
    const char *const fields[FIELDS] = { gone ? "-" : "+", place->location, place->endpoint_url,
                                         place->profile, place->region };
    for (size_t i = 0; i < FIELDS; i++) {
        buf_add_char(&line, ' ');
        if (i == 0)
            buf_add_text(&line, fields[i]);
        else
            sigv4_encode(&line, fields[i], strlen(fields[i]), false);
    }
    buf_printf(out, "%016llx%s\n", (unsigned long long)crc64nvme(0, line.data, line.len),
               line.data);
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char *decoded(const char *text, size_t len)
{
    SCOPED(buf) struct buf out = { 0 };
    for (size_t i = 0; i < len; i++) {
        const bool coded =
            text[i] == '%' && i + 2 < len && hex_of(text[i + 1]) >= 0 && hex_of(text[i + 2]) >= 0;
        buf_add_char(&out,
                     coded ? (char)(hex_of(text[i + 1]) * 16 + hex_of(text[i + 2])) : text[i]);
        i += coded ? 2 : 0;
    }
    return buf_take(&out);
}

/* False when the line is none of ours, or damaged. */
static bool read_line(const char *line, size_t len, struct place *ret_place, bool *ret_gone)
{
    char sum[SUM_CHARS + 1];
    if (len <= SUM_CHARS)
        return false;
    snprintf(sum, sizeof sum, "%016llx",
             (unsigned long long)crc64nvme(0, line + SUM_CHARS, len - SUM_CHARS));
    if (memcmp(sum, line, SUM_CHARS) != 0 || memchr(line, '\0', len) != NULL)
        return false;
    const char *end = line + len;
    const char *at = line + SUM_CHARS;
    char *fields[FIELDS] = { 0 };
    size_t count = 0;
    while (count < FIELDS && at < end && *at == ' ') {
        const char *next = memchr(at + 1, ' ', (size_t)(end - at - 1));
        if (next == NULL)
            next = end;
        fields[count++] = decoded(at + 1, (size_t)(next - at - 1));
        at = next;
    }
    const bool good = count == FIELDS && at == end && fields[1][0] != '\0';
    *ret_gone = good && strcmp(fields[0], "-") == 0;
    mem_release(fields[0]);
    *ret_place = (struct place){ fields[1], fields[2], fields[3], fields[4] };
    if (!good)
        place_done(ret_place);
    return good;
}

static bool same(const struct place *a, const struct place *b)
{
    return strcmp(a->location, b->location) == 0 && same_access(a, b);
}

/* The last line of a place says whether it is there. */
static void take_line(struct places *places, struct place *place, bool gone)
{
    size_t at = 0;
    while (at < places->count && !same(&places->items[at], place))
        at++;
    if (at < places->count && gone) {
        place_done(&places->items[at]);
        places->items[at] = places->items[--places->count];
    } else if (at == places->count && !gone && places->count < PLACES_MAX) {
        places->items = mem_resize(places->items, (places->count + 1) * sizeof *places->items);
        places->items[places->count++] = *place;
        return;
    }
    place_done(place);
}

static int open_home(struct err *err)
{
    char *home = home_state();
    int fd = -1;
    if (path_make_all(home, err) == 0 && (fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        err_sys(err, ERR_LOCAL, "open '%s'", home);
    mem_release(home);
    return fd;
}

/* All lines; *ret_bytes is how long the file is. */
static void read_file(int dir, struct places *places, size_t *ret_bytes)
{
    SCOPED(buf) struct buf text = { 0 };
    struct err ignored = { 0 };
    *ret_bytes = 0;
    if (file_read(dir, FILE_NAME, FILE_MAX, &text, &ignored) < 0)
        return;
    *ret_bytes = text.len;
    for (size_t at = 0; at < text.len;) {
        const char *line = text.data + at;
        const char *newline = memchr(line, '\n', text.len - at);
        const size_t len = newline != NULL ? (size_t)(newline - line) : text.len - at;
        struct place place;
        bool gone = false;
        if (read_line(line, len, &place, &gone))
            take_line(places, &place, gone);
        at += len + 1;
    }
}

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left;
    const struct place *b = right;
    const int by_location = strcmp(a->location, b->location);
    const int by_endpoint =
        by_location != 0 ? by_location : strcmp(a->endpoint_url, b->endpoint_url);
    return by_endpoint != 0 ? by_endpoint : strcmp(a->profile, b->profile);
}

/* Of no two is each below the other. */
static bool is_inner(const struct places *places, size_t item)
{
    for (size_t i = 0; i < places->count; i++)
        if (i != item && place_is_below(&places->items[item], &places->items[i]))
            return true;
    return false;
}

static void drop_inner(struct places *places)
{
    if (places->count == 0)
        return;
    qsort(places->items, places->count, sizeof *places->items, compare_places);
    bool *inner = mem_alloc(places->count * sizeof *inner);
    for (size_t i = 0; i < places->count; i++)
        inner[i] = is_inner(places, i);
    size_t kept = 0;
    for (size_t i = 0; i < places->count; i++)
        if (inner[i])
            place_done(&places->items[i]);
        else
            places->items[kept++] = places->items[i];
    places->count = kept;
    mem_release(inner);
}

void places_read(struct places *ret_places)
{
    *ret_places = (struct places){ 0 };
    struct err ignored = { 0 };
    size_t bytes = 0;
    SCOPED_FD const int dir = open_home(&ignored);
    if (dir >= 0)
        read_file(dir, ret_places, &bytes);
    drop_inner(ret_places);
}

void places_done(struct places *places)
{
    for (size_t i = 0; i < places->count; i++)
        place_done(&places->items[i]);
    mem_free(places->items);
    places->count = 0;
}

/* Is it there, or, when it came, found with a place that it lies below? */
static bool is_known(const struct places *places, const struct place *place, bool gone)
{
    for (size_t i = 0; i < places->count; i++)
        if (gone ? same(&places->items[i], place) : place_is_below(place, &places->items[i]))
            return true;
    return false;
}

/* What one write() appends is whole: lines of several processes do not mix. */
static void append(int dir, const struct buf *line)
{
    struct err ignored = { 0 };
    SCOPED_FD const int fd =
        openat(dir, FILE_NAME, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        (void)!file_write_all(fd, line->data, line->len, &ignored);
}

void places_note(const struct place *place, bool gone)
{
    struct err ignored = { 0 };
    SCOPED(places) struct places places = { 0 };
    SCOPED(buf) struct buf text = { 0 };
    size_t bytes = 0;
    SCOPED_FD const int dir = open_home(&ignored);
    if (dir < 0 || strncmp(place->location, "null:", 5) == 0)
        return;
    read_file(dir, &places, &bytes);
    if (is_known(&places, place, gone) != gone)
        return;
    if (bytes > FILE_TIDY) {
        for (size_t i = 0; i < places.count; i++)
            if (!same(&places.items[i], place))
                write_line(&places.items[i], false, &text);
        if (file_replace(dir, FILE_NAME, buf_text(&text), text.len, &ignored) < 0)
            return;
        buf_clear(&text);
        if (gone)
            return;
    }
    write_line(place, gone, &text);
    append(dir, &text);
}
