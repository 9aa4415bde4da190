/* store/s3/s3_xml.h: the XML of S3's answers. An answer comes from outside: no DOCTYPE, no depth
 * and no text beyond what S3 can say. Ceph's gateway writes control characters into fields that are
 * not keys even with encoding-type=url, which XML forbids; an answer that does not parse is read
 * again with such bytes and references replaced by '?'.
 * Owner:   the caller; results are filled over and released by their _done().
 * Errors:  ERR_SERVER: no XML that can be read. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3_XML_DEPTH_MAX 16
#define S3_XML_TEXT_MAX 16384 /* a key of 1,024 bytes, all of them percent-encoded, is 3,072 */
#define S3_PAGE_MAX 1000      /* entries in one answer, by S3's rules */

/* What an <Error> says; all "" when the bytes are none. */
struct s3_error {
    char code[64];
    char message[200];
    char region[64];
    char endpoint[256];
};
void s3_xml_error(const char *bytes, size_t len, struct s3_error *ret_error);

/* The text of the first child `name` of the root; "" when there is none. */
CHECKED int s3_xml_value(const char *bytes, size_t len, const char *name, struct buf *ret_text,
                         struct err *err);
/* The same, but ERR_SERVER when there is none: what such an answer says is no success. */
CHECKED int s3_xml_need(const char *bytes, size_t len, const char *name, struct buf *ret_text,
                        struct err *err);

/* One page of a listing: of objects, of parts or of uploads. */
struct s3_item {
    size_t key_at; /* in page->text, with a NUL behind it */
    size_t id_at;  /* uploads: the upload id */
    uint64_t size_bytes;
    int64_t time_ns; /* stored, or begun; 0 = unknown */
    uint32_t number; /* parts */
    char etag[STORE_ETAG_MAX];
};
struct s3_page {
    struct buf text;       /* all keys and ids */
    struct s3_item *items; /* objects, parts or uploads, as they came */
    size_t item_count;
    struct s3_item *prefixes; /* "dir/" of a delimited listing */
    size_t prefix_count;
    bool truncated;     /* there is more behind it */
    bool mended;        /* bytes were replaced: the marks below may be wrong */
    struct buf next;    /* NextContinuationToken, NextPartNumberMarker or NextKeyMarker */
    struct buf next_id; /* NextUploadIdMarker */
};
CHECKED int s3_xml_page(const char *bytes, size_t len, struct s3_page *page, struct err *err);
void s3_page_done(struct s3_page *page);
static inline const char *s3_page_text(const struct s3_page *page, size_t at)
{
    return page->text.data + at;
}

/* A page of ListBuckets: names are added, each with a NUL behind it; ret_next is the token of the
 * next page, "" when this is the last. */
CHECKED int s3_xml_buckets(const char *bytes, size_t len, struct buf *names, struct buf *ret_next,
                           struct err *err);

/* What DeleteObjects refused. */
struct s3_refused {
    char *key, *code, *message;
};
struct s3_refusals {
    struct s3_refused *items;
    size_t count;
};
CHECKED int s3_xml_refusals(const char *bytes, size_t len, struct s3_refusals *refusals,
                            struct err *err);
void s3_refusals_done(struct s3_refusals *refusals);

/* Undo percent-encoding, '+' is a space; what is no escape stays. */
void s3_percent_decode(const char *text, size_t len, struct buf *out);
/* "2026-11-21T09:30:05.123Z" in ns since 1970, 0 when it is no such time. */
int64_t s3_time_parse(const char *text);
/* An etag without its quotes; "" when it is too long to be one. */
void s3_etag_copy(char ret_etag[STORE_ETAG_MAX], const char *text);
/* Append as text of an element; false when XML cannot say it. */
bool s3_xml_escape(struct buf *out, const char *text);
