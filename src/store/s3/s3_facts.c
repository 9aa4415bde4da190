#include "store/s3/s3_facts.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/home.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "http/sigv4.h"

#include <fcntl.h>
#include <unistd.h>

#define FILE_MAX_BYTES 16384
#define NAME_MAX_BYTES 32

static const char *const names[S3_FACT_COUNT] = {
    [S3_FACT_LIST_V2] = "list-v2",
    [S3_FACT_MULTIPART] = "multipart",
    [S3_FACT_IF_NONE_MATCH] = "if-none-match",
    [S3_FACT_CRC64NVME] = "crc64nvme",
    [S3_FACT_CRC64NVME_PART] = "crc64nvme-part",
    [S3_FACT_TRAILER] = "trailer",
    [S3_FACT_CRC32C] = "crc32c",
    [S3_FACT_CONTENT_MD5] = "content-md5",
    [S3_FACT_SHA256] = "sha256",
};
static const char *const values[S3_FACT_VALUES] = {
    [S3_UNSEEN] = "unseen", [S3_YES] = "yes", [S3_IGNORED] = "ignored", [S3_NO] = "no"
};

const char *s3_fact_name(enum s3_fact_kind kind)
{
    return names[kind];
}

const char *s3_fact_text(enum s3_fact value)
{
    return values[value];
}

/* ---- the text ---- */

static void add_line(struct buf *text, const char *name, const char *value)
{
    buf_printf(text, "%s=", name);
    sigv4_encode(text, value, strlen(value), true);
    buf_add_char(text, '\n');
}

void s3_facts_write(const struct s3_facts *facts, const char *endpoint, const char *bucket,
                    struct buf *ret_text)
{
    buf_clear(ret_text);
    buf_add_text(ret_text, "lade-s3-facts=2\n");
    add_line(ret_text, "endpoint", endpoint);
    add_line(ret_text, "bucket", bucket);
    buf_printf(ret_text, "probed=%lld\n", (long long)facts->probed_ns);
    for (size_t i = 0; i < S3_FACT_COUNT; i++)
        buf_printf(ret_text, "%s=%s\n", names[i], values[facts->seen[i]]);
    const uint64_t crc = crc64nvme(0, ret_text->data, ret_text->len);
    buf_printf(ret_text, "crc=%016llx\n", (unsigned long long)crc);
}

/* Behind "\nNAME=", NULL when there is no such line. */
static const char *line_value(const char *text, const char *name)
{
    SCOPED(buf) struct buf mark = { 0 };
    buf_printf(&mark, "\n%s=", name);
    const char *at = strstr(text, mark.data);
    return at != NULL ? at + mark.len : NULL;
}

static unsigned char value_of(const char *at)
{
    const size_t len = at != NULL ? strcspn(at, "\n") : 0;
    for (size_t i = 0; i < S3_FACT_VALUES; i++)
        if (strlen(values[i]) == len && memcmp(values[i], at, len) == 0)
            return (unsigned char)i;
    return S3_UNSEEN;
}

/* There is one text for given facts, so what is read must come out again as it went in: the CRC and
 * the place are compared with it. */
bool s3_facts_read(struct s3_facts *ret_facts, const char *text, size_t len, const char *endpoint,
                   const char *bucket)
{
    struct s3_facts facts = { 0 };
    const char *probed = line_value(text, "probed");
    if (strlen(text) != len || probed == NULL)
        return false;
    facts.probed_ns = strtoll(probed, NULL, 10);
    for (size_t i = 0; i < S3_FACT_COUNT; i++)
        facts.seen[i] = value_of(line_value(text, names[i]));
    SCOPED(buf) struct buf again = { 0 };
    s3_facts_write(&facts, endpoint, bucket, &again);
    if (again.len != len || memcmp(again.data, text, len) != 0)
        return false;
    *ret_facts = facts;
    return true;
}

/* ---- the file ---- */

static void file_name(const char *endpoint, const char *bucket, char ret_name[NAME_MAX_BYTES])
{
    const uint64_t first = crc64nvme(0, endpoint, strlen(endpoint) + 1);
    const uint64_t both = crc64nvme(first, bucket, strlen(bucket));
    snprintf(ret_name, NAME_MAX_BYTES, "s3-%016llx", (unsigned long long)both);
}

static int open_home(struct err *err)
{
    char *home = home_cache();
    if (home == NULL)
        return err_set(err, ERR_LOCAL, "neither XDG_CACHE_HOME nor HOME names a directory");
    int fd = -1;
    if (path_make_all(home, err) == 0) {
        fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            err_sys(err, ERR_LOCAL, "open '%s'", home);
    }
    mem_release(home);
    return fd;
}

bool s3_facts_load(struct s3_facts *ret_facts, const char *endpoint, const char *bucket,
                   int64_t now_ns)
{
    char *home = home_cache();
    if (home == NULL)
        return false;
    char name[NAME_MAX_BYTES];
    SCOPED(buf) struct buf path = { 0 };
    SCOPED(buf) struct buf text = { 0 };
    struct err ignored = { 0 }; /* the same as a file that is not there */
    struct s3_facts facts;
    file_name(endpoint, bucket, name);
    buf_printf(&path, "%s/%s", home, name);
    mem_release(home);
    if (file_read(AT_FDCWD, path.data, FILE_MAX_BYTES, &text, &ignored) < 0 ||
        !s3_facts_read(&facts, buf_text(&text), text.len, endpoint, bucket) ||
        facts.probed_ns > now_ns || now_ns - facts.probed_ns > S3_FACTS_AGE_MAX_NS)
        return false;
    *ret_facts = facts;
    return true;
}

int s3_facts_save(const struct s3_facts *facts, const char *endpoint, const char *bucket,
                  struct err *err)
{
    char name[NAME_MAX_BYTES];
    SCOPED(buf) struct buf text = { 0 };
    SCOPED_FD int dir = open_home(err);
    if (dir < 0)
        return -1;
    file_name(endpoint, bucket, name);
    s3_facts_write(facts, endpoint, bucket, &text);
    return file_replace(dir, name, text.data, text.len, err);
}

void s3_facts_forget(const char *endpoint, const char *bucket)
{
    char name[NAME_MAX_BYTES];
    struct err ignored = { 0 };
    SCOPED_FD int dir = open_home(&ignored);
    file_name(endpoint, bucket, name);
    if (dir >= 0)
        (void)unlinkat(dir, name, 0);
}
