#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"

#include <assert.h>

#define AMAZON "amazonaws.com"
#define FIRST_REGION "us-east-1" /* where Amazon sends those who name none */

/* May the name be the first label of a host? By Amazon's rules for buckets; a certificate for
 * "*.host" does not cover a name with dots. */
static bool fits_in_host(const char *bucket, bool is_tls)
{
    const size_t len = strlen(bucket);
    if (len < 3 || len > 63)
        return false;
    for (size_t i = 0; i < len; i++) {
        const char c = bucket[i];
        const bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        const bool inner = i != 0 && i + 1 < len && (c == '-' || (c == '.' && !is_tls));
        if (!alnum && !inner)
            return false;
    }
    return strstr(bucket, "..") == NULL;
}

static int bad_endpoint(const char *url, struct err *err)
{
    err_set(err, ERR_CONFIG, "the endpoint '%s' is no URL of a server", url);
    return err_hint(err, "write https://HOST or https://HOST:PORT");
}

/* "https://host:port/base": the port that the scheme has anyway is left out, as clients do. */
static int take_endpoint(struct s3_place *place, const char *url, struct err *err)
{
    const char *colon = strstr(url, "://");
    if (colon == NULL)
        return bad_endpoint(url, err);
    struct buf scheme = { 0 };
    buf_add(&scheme, url, (size_t)(colon - url));
    place->scheme = buf_take(&scheme);
    const bool is_tls = strcmp(place->scheme, "https") == 0;
    const char *host = colon + 3;
    const char *end = strchrnul(host, '/');
    if ((!is_tls && strcmp(place->scheme, "http") != 0) || end == host ||
        strpbrk(host, "@?# \t\n\r") != NULL)
        return bad_endpoint(url, err);
    size_t len = (size_t)(end - host);
    const char *own_port = is_tls ? ":443" : ":80";
    const size_t port_len = strlen(own_port);
    if (len > port_len && memcmp(end - port_len, own_port, port_len) == 0)
        len -= port_len;
    struct buf text = { 0 };
    buf_add(&text, host, len);
    place->host = buf_take(&text);
    size_t base_len = strlen(end);
    while (base_len != 0 && end[base_len - 1] == '/')
        base_len--;
    struct buf base = { 0 };
    buf_add(&base, end, base_len);
    place->base = buf_take(&base);
    return 0;
}

/* "//BUCKET/PREFIX". */
static int take_bucket(struct s3_place *place, const char *path, struct err *err)
{
    const char *bucket = strncmp(path, "//", 2) == 0 ? path + 2 : "";
    const char *end = strchrnul(bucket, '/');
    if (end == bucket) {
        err_set(err, ERR_USAGE, "'s3:%s' names no bucket", path);
        return err_hint(err, "write s3://BUCKET or s3://BUCKET/PREFIX");
    }
    struct buf name = { 0 };
    buf_add(&name, bucket, (size_t)(end - bucket));
    place->bucket = buf_take(&name);
    struct buf prefix = { 0 };
    if (*end == '/')
        buf_add_text(&prefix, end + 1);
    if (prefix.len != 0 && prefix.data[prefix.len - 1] != '/')
        buf_add_char(&prefix, '/');
    place->prefix = buf_take(&prefix);
    if (strlen(place->prefix) >= S3_KEY_MAX)
        return err_set(err, ERR_LIMIT, "'s3:%s' is longer than a key can be, %d bytes", path,
                       S3_KEY_MAX);
    return 0;
}

int s3_place_parse(struct s3_place *ret_place, const char *path, const char *endpoint_url,
                   enum s3_addressing addressing, struct err *err)
{
    struct s3_place place = { 0 };
    if (take_bucket(&place, path, err) < 0 ||
        (endpoint_url != NULL && take_endpoint(&place, endpoint_url, err) < 0)) {
        s3_place_done(&place);
        return -1;
    }
    if (endpoint_url == NULL) {
        place.scheme = mem_string("https");
        place.base = mem_string("");
    }
    assert(place.bucket != NULL && place.scheme != NULL);
    const bool wanted =
        addressing == S3_ADDRESS_VIRTUAL || (addressing == S3_ADDRESS_AUTO && endpoint_url == NULL);
    place.in_host = wanted && fits_in_host(place.bucket, strcmp(place.scheme, "https") == 0);
    *ret_place = place;
    return 0;
}

void s3_place_done(struct s3_place *place)
{
    mem_release(place->bucket);
    mem_release(place->prefix);
    mem_release(place->scheme);
    mem_release(place->host);
    mem_release(place->base);
    *place = (struct s3_place){ 0 };
}

void s3_place_host(const struct s3_place *place, const char *region, struct buf *out)
{
    if (place->in_host)
        buf_printf(out, "%s.", place->bucket);
    if (place->host != NULL) {
        buf_add_text(out, place->host);
        return;
    }
    const char *where = region[0] != '\0' ? region : FIRST_REGION;
    buf_printf(out, "s3.%s.%s%s", where, AMAZON, strncmp(where, "cn-", 3) == 0 ? ".cn" : "");
}

void s3_place_path(const struct s3_place *place, const char *key, struct buf *out)
{
    buf_add_text(out, place->base);
    if (!place->in_host) {
        buf_add_char(out, '/');
        sigv4_encode(out, place->bucket, strlen(place->bucket), false);
    }
    if (key == NULL) {
        if (place->in_host)
            buf_add_char(out, '/');
        return;
    }
    buf_add_char(out, '/');
    sigv4_encode(out, key, strlen(key), true);
}

char *s3_place_endpoint(const struct s3_place *place)
{
    struct buf text = { 0 };
    buf_printf(&text, "%s://%s%s", place->scheme, place->host != NULL ? place->host : AMAZON,
               place->base);
    return buf_take(&text);
}
