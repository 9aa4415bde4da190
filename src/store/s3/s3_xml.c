#include "store/s3/s3_xml.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/utf8.h"

#include <expat.h>

/* ---- reading ---- */

typedef void (*element_fn)(void *arg, int depth, const char *name, const struct buf *text);

struct reader {
    XML_Parser parser;
    element_fn on_start, on_end; /* on_start may be NULL; its text is empty */
    void *arg;
    int depth;
    struct buf text; /* of the innermost element so far */
    bool refused;
};

static void refuse(struct reader *reader)
{
    reader->refused = true;
    XML_StopParser(reader->parser, XML_FALSE);
}

static void XMLCALL start_element(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct reader *reader = arg;
    (void)attributes;
    if (++reader->depth > S3_XML_DEPTH_MAX)
        refuse(reader);
    buf_clear(&reader->text);
    if (reader->on_start != NULL)
        reader->on_start(reader->arg, reader->depth, name, &reader->text);
}

static void XMLCALL end_element(void *arg, const XML_Char *name)
{
    struct reader *reader = arg;
    reader->on_end(reader->arg, reader->depth, name, &reader->text);
    buf_clear(&reader->text);
    reader->depth--;
}

static void XMLCALL add_text(void *arg, const XML_Char *text, int len)
{
    struct reader *reader = arg;
    if (reader->text.len + (size_t)len > S3_XML_TEXT_MAX)
        refuse(reader);
    else
        buf_add(&reader->text, text, (size_t)len);
}

/* Entities are what makes XML dangerous, and S3 declares none. */
static void XMLCALL start_doctype(void *arg, const XML_Char *name, const XML_Char *system_id,
                                  const XML_Char *public_id, int has_internal)
{
    (void)name, (void)system_id, (void)public_id, (void)has_internal;
    refuse(arg);
}

static bool read_once(const char *bytes, size_t len, element_fn on_start, element_fn on_end,
                      void *arg)
{
    struct reader reader = {
        .parser = XML_ParserCreate("UTF-8"), .on_start = on_start, .on_end = on_end, .arg = arg
    };
    if (reader.parser == NULL)
        abort(); /* no memory: as in mem_alloc() */
    XML_SetUserData(reader.parser, &reader);
    XML_SetElementHandler(reader.parser, start_element, end_element);
    XML_SetCharacterDataHandler(reader.parser, add_text);
    XML_SetStartDoctypeDeclHandler(reader.parser, start_doctype);
    const bool done =
        len <= INT32_MAX && XML_Parse(reader.parser, bytes, (int)len, XML_TRUE) == XML_STATUS_OK;
    XML_ParserFree(reader.parser);
    buf_done(&reader.text);
    return done && !reader.refused;
}

/* ---- what XML forbids ---- */

static bool code_is_allowed(uint32_t code)
{
    return (code >= 0x20 || code == '\t' || code == '\n' || code == '\r') && code < UTF8_BYTE &&
           code != 0xfffe && code != 0xffff && !(code >= 0xd800 && code <= 0xdfff);
}

/* The length of a reference like "&#x1;" to a character that XML forbids, else 0. */
static size_t forbidden_reference(const char *at, size_t left)
{
    if (left < 4 || at[0] != '&' || at[1] != '#')
        return 0;
    const bool hex = at[2] == 'x';
    size_t len = hex ? 3 : 2;
    uint32_t code = 0;
    for (; len < left && len < 12 && at[len] != ';'; len++) {
        const char *digits = "0123456789abcdef";
        const char *digit = strchr(digits, at[len] | 0x20);
        if (at[len] == '\0' || digit == NULL)
            return 0;
        code = code * (hex ? 16 : 10) + (uint32_t)(digit - digits);
    }
    if (len == left || at[len] != ';' || code_is_allowed(code))
        return 0;
    return len + 1;
}

/* A copy in which each byte that XML forbids is '?'. */
static void mend(const char *bytes, size_t len, struct buf *out)
{
    const unsigned char *at = (const unsigned char *)bytes;
    const unsigned char *end = at + len;
    buf_reserve(out, len + 1);
    while (at < end) {
        const unsigned char *start = at;
        const size_t reference = forbidden_reference((const char *)at, (size_t)(end - at));
        const bool fine = reference == 0 && code_is_allowed(utf8_decode(&at, end));
        at = reference != 0 ? start + reference : at;
        for (const unsigned char *byte = start; byte < at; byte++)
            buf_add_char(out, fine ? (char)*byte : '?');
    }
}

