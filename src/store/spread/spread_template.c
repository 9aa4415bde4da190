#include "store/spread/spread_template.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

#define EXAMPLE "as in s3://road-cameras-{1}/{2+}"
#define LINK_MARK "--" /* before the number where a component is in front of it */

/* ---- placeholders ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "{12}" or "{12+}" at `at`: its length, 0 when it is none; the number may be 0 or too large. */
static size_t placeholder(const char *at, uint32_t *ret_number, bool *ret_rest)
{
    size_t len = 1;
    uint32_t number = 0;
    if (*at != '{')
        return 0;
    for (; is_digit(at[len]); len++)
        if (number <= SPREAD_COMPONENT_MAX)
            number = number * 10 + (uint32_t)(at[len] - '0');
    if (len == 1)
        return 0;
    *ret_rest = at[len] == '+';
    len += *ret_rest;
    *ret_number = number;
    return at[len] == '}' ? len + 1 : 0;
}

static size_t bucket_len(const char *path)
{
    return strncmp(path, "//", 2) == 0 ? strcspn(path + 2, "/") : 0;
}

bool spread_is_template(const char *path)
{
    const size_t len = bucket_len(path);
    if (len == 0)
        return false;
    uint32_t number = 0;
    bool rest = false;
    for (const char *at = path; (at = strchr(at, '{')) != NULL; at++)
        if (placeholder(at, &number, &rest) != 0)
            return true;
    return strcspn(path + 2, "{}") < len;
}

/* ---- parsing ---- */

static char *copy_part(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    memcpy(copy, text, len);
    return copy;
}

static int refuse(struct err *err, const char *path, const char *why)
{
    err_set(err, ERR_USAGE, "'%.200s' is no template for keys: %s", path, why);
    return err_hint(err, EXAMPLE);
}

static int parse_bucket(struct spread_template *template, const char *path, size_t len,
                        struct err *err)
{
    const char *bucket = path + 2;
    const size_t open = strcspn(bucket, "{}/");
    bool rest = false;
    template->before = copy_part(bucket, open < len ? open : len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)bucket[i] < 0x20)
            return refuse(err, path, "the bucket's name has a control character");
    if (open >= len) {
        template->after = mem_string("");
        return 0;
    }
    const size_t held = placeholder(bucket + open, &template->bucket_component, &rest);
    const char *behind = bucket + open + held;
    const size_t left = len - open - held;
    template->after = held != 0 ? copy_part(behind, left) : mem_string("");
    if (held == 0 || rest)
        return refuse(err, path, "in the bucket's name stands {N}, a component by its number");
    if (strpbrk(template->after, "{}") != NULL)
        return refuse(err, path, "the bucket's name takes one component and no more");
    if (template->bucket_component == 0 || template->bucket_component > SPREAD_COMPONENT_MAX)
        return refuse(err, path, "components are counted from 1 to 64");
    /* NAME2 with a number, NAME2-2, would be NAME{1}2 with the component "2-". */
    if (left != 0 && is_digit(behind[left - 1]))
        return refuse(err, path, "the bucket's name must not end in a digit behind the component");
    return 0;
}

/* One component of the key part. 1: it was the rest, {M+}. */
static int parse_part(struct spread_template *template, const char *path, const char *text,
                      size_t len, struct err *err)
{
    struct spread_part part = { 0 };
    bool rest = false;
    const size_t held = placeholder(text, &part.component, &rest);
    if (held != len) {
        if (memchr(text, '{', len) != NULL || memchr(text, '}', len) != NULL)
            return refuse(err, path, "a component of the key is a text, or {N} alone");
        part = (struct spread_part){ .literal = copy_part(text, len) };
    } else if (part.component == 0 || part.component > SPREAD_COMPONENT_MAX) {
        return refuse(err, path, "components are counted from 1 to 64");
    } else if (rest) {
        template->rest = part.component;
        return 1;
    }
    if (template->part_count == SPREAD_PARTS_MAX) {
        mem_release(part.literal);
        return refuse(err, path, "it has too many components");
    }
    template->parts =
        mem_resize(template->parts, (template->part_count + 1) * sizeof *template->parts);
    template->parts[template->part_count++] = part;
    return 0;
}

