/* What is recorded with an object: x-amz-meta-*, in the names and forms of rclone. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/utf8.h"
#include "store/s3/s3_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>

#define META "x-amz-meta-"
#define META_LEN (sizeof META - 1)
#define KIND META "lade-kind"
#define CRC64 META "lade-crc64nvme"

/* ---- lists of headers ---- */

void s3_headers_done(struct s3_headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        mem_release(headers->items[i].name);
        mem_release(headers->items[i].value);
    }
    mem_release(headers->items);
    *headers = (struct s3_headers){ 0 };
}

void s3_headers_add(struct s3_headers *headers, const char *name, const char *value)
{
    headers->items = mem_resize(headers->items, (headers->count + 1) * sizeof *headers->items);
    headers->items[headers->count++] = (struct http_header){ mem_string(name), mem_string(value) };
}

bool s3_headers_have(const struct s3_headers *headers, const char *name)
{
    for (size_t i = 0; i < headers->count; i++)
        if (strcmp(headers->items[i].name, name) == 0)
            return true;
    return false;
}

/* ---- kinds ---- */

bool s3_key_is_link(const char *key)
{
    const size_t len = strlen(key);
    const size_t suffix = sizeof LINK_SUFFIX - 1;
    return len > suffix && key[len - suffix - 1] != '/' &&
           memcmp(key + len - suffix, LINK_SUFFIX, suffix) == 0;
}

enum entry_kind s3_kind_of_key(const char *key)
{
    const size_t len = strlen(key);
    if (len == 0 || key[len - 1] == '/')
        return ENTRY_DIR;
    return s3_key_is_link(key) ? ENTRY_LINK : ENTRY_FILE;
}

/* ---- writing ---- */

/* The file type in front of the permission bits, as stat() and rclone have it. */
static uint32_t type_bits(enum entry_kind kind)
{
    return kind == ENTRY_DIR ? S_IFDIR : kind == ENTRY_LINK ? S_IFLNK : S_IFREG;
}

PRINTF_LIKE(3, 4)
static void add_number(struct s3_headers *headers, const char *name, const char *fmt, ...)
{
    char text[64];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    s3_headers_add(headers, name, text);
}

static void add_mtime(struct s3_headers *headers, int64_t mtime_ns)
{
    const bool negative = mtime_ns < 0;
    const uint64_t ns = negative ? -(uint64_t)mtime_ns : (uint64_t)mtime_ns;
    add_number(headers, META "mtime", "%s%llu.%09llu", negative ? "-" : "",
               (unsigned long long)(ns / NS_PER_S), (unsigned long long)(ns % NS_PER_S));
}

static int add_attr(struct s3_headers *headers, const char *key, const struct attr *attr,
                    struct err *err)
{
    if (attr->kind == ENTRY_LINK && !s3_key_is_link(key))
        return err_set(err, ERR_LIMIT, "the name of a link ends in %s here", LINK_SUFFIX);
    if (attr->kind == ENTRY_FILE && s3_key_is_link(key))
        s3_headers_add(headers, KIND, entry_kind_name(ENTRY_FILE));
    if ((attr->have & ATTR_MTIME) != 0)
        add_mtime(headers, attr->mtime_ns);
    if ((attr->have & ATTR_MODE) != 0)
        add_number(headers, META "mode", "%o", type_bits(attr->kind) | (attr->mode & 07777));
    if ((attr->have & ATTR_OWNER) != 0) {
        add_number(headers, META "uid", "%u", attr->uid);
        add_number(headers, META "gid", "%u", attr->gid);
    }
    return 0;
}

/* A name is a token of HTTP; ours come in lower case, since HTTP knows no case. */
static int check_name(const char *name, struct buf *lower, struct err *err)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    buf_add_text(lower, META);
    if (name[0] == '\0')
        return err_set(err, ERR_LIMIT, "--metadata without a name cannot be kept");
    for (const char *at = name; *at != '\0'; at++) {
        const char c = *at >= 'A' && *at <= 'Z' ? (char)(*at | 0x20) : *at;
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) && strchr(others, c) == NULL)
            return err_set(err, ERR_LIMIT, "the name of --metadata '%s' cannot be kept", name);
        buf_add_char(lower, c);
    }
    return 0;
}