typedef void (*reset_fn)(void *arg);

static int read_xml(const char *bytes, size_t len, element_fn on_start, element_fn on_end,
                    reset_fn reset, void *arg, bool *ret_mended, struct err *err)
{
    *ret_mended = false;
    /* A store that needs long for its answer sends blanks meanwhile. */
    for (; len != 0 && strchr(" \t\r\n", *bytes) != NULL && *bytes != '\0'; len--)
        bytes++;
    if (read_once(bytes, len, on_start, on_end, arg))
        return 0;
    SCOPED(buf) struct buf mended = { 0 };
    mend(bytes, len, &mended);
    *ret_mended = true;
    reset(arg);
    if (read_once(buf_text(&mended), mended.len, on_start, on_end, arg))
        return 0;
    return err_set(err, ERR_SERVER, "the answer is no XML that can be read");
}

/* ---- single values ---- */

static void keep(char *to, size_t room, const struct buf *text)
{
    snprintf(to, room, "%s", buf_text(text));
}

struct error_reader {
    struct s3_error error;
    bool is_error;
};

static void error_root(void *arg, int depth, const char *name, const struct buf *text)
{
    struct error_reader *reader = arg;
    (void)text;
    if (depth == 1)
        reader->is_error = strcmp(name, "Error") == 0;
}

static void error_value(void *arg, int depth, const char *name, const struct buf *text)
{
    struct error_reader *reader = arg;
    struct s3_error *error = &reader->error;
    if (depth != 2)
        return;
    if (strcmp(name, "Code") == 0)
        keep(error->code, sizeof error->code, text);
    else if (strcmp(name, "Message") == 0)
        keep(error->message, sizeof error->message, text);
    else if (strcmp(name, "Region") == 0)
        keep(error->region, sizeof error->region, text);
    else if (strcmp(name, "Endpoint") == 0)
        keep(error->endpoint, sizeof error->endpoint, text);
}

static void error_reset(void *arg)
{
    *(struct error_reader *)arg = (struct error_reader){ 0 };
}

void s3_xml_error(const char *bytes, size_t len, struct s3_error *ret_error)
{
    struct error_reader reader = { 0 };
    struct err ignored = { 0 }; /* a proxy's page says nothing to us */
    bool mended = false;
    *ret_error = (struct s3_error){ 0 };
    if (len != 0 &&
        read_xml(bytes, len, error_root, error_value, error_reset, &reader, &mended, &ignored) ==
            0 &&
        reader.is_error)
        *ret_error = reader.error;
}

struct value_reader {
    const char *name;
    struct buf *text;
    bool found;
};

static void one_value(void *arg, int depth, const char *name, const struct buf *text)
{
    struct value_reader *reader = arg;
    if (depth != 2 || reader->found || strcmp(name, reader->name) != 0)
        return;
    reader->found = true;
    buf_add(reader->text, buf_text(text), text->len);
}

static void value_reset(void *arg)
{
    struct value_reader *reader = arg;
    reader->found = false;
    buf_clear(reader->text);
}

static int find_value(const char *bytes, size_t len, const char *name, struct buf *ret_text,
                      bool *ret_found, struct err *err)
{
    struct value_reader reader = { .name = name, .text = ret_text };
    bool mended = false;
    value_reset(&reader);
    if (read_xml(bytes, len, NULL, one_value, value_reset, &reader, &mended, err) < 0)
        return -1;
    *ret_found = reader.found;
    return 0;
}

int s3_xml_value(const char *bytes, size_t len, const char *name, struct buf *ret_text,
                 struct err *err)
{
    bool found = false;
    return find_value(bytes, len, name, ret_text, &found, err);
}

int s3_xml_need(const char *bytes, size_t len, const char *name, struct buf *ret_text,
                struct err *err)
{
    bool found = false;
    if (find_value(bytes, len, name, ret_text, &found, err) < 0)
        return -1;
    return found ? 0 : err_set(err, ERR_SERVER, "the answer has no %s", name);
}

/* ---- pages ---- */

static struct s3_item *add_item(struct s3_item **items, size_t *count)
{
    if (*count == S3_PAGE_MAX)
        return NULL;
    if (*items == NULL)
        *items = mem_alloc(S3_PAGE_MAX * sizeof **items);
    struct s3_item *item = &(*items)[(*count)++];
    *item = (struct s3_item){ 0 };
    return item;
}