static int parse_key(struct spread_template *template, const char *path, const char *key,
                     struct err *err)
{
    for (;;) {
        const size_t len = strcspn(key, "/");
        if (len == 0)
            return refuse(err, path, "it must end in {N+}, a component and all behind it");
        const int ended = parse_part(template, path, key, len, err);
        if (ended < 0)
            return -1;
        if (ended == 1 && key[len] != '\0')
            return refuse(err, path, "nothing can stand behind {N+}");
        if (ended == 1)
            return 0;
        if (key[len] == '\0')
            return refuse(err, path, "it must end in {N+}, a component and all behind it");
        key += len + 1;
    }
}

/* Is each component before the rest named, and in the key in its order? Else names could not be
 * told back, or keys would be in another order than names. */
static int check_names(const struct spread_template *template, const char *path, struct err *err)
{
    uint32_t highest = 0;
    bool named[SPREAD_COMPONENT_MAX + 1] = { false };
    named[template->bucket_component] = true;
    for (size_t i = 0; i < template->part_count; i++) {
        const struct spread_part *part = &template->parts[i];
        if (part->literal != NULL)
            continue;
        if (part->component >= template->rest)
            return refuse(err, path, "what {N+} holds stands there twice");
        /* What the bucket says is the same for all its keys, so it may stand anywhere. */
        if (part->component < highest && part->component != template->bucket_component &&
            !named[part->component])
            return refuse(err, path,
                          "components of the key must be in their order, {1} before {2}");
        if (part->component > highest && part->component != template->bucket_component)
            highest = part->component;
        named[part->component] = true;
    }
    if (template->bucket_component >= template->rest)
        return refuse(err, path, "what {N+} holds stands there twice");
    for (uint32_t n = 1; n < template->rest; n++)
        if (!named[n]) {
            char why[80];
            snprintf(why, sizeof why, "{%u} is missing, so names could not be told back", n);
            return refuse(err, path, why);
        }
    return 0;
}

/* Literal components in front become the root of all keys. */
static void take_lead(struct spread_template *template)
{
    struct buf lead = { 0 };
    size_t count = 0;
    buf_add_text(&lead, "");
    for (; count < template->part_count && template->parts[count].literal != NULL; count++) {
        buf_printf(&lead, "%s/", template->parts[count].literal);
        mem_release(template->parts[count].literal);
    }
    template->part_count -= count;
    if (count != 0)
        memmove(template->parts, template->parts + count,
                template->part_count * sizeof *template->parts);
    template->lead = buf_take(&lead);
}

static int parse_template(struct spread_template *template, const char *path, struct err *err)
{
    const size_t len = bucket_len(path);
    if (parse_bucket(template, path, len, err) < 0)
        return -1;
    if (path[2 + len] == '\0')
        return refuse(err, path, "it must end in {N+}, a component and all behind it");
    if (parse_key(template, path, path + 2 + len + 1, err) < 0 ||
        check_names(template, path, err) < 0)
        return -1;
    take_lead(template);
    return 0;
}

static int parse_plain(struct spread_template *template, const char *path, struct err *err)
{
    const size_t len = bucket_len(path);
    if (len == 0)
        return refuse(err, path, "it names no bucket");
    if (parse_bucket(template, path, len, err) < 0)
        return -1;
    struct buf lead = { 0 };
    buf_add_text(&lead, path[2 + len] == '/' ? path + 2 + len + 1 : "");
    if (lead.len != 0 && lead.data[lead.len - 1] != '/')
        buf_add_char(&lead, '/');
    template->lead = buf_take(&lead);
    template->rest = 1;
    return 0;
}