/* No control characters, and no blanks at the ends, which HTTP does not keep. */
static int check_value(const struct store_meta *meta, struct err *err)
{
    const size_t len = strlen(meta->value);
    bool fine = len == 0 || (meta->value[0] != ' ' && meta->value[len - 1] != ' ');
    const unsigned char *at = (const unsigned char *)meta->value;
    const unsigned char *end = at + len;
    while (at < end) {
        const uint32_t code = utf8_decode(&at, end);
        fine &= code >= 0x20 && code != 0x7f && code < UTF8_BYTE;
    }
    return fine
               ? 0
               : err_set(err, ERR_LIMIT, "the value of --metadata '%s' cannot be kept", meta->name);
}

static int add_user_meta(struct s3_headers *headers, const struct store_put *put, struct err *err)
{
    for (size_t i = 0; i < put->meta_count; i++) {
        SCOPED(buf) struct buf name = { 0 };
        if (check_name(put->meta[i].name, &name, err) < 0 || check_value(&put->meta[i], err) < 0)
            return -1;
        if (s3_headers_have(headers, name.data))
            return err_set(err, ERR_LIMIT, "--metadata '%s' is set already", put->meta[i].name);
        s3_headers_add(headers, name.data, put->meta[i].value);
    }
    return 0;
}

static int check_size(const struct s3_headers *headers, struct err *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < headers->count; i++)
        if (strncmp(headers->items[i].name, META, META_LEN) == 0)
            bytes += strlen(headers->items[i].name) - META_LEN + strlen(headers->items[i].value);
    if (bytes <= S3_META_MAX)
        return 0;
    return err_set(err, ERR_LIMIT, "its metadata has %zu bytes; %d is the most", bytes,
                   S3_META_MAX);
}

int s3_meta_headers(const struct s3_store *store, const struct store_put *put,
                    const uint64_t *crc64, const char *nonce, struct s3_headers *headers,
                    struct err *err)
{
    s3_headers_add(headers, "content-type",
                   s3_kind_of_key(put->key) == ENTRY_DIR ? "application/x-directory"
                                                         : "application/octet-stream");
    if (put->attr != NULL && add_attr(headers, put->key, put->attr, err) < 0)
        return -1;
    if (crc64 != NULL)
        add_number(headers, CRC64, "%016llx", (unsigned long long)*crc64);
    if (nonce != NULL)
        s3_headers_add(headers, S3_NONCE_HEADER, nonce);
    if (add_user_meta(headers, put, err) < 0 || check_size(headers, err) < 0)
        return -1;
    if (store->acl != NULL)
        s3_headers_add(headers, "x-amz-acl", store->acl);
    if (store->storage_class != NULL)
        s3_headers_add(headers, "x-amz-storage-class", store->storage_class);
    return 0;
}

/* ---- reading ---- */

/* Decimal seconds with up to 9 digits that count; false when it is something else. */
static bool parse_mtime(const char *text, int64_t *ret_ns)
{
    const bool negative = text[0] == '-';
    const char *digits = text + negative;
    char *end = NULL;
    errno = 0;
    const unsigned long long seconds = strtoull(digits, &end, 10);
    if (end == digits || digits[0] < '0' || digits[0] > '9' || errno != 0 ||
        seconds > (unsigned long long)(INT64_MAX / NS_PER_S) - 1)
        return false;
    int64_t ns = (int64_t)seconds * NS_PER_S;
    if (*end == '.') {
        int64_t unit = NS_PER_S / 10;
        for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
            ns += (*end - '0') * unit;
    }
    *ret_ns = negative ? -ns : ns;
    return *end == '\0';
}

static bool parse_number(const char *text, int base, uint64_t most, uint64_t *ret_value)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, base);
    if (end == text || *end != '\0' || text[0] == '-' || errno != 0 || value > most)
        return false;
    *ret_value = value;
    return true;
}