struct page_reader {
    struct s3_page *page;
    struct s3_item *item; /* the one being read; NULL: outside, or one too many */
    bool too_many;
    bool is_page; /* by the name of the root */
};

static void page_start(void *arg, int depth, const char *name, const struct buf *text)
{
    struct page_reader *reader = arg;
    struct s3_page *page = reader->page;
    (void)text;
    if (depth == 1)
        reader->is_page = strcmp(name, "ListBucketResult") == 0 ||
                          strcmp(name, "ListMultipartUploadsResult") == 0 ||
                          strcmp(name, "ListPartsResult") == 0;
    if (depth != 2)
        return;
    const bool is_item =
        strcmp(name, "Contents") == 0 || strcmp(name, "Part") == 0 || strcmp(name, "Upload") == 0;
    const bool is_prefix = !is_item && strcmp(name, "CommonPrefixes") == 0;
    reader->item = NULL;
    if (is_item)
        reader->item = add_item(&page->items, &page->item_count);
    else if (is_prefix)
        reader->item = add_item(&page->prefixes, &page->prefix_count);
    if ((is_item || is_prefix) && reader->item == NULL)
        reader->too_many = true;
}

static size_t keep_text(struct s3_page *page, const struct buf *text, bool encoded)
{
    const size_t at = page->text.len;
    if (encoded)
        s3_percent_decode(buf_text(text), text->len, &page->text);
    else
        buf_add(&page->text, buf_text(text), text->len);
    buf_add_char(&page->text, '\0');
    return at;
}

static void item_value(struct page_reader *reader, const char *name, const struct buf *text)
{
    struct s3_item *item = reader->item;
    if (strcmp(name, "Key") == 0 || strcmp(name, "Prefix") == 0)
        item->key_at = keep_text(reader->page, text, true);
    else if (strcmp(name, "LastModified") == 0 || strcmp(name, "Initiated") == 0)
        item->time_ns = s3_time_parse(buf_text(text));
    else if (strcmp(name, "ETag") == 0)
        s3_etag_copy(item->etag, buf_text(text));
    else if (strcmp(name, "Size") == 0)
        item->size_bytes = strtoull(buf_text(text), NULL, 10);
    else if (strcmp(name, "UploadId") == 0)
        item->id_at = keep_text(reader->page, text, false);
    else if (strcmp(name, "PartNumber") == 0)
        item->number = (uint32_t)strtoul(buf_text(text), NULL, 10);
}

static void page_value(struct s3_page *page, const char *name, const struct buf *text)
{
    if (strcmp(name, "IsTruncated") == 0)
        page->truncated = strcmp(buf_text(text), "true") == 0;
    else if (strcmp(name, "NextContinuationToken") == 0 ||
             strcmp(name, "NextPartNumberMarker") == 0)
        buf_add(&page->next, buf_text(text), text->len);
    else if (strcmp(name, "NextKeyMarker") == 0)
        s3_percent_decode(buf_text(text), text->len, &page->next);
    else if (strcmp(name, "NextUploadIdMarker") == 0)
        buf_add(&page->next_id, buf_text(text), text->len);
}

static void page_end(void *arg, int depth, const char *name, const struct buf *text)
{
    struct page_reader *reader = arg;
    if (depth == 3 && reader->item != NULL)
        item_value(reader, name, text);
    else if (depth == 2 && reader->item == NULL)
        page_value(reader->page, name, text);
    if (depth == 2)
        reader->item = NULL;
}

static void page_clear(struct s3_page *page)
{
    buf_clear(&page->text);
    buf_add_char(&page->text, '\0'); /* at 0: what a broken entry without a key has */
    buf_clear(&page->next);
    buf_clear(&page->next_id);
    page->item_count = page->prefix_count = 0;
    page->truncated = page->mended = false;
}

static void page_reset(void *arg)
{
    struct page_reader *reader = arg;
    page_clear(reader->page);
    reader->item = NULL;
    reader->too_many = false;
}