int spread_template_parse(struct spread_template *ret_template, const char *path, struct err *err)
{
    struct spread_template template = { 0 };
    const int result = spread_is_template(path) ? parse_template(&template, path, err)
                                                : parse_plain(&template, path, err);
    if (result < 0) {
        spread_template_done(&template);
        return -1;
    }
    *ret_template = template;
    return 0;
}

void spread_template_done(struct spread_template *template)
{
    for (size_t i = 0; i < template->part_count; i++)
        mem_release(template->parts[i].literal);
    mem_release(template->parts);
    mem_release(template->before);
    mem_release(template->after);
    mem_release(template->lead);
    *template = (struct spread_template){ 0 };
}

/* ---- names and keys ---- */

/* A name cut at its first components. */
struct pieces {
    const char *at[SPREAD_COMPONENT_MAX + 1]; /* from 1 */
    size_t len[SPREAD_COMPONENT_MAX + 1];
    uint32_t whole;   /* so many components are followed by '/' */
    const char *tail; /* what is behind them */
};

static void cut(const char *name, uint32_t rest, struct pieces *pieces)
{
    pieces->whole = 0;
    for (uint32_t n = 1; n < rest; n++) {
        const char *slash = strchr(name, '/');
        if (slash == NULL)
            break;
        pieces->at[n] = name;
        pieces->len[n] = (size_t)(slash - name);
        pieces->whole = n;
        name = slash + 1;
    }
    pieces->tail = name;
}

static void add_component(struct buf *key, const char *text, size_t len)
{
    buf_add(key, text, len);
    buf_add_char(key, '/');
}

int spread_map(const struct spread_template *template, const char *name, struct buf *ret_value,
               struct buf *ret_key, struct err *err)
{
    struct pieces pieces;
    cut(name, template->rest, &pieces);
    buf_clear(ret_value);
    buf_clear(ret_key);
    buf_add_text(ret_value, "");
    if (pieces.whole + 1 < template->rest || pieces.tail[0] == '\0')
        return err_set(err, ERR_LIMIT,
                       "has fewer components than the %u that the destination's template takes",
                       template->rest);
    if (template->bucket_component != 0)
        buf_add(ret_value, pieces.at[template->bucket_component],
                pieces.len[template->bucket_component]);
    for (size_t i = 0; i < template->part_count; i++) {
        const struct spread_part *part = &template->parts[i];
        if (part->literal != NULL)
            add_component(ret_key, part->literal, strlen(part->literal));
        else
            add_component(ret_key, pieces.at[part->component], pieces.len[part->component]);
    }
    buf_add_text(ret_key, pieces.tail);
    return 0;
}

static bool is_text(const char *text, size_t len, const char *other, size_t other_len)
{
    return len == other_len && memcmp(text, other, len) == 0;
}

bool spread_unmap(const struct spread_template *template, const char *value, const char *key,
                  struct buf *ret_name)
{
    struct pieces pieces = { .at = { NULL } };
    pieces.at[template->bucket_component] = value;
    pieces.len[template->bucket_component] = strlen(value);
    for (size_t i = 0; i < template->part_count; i++) {
        const struct spread_part *part = &template->parts[i];
        const char *slash = strchr(key, '/');
        if (slash == NULL)
            return false;
        const size_t len = (size_t)(slash - key);
        const uint32_t n = part->component;
        if (part->literal != NULL) {
            if (!is_text(key, len, part->literal, strlen(part->literal)))
                return false;
        } else if (pieces.at[n] == NULL) {
            pieces.at[n] = key;
            pieces.len[n] = len;
        } else if (!is_text(key, len, pieces.at[n], pieces.len[n])) {
            return false;
        }
        key = slash + 1;
    }
    if (key[0] == '\0')
        return false;
    buf_clear(ret_name);
    for (uint32_t n = 1; n < template->rest; n++)
        add_component(ret_name, pieces.at[n], pieces.len[n]);
    buf_add_text(ret_name, key);
    return true;
}