static bool header_number(const struct http_reply *reply, const char *name, int base, uint64_t most,
                          uint64_t *ret_value)
{
    const char *text = http_reply_header(reply, name);
    return text != NULL && parse_number(text, base, most, ret_value);
}

static void read_attr(const struct http_reply *reply, const char *key, struct attr *attr)
{
    uint64_t value = 0;
    uint64_t gid = 0;
    *attr = (struct attr){ .kind = s3_kind_of_key(key) };
    const char *kind = http_reply_header(reply, KIND);
    if (kind != NULL && strcmp(kind, entry_kind_name(ENTRY_FILE)) == 0)
        attr->kind = ENTRY_FILE;
    const char *mtime = http_reply_header(reply, META "mtime");
    if (mtime != NULL && parse_mtime(mtime, &attr->mtime_ns))
        attr->have |= ATTR_MTIME;
    if (header_number(reply, META "mode", 8, UINT32_MAX, &value)) {
        attr->mode = (uint32_t)value & 07777;
        attr->have |= ATTR_MODE;
    }
    if (header_number(reply, META "uid", 10, UINT32_MAX, &value) &&
        header_number(reply, META "gid", 10, UINT32_MAX, &gid)) {
        attr->uid = (uint32_t)value;
        attr->gid = (uint32_t)gid;
        attr->have |= ATTR_OWNER;
    }
    if (header_number(reply, CRC64, 16, UINT64_MAX, &attr->crc64))
        attr->have |= ATTR_CRC64;
}

/* "bytes 0-4/10": the whole is what stands last. */
static bool read_size(const struct http_reply *reply, uint64_t *ret_size_bytes)
{
    const char *range = http_reply_header(reply, "content-range");
    const char *slash = range != NULL ? strchr(range, '/') : NULL;
    if (reply->status == 206 && slash != NULL)
        return parse_number(slash + 1, 10, UINT64_MAX, ret_size_bytes);
    return header_number(reply, "content-length", 10, UINT64_MAX, ret_size_bytes);
}

/* Objects that lade sent in parts say their size; what a server has encrypted with keys has no MD5
 * for an ETag. */
static uint64_t md5_part_bytes(const struct http_reply *reply, const struct object *object)
{
    uint64_t part_bytes = 0;
    uint64_t count = 0;
    const char *encryption = http_reply_header(reply, "x-amz-server-side-encryption");
    if (!header_number(reply, S3_PART_HEADER, 10, UINT64_MAX, &part_bytes) || part_bytes == 0 ||
        (encryption != NULL && strcmp(encryption, "AES256") != 0) ||
        http_reply_header(reply, "x-amz-server-side-encryption-customer-algorithm") != NULL ||
        strspn(object->etag, "0123456789abcdef") != 32 || object->etag[32] != '-' ||
        !parse_number(object->etag + 33, 10, UINT32_MAX, &count))
        return 0;
    const uint64_t wanted =
        object->size_bytes / part_bytes + (object->size_bytes % part_bytes != 0);
    return wanted == count ? part_bytes : 0;
}

int s3_meta_object(const struct http_reply *reply, const char *key, struct object *object,
                   struct err *err)
{
    uint64_t size_bytes = 0;
    if (!read_size(reply, &size_bytes))
        return err_set(err, ERR_SERVER, "the answer does not tell the object's size");
    buf_clear(&object->key);
    buf_add_text(&object->key, key);
    object->size_bytes = size_bytes;
    read_attr(reply, key, &object->attr);
    const char *etag = http_reply_header(reply, "etag");
    s3_etag_copy(object->etag, etag != NULL ? etag : "");
    object->md5_part_bytes = md5_part_bytes(reply, object);
    const char *modified = http_reply_header(reply, "last-modified");
    const int64_t stored_s = modified != NULL ? http_parse_date(modified) : -1;
    object->stored_ns = stored_s > 0 && stored_s < INT64_MAX / NS_PER_S ? stored_s * NS_PER_S : 0;
    return 0;
}