int s3_xml_page(const char *bytes, size_t len, struct s3_page *page, struct err *err)
{
    struct page_reader reader = { .page = page };
    bool mended = false;
    page_reset(&reader);
    if (read_xml(bytes, len, page_start, page_end, page_reset, &reader, &mended, err) < 0)
        return -1;
    page->mended = mended;
    if (!reader.is_page)
        return err_set(err, ERR_SERVER, "the answer is no listing");
    if (reader.too_many)
        return err_set(err, ERR_SERVER, "a page of the listing has more than %d entries",
                       S3_PAGE_MAX);
    return 0;
}

void s3_page_done(struct s3_page *page)
{
    buf_done(&page->text);
    buf_done(&page->next);
    buf_done(&page->next_id);
    mem_release(page->items);
    mem_release(page->prefixes);
    *page = (struct s3_page){ 0 };
}

/* ---- buckets ---- */

struct buckets_reader {
    struct buf *names, *next;
    size_t before; /* bytes of names that were there */
    bool is_list;  /* by the name of the root */
    bool in_bucket;
};

static void buckets_start(void *arg, int depth, const char *name, const struct buf *text)
{
    struct buckets_reader *reader = arg;
    (void)text;
    if (depth == 1)
        reader->is_list = strcmp(name, "ListAllMyBucketsResult") == 0;
    else if (depth == 3)
        reader->in_bucket = strcmp(name, "Bucket") == 0;
}

static void buckets_value(void *arg, int depth, const char *name, const struct buf *text)
{
    struct buckets_reader *reader = arg;
    if (depth == 4 && reader->in_bucket && strcmp(name, "Name") == 0 && text->len != 0) {
        buf_add(reader->names, text->data, text->len);
        buf_add_char(reader->names, '\0');
    } else if (depth == 2 && strcmp(name, "ContinuationToken") == 0) {
        buf_clear(reader->next);
        buf_add(reader->next, buf_text(text), text->len);
    }
}

static void buckets_reset(void *arg)
{
    struct buckets_reader *reader = arg;
    if (reader->names->len != reader->before)
        buf_cut(reader->names, reader->before);
    buf_clear(reader->next);
    reader->is_list = reader->in_bucket = false;
}

int s3_xml_buckets(const char *bytes, size_t len, struct buf *names, struct buf *ret_next,
                   struct err *err)
{
    struct buckets_reader reader = { .names = names, .next = ret_next, .before = names->len };
    bool mended = false;
    buckets_reset(&reader);
    if (read_xml(bytes, len, buckets_start, buckets_value, buckets_reset, &reader, &mended, err) <
        0)
        return -1;
    /* A name that was mended is not the name of anything. */
    if (!reader.is_list || mended)
        return err_set(err, ERR_SERVER, "the answer is no list of buckets");
    return 0;
}

/* ---- deletions ---- */

static void refusal_start(void *arg, int depth, const char *name, const struct buf *text)
{
    struct s3_refusals *refusals = arg;
    (void)text;
    if (depth != 2 || strcmp(name, "Error") != 0 || refusals->count == S3_PAGE_MAX)
        return;
    if (refusals->items == NULL)
        refusals->items = mem_alloc(S3_PAGE_MAX * sizeof *refusals->items);
    refusals->items[refusals->count++] = (struct s3_refused){ 0 };
}

static void refusal_value(void *arg, int depth, const char *name, const struct buf *text)
{
    struct s3_refusals *refusals = arg;
    if (depth != 3 || refusals->count == 0)
        return;
    struct s3_refused *item = &refusals->items[refusals->count - 1];
    char **field = strcmp(name, "Key") == 0       ? &item->key
                   : strcmp(name, "Code") == 0    ? &item->code
                   : strcmp(name, "Message") == 0 ? &item->message
                                                  : NULL;
    if (field == NULL || *field != NULL)
        return;
    *field = mem_string(buf_text(text));
}

static void refusals_reset(void *arg)
{
    s3_refusals_done(arg);
}

int s3_xml_refusals(const char *bytes, size_t len, struct s3_refusals *refusals, struct err *err)
{
    bool mended = false;
    s3_refusals_done(refusals);
    return read_xml(bytes, len, refusal_start, refusal_value, refusals_reset, refusals, &mended,
                    err);
}

void s3_refusals_done(struct s3_refusals *refusals)
{
    for (size_t i = 0; i < refusals->count; i++) {
        mem_release(refusals->items[i].key);
        mem_release(refusals->items[i].code);
        mem_release(refusals->items[i].message);
    }
    mem_release(refusals->items);
    *refusals = (struct s3_refusals){ 0 };
}