/* How the components of a part of a name go on in keys of one bucket. */
enum fit { FIT_ALL, FIT_SOME, FIT_NONE };

/* The key as far as the name decides it. FIT_SOME: what came is right, and more could be said only
 * of single names; FIT_NONE: the bucket has no such names. */
static enum fit begin_key(const struct spread_template *template, const char *value,
                          const char *name, struct buf *key)
{
    struct pieces pieces = { 0 };
    const uint32_t own = template->bucket_component;
    const size_t value_len = strlen(value);
    cut(name, template->rest, &pieces);
    buf_clear(key);
    buf_add_text(key, "");
    const uint32_t partial = pieces.whole + 1; /* the component that the name ends in */
    const bool own_fits =
        own == 0 || own > partial ||
        (own < partial ? is_text(pieces.at[own], pieces.len[own], value, value_len)
                       : strncmp(value, pieces.tail, strlen(pieces.tail)) == 0);
    /* In the order of names: what is behind the bucket's component says something only if that is
     * this bucket's. */
    const uint32_t known = own_fits || own > pieces.whole ? pieces.whole : own - 1;
    for (size_t i = 0; i < template->part_count; i++) {
        const struct spread_part *part = &template->parts[i];
        const uint32_t n = part->component;
        if (part->literal != NULL) {
            add_component(key, part->literal, strlen(part->literal));
        } else if (n == own) {
            add_component(key, value, value_len);
        } else if (n <= known) {
            add_component(key, pieces.at[n], pieces.len[n]);
        } else {
            if (n == partial && own_fits)
                buf_add_text(key, pieces.tail);
            return own_fits ? FIT_SOME : FIT_NONE;
        }
    }
    if (own_fits && partial == template->rest) {
        buf_add_text(key, pieces.tail);
        return FIT_ALL;
    }
    return own_fits ? FIT_SOME : FIT_NONE;
}

bool spread_map_prefix(const struct spread_template *template, const char *value,
                       const char *prefix, struct buf *ret_key)
{
    return begin_key(template, value, prefix, ret_key) != FIT_NONE;
}

void spread_map_start(const struct spread_template *template, const char *value, const char *name,
                      struct buf *ret_key)
{
    (void)begin_key(template, value, name, ret_key);
}

bool spread_reaches_rest(const struct spread_template *template, const char *name)
{
    struct pieces pieces;
    cut(name, template->rest, &pieces);
    return pieces.whole + 1 == template->rest;
}

bool spread_value_of(const struct spread_template *template, const char *name,
                     struct buf *ret_value)
{
    struct pieces pieces;
    const uint32_t own = template->bucket_component;
    cut(name, template->rest, &pieces);
    buf_clear(ret_value);
    buf_add_text(ret_value, "");
    if (own > pieces.whole)
        return false;
    if (own != 0)
        buf_add(ret_value, pieces.at[own], pieces.len[own]);
    return true;
}

/* ---- buckets ---- */

/* "--12" at the end of the text, where it begins; NULL when there is none. */
static const char *marked_number(const char *text, const char *mark)
{
    const char *end = text + strlen(text);
    const char *at = end;
    while (at > text && is_digit(at[-1]))
        at--;
    const size_t mark_len = strlen(mark);
    if (at == end || (size_t)(at - text) < mark_len || memcmp(at - mark_len, mark, mark_len) != 0)
        return NULL;
    return at - mark_len;
}

static const char *mark_of(const struct spread_template *template)
{
    return template->bucket_component != 0 && template->after[0] == '\0' ? LINK_MARK : "-";
}

/* S3's rules for names of buckets, of which each refuses what a component of a name may well be. */
static const char *broken_rule(const char *bucket)
{
    const size_t len = strlen(bucket);
    if (len < 3 || len > 63)
        return "has not 3 to 63 characters";
    for (size_t i = 0; i < len; i++) {
        const char c = bucket[i];
        const bool alnum = (c >= 'a' && c <= 'z') || is_digit(c);
        if (!alnum && c != '-' && c != '.')
            return "has other characters than lower-case letters, digits, '-' and '.'";
        if (!alnum && (i == 0 || i + 1 == len))
            return "does not begin and end with a letter or digit";
    }
    return strstr(bucket, "..") != NULL ? "has two dots in a row" : NULL;
}

int spread_bucket_name(const struct spread_template *template, const char *value, uint32_t number,
                       struct buf *ret_bucket, struct err *err)
{
    buf_clear(ret_bucket);
    buf_printf(ret_bucket, "%s%s%s", template->before, value, template->after);
    if (number > 1)
        buf_printf(ret_bucket, "%s%u", mark_of(template), number);
    /* What the user typed the server may judge. */
    if (template->bucket_component == 0 && number <= 1)
        return 0;
    const char *rule = template->bucket_component != 0 ? broken_rule(ret_bucket->data) : NULL;
    if (rule == NULL && ret_bucket->len > 63)
        rule = "has more than 63 characters";
    if (rule != NULL)
        return err_set(err, ERR_LIMIT, "'%.64s' gives the bucket '%.80s', which %s", value,
                       ret_bucket->data, rule);
    if (template->bucket_component != 0 && template->after[0] == '\0' &&
        marked_number(value, LINK_MARK) != NULL)
        return err_set(err, ERR_LIMIT, "'%.64s' ends as the number of a bucket does", value);
    return 0;
}

bool spread_read_bucket(const struct spread_template *template, const char *bucket,
                        struct buf *ret_value, uint32_t *ret_number)
{
    SCOPED(buf) struct buf whole = { 0 };
    SCOPED(buf) struct buf again = { 0 };
    struct err ignored = { 0 };
    uint32_t number = 1;
    const char *mark = mark_of(template);
    buf_add_text(&whole, bucket);
    const char *at = marked_number(whole.data, mark);
    if (at != NULL && strlen(at + strlen(mark)) <= 7) {
        const unsigned long told = strtoul(at + strlen(mark), NULL, 10);
        const size_t base = (size_t)(at - whole.data);
        const size_t after = strlen(template->after);
        /* Behind all else: "run-2" is a bucket of the template "run-{1}" too, and of "run-2". */
        const bool behind =
            template->bucket_component != 0
                ? base >= after && memcmp(at - after, template->after, after) == 0
                : is_text(whole.data, base, template->before, strlen(template->before));
        if (behind && told >= 2 && told <= STORE_BUCKET_MAX) {
            number = (uint32_t)told;
            buf_cut(&whole, base);
        }
    }
    const size_t before = strlen(template->before);
    const size_t after = strlen(template->after);
    if (whole.len < before + after || memcmp(whole.data, template->before, before) != 0 ||
        memcmp(whole.data + whole.len - after, template->after, after) != 0)
        return false;
    buf_clear(ret_value);
    buf_add(ret_value, whole.data + before, whole.len - before - after);
    if (template->bucket_component == 0 && ret_value->len != 0)
        return false;
    *ret_number = number;
    /* Digits with zeros in front, and what the rules refuse. */
    return spread_bucket_name(template, buf_text(ret_value), number, &again, &ignored) == 0 &&
           strcmp(again.data, bucket) == 0;
}

bool spread_path_of(const struct spread_template *template, const char *name, uint32_t number,
                    struct buf *ret_path)
{
    SCOPED(buf) struct buf value = { 0 };
    SCOPED(buf) struct buf key = { 0 };
    SCOPED(buf) struct buf bucket = { 0 };
    struct err ignored = { 0 };
    if (!spread_value_of(template, name, &value) ||
        !spread_map_prefix(template, value.data, name, &key) ||
        spread_bucket_name(template, value.data, number == 0 ? 1 : number, &bucket, &ignored) < 0)
        return false;
    buf_clear(ret_path);
    buf_printf(ret_path, "//%s/%s%s", bucket.data, template->lead, key.data);
    return true;
}
