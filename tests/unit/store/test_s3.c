/* Against a real gateway: tests/servers/with test_store_s3. */
#include "store/s3/s3.h"

#include "contract.h"

#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BUCKET "lade-contract"

static char path[128];
static unsigned count;

/* What tests/servers/with set. */
static const char *from_server(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL)
        fail_msg("%s is not set", name);
    return value != NULL ? value : "";
}

static struct store *open_with(const char *at, const struct store_access *access)
{
    struct err err = { 0 };
    struct store *store = NULL;
    struct store_options options = { .create = true, .make_bucket = true };
    if (access != NULL)
        options.access = *access;
    if (s3_driver.open(&store, at, &options, &err) < 0)
        fail_msg("open %s: %s", at, err.text);
    return store;
}

static struct store *open_again(void)
{
    return open_with(path, NULL);
}

/* Each test has its own prefix, with characters that an URL must encode. */
static struct store *open_fresh(void)
{
    snprintf(path, sizeof path, "//" BUCKET "/run %d+%%/%u", (int)getpid(), ++count);
    return open_again();
}

static void end_uploads(struct store *store)
{
    struct err err = { 0 };
    struct store_uploads *uploads = NULL;
    SCOPED(store_upload) struct store_upload upload = { 0 };
    assert_int_equal(s3_driver.uploads_open(&uploads, store, "", &err), 0);
    while (s3_driver.uploads_next(uploads, &upload, &err) == 1)
        assert_int_equal(s3_driver.abort(store, upload.key.data, upload.token, &err), 0);
    assert_int_equal(err.kind, ERR_NONE);
    s3_driver.uploads_close(uploads);
}

static void remove_all(struct store *store)
{
    struct err err = { 0 };
    struct store_list *list = NULL;
    SCOPED(object) struct object object = { 0 };
    char *keys[1000];
    size_t keys_count = 0;
    assert_int_equal(s3_driver.list_open(&list, store, "", "", false, &err), 0);
    while (keys_count < 1000 && s3_driver.list_next(list, &object, &err) == 1)
        keys[keys_count++] = mem_string(object.key.data);
    s3_driver.list_close(list);
    struct err *errs = mem_alloc(1000 * sizeof *errs);
    if (keys_count != 0)
        assert_int_equal(s3_driver.remove(store, (const char *const *)keys, keys_count, errs, &err),
                         0);
    for (size_t i = 0; i < keys_count; i++) {
        assert_int_equal(errs[i].kind, ERR_NONE);
        mem_release(keys[i]);
    }
    mem_release(errs);
}

static void close_and_remove(struct store *store)
{
    end_uploads(store);
    remove_all(store);
    s3_driver.close(store);
}

static int start(void **state)
{
    *state = open_fresh();
    return 0;
}

static int end(void **state)
{
    close_and_remove(*state);
    return 0;
}

static void test_missing_bucket_is_named_with_the_way_to_make_it(void **state)
{
    (void)state;
    struct err err = { 0 };
    struct store *store = NULL;
    assert_int_equal(s3_driver.open(&store, "//lade-no-such-bucket", NULL, &err), 0);
    assert_int_equal(s3_driver.probe(store, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_non_null(strstr(err.text, "lade-no-such-bucket"));
    assert_string_equal(err.hint, "lade mb s3://lade-no-such-bucket makes it");
    err_clear(&err);
    const struct store_put put = { .key = "k", .tag = "t" };
    assert_int_equal(contract_try_put(store, &put, "x", 1), ERR_CONFIG);
    s3_driver.close(store);
}

/* With other credentials than those of the gateway's first user. */
static enum err_kind probe_as(const char *access_key, const char *secret_key)
{
    char *old_access = mem_string(from_server("AWS_ACCESS_KEY_ID"));
    char *old_secret = mem_string(from_server("AWS_SECRET_ACCESS_KEY"));
    setenv("AWS_ACCESS_KEY_ID", access_key, 1);
    setenv("AWS_SECRET_ACCESS_KEY", secret_key, 1);
    struct err err = { 0 };
    struct store *store = NULL;
    assert_int_equal(s3_driver.open(&store, "//" BUCKET, NULL, &err), 0);
    assert_int_equal(s3_driver.probe(store, &err), -1);
    /* HEAD has no body that says why. */
    struct err head = { 0 };
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(s3_driver.head(store, "x", &object, &head), -1);
    assert_int_equal(head.kind, err.kind);
    s3_driver.close(store);
    setenv("AWS_ACCESS_KEY_ID", old_access, 1);
    setenv("AWS_SECRET_ACCESS_KEY", old_secret, 1);
    mem_release(old_access);
    mem_release(old_secret);
    return err.kind;
}

static void test_refused_credentials_end_the_run_and_denial_does_not(void **state)
{
    (void)state;
    assert_int_equal(probe_as(from_server("RGW_ACCESS_KEY"), "wrong"), ERR_AUTH);
    assert_int_equal(probe_as("nobody", "wrong"), ERR_AUTH);
    assert_int_equal(probe_as(from_server("RGW_ACCESS_KEY2"), from_server("RGW_SECRET_KEY2")),
                     ERR_DENIED);
}

static void test_uploads_are_listed_with_what_they_hold(void **state)
{
    struct store *store = *state;
    struct err err = { 0 };
    char token[STORE_TOKEN_MAX];
    const struct store_put put = { .key = "a b/\x01large", .tag = "t" };
    assert_int_equal(s3_driver.begin(store, &put, 3 << 20, token, &err), 0);
    unsigned char *bytes = mem_alloc(1 << 20);
    struct store_part part;
    for (uint32_t number = 1; number <= 2; number++) {
        struct body body = body_of_memory(bytes, 1 << 20, NULL, NULL);
        assert_int_equal(s3_driver.part(store, &put, token, number, 0, &body, &part, &err), 0);
    }
    mem_release(bytes);
    struct store_uploads *uploads = NULL;
    SCOPED(store_upload) struct store_upload upload = { 0 };
    assert_int_equal(s3_driver.uploads_open(&uploads, store, "", &err), 0);
    assert_int_equal(s3_driver.uploads_next(uploads, &upload, &err), 1);
    assert_string_equal(upload.key.data, put.key);
    assert_int_equal(upload.size_bytes, 2 << 20);
    assert_int_equal(upload.parts, 2);
    assert_true(upload.begun_ns > INT64_C(1600000000) * 1000000000);
    assert_int_equal(s3_driver.uploads_next(uploads, &upload, &err), 0);
    s3_driver.uploads_close(uploads);
}

/* The answer to a commit was lost: the next try finds the object with the upload's nonce. */
static void test_commit_again_is_settled(void **state)
{
    struct store *store = *state;
    struct err err = { 0 };
    char token[STORE_TOKEN_MAX];
    const struct store_put put = { .key = "large", .tag = "t", .if_absent = true };
    struct store_part part;
    struct store_result first = { 0 };
    struct store_result second = { 0 };
    assert_int_equal(s3_driver.begin(store, &put, 4, token, &err), 0);
    struct body body = body_of_memory("text", 4, NULL, NULL);
    assert_int_equal(s3_driver.part(store, &put, token, 1, 0, &body, &part, &err), 0);
    assert_int_equal(s3_driver.commit(store, &put, token, &part, 1, &first, &err), 0);
    assert_int_equal(s3_driver.commit(store, &put, token, &part, 1, &second, &err), 0);
    assert_string_equal(first.etag, second.etag);
    /* An upload that is not there, when the key holds something else, is no success. */
    contract_put(store, "large", "else");
    char other[STORE_TOKEN_MAX];
    snprintf(other, sizeof other, "4:0123456789abcdef:2~nosuchupload");
    const struct store_put replace = { .key = "large", .tag = "t" };
    assert_int_equal(s3_driver.commit(store, &replace, other, &part, 1, &second, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
}

/* Whether a try whose answer was lost was carried out, the next one finds out. */
static void test_put_if_absent_knows_its_own_object(void **state)
{
    struct store *store = *state;
    const struct store_put put = { .key = "file", .tag = "same", .if_absent = true };
    assert_int_equal(contract_try_put(store, &put, "text", 4), ERR_NONE);
    assert_int_equal(contract_try_put(store, &put, "text", 4), ERR_NONE);
    assert_int_equal(contract_try_put(store, &put, "tex!", 4), ERR_CONFLICT);
    const struct store_put other = { .key = "file", .tag = "other", .if_absent = true };
    assert_int_equal(contract_try_put(store, &other, "text", 4), ERR_CONFLICT);
}

static void test_metadata_that_headers_cannot_carry_is_refused(void **state)
{
    struct store *store = *state;
    char *large = mem_alloc(2100);
    memset(large, 'x', 2099);
    const struct store_meta bad[] = {
        { "a", "line\r\nx-amz-acl: public-read" },
        { "a b", "x" },
        { "a", " x" },
        { "a", large },
        { "mtime", "1" },
        { "", "x" },
    };
    const struct attr attr = { .kind = ENTRY_FILE, .have = ATTR_MTIME, .mtime_ns = 1 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct store_put put = {
            .key = "file", .tag = "t", .attr = &attr, .meta = &bad[i], .meta_count = 1
        };
        assert_int_equal(contract_try_put(store, &put, "x", 1), ERR_LIMIT);
    }
    contract_expect_absent(store, "file");
    mem_release(large);
}

static void test_set_attr_keeps_the_rest(void **state)
{
    struct store *store = *state;
    struct err err = { 0 };
    contract_put(store, "file", "text");
    const struct attr attr = { .kind = ENTRY_FILE, .have = ATTR_MTIME, .mtime_ns = -1500000000 };
    assert_int_equal(s3_driver.set_attr(store, "file", &attr, &err), 0);
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(s3_driver.head(store, "file", &object, &err), 0);
    assert_true(object.attr.mtime_ns == -1500000000);
    assert_true((object.attr.have & ATTR_CRC64) != 0);
    contract_expect(store, "file", "text");
}

static void test_over_tls_with_the_bucket_in_the_host(void **state)
{
    (void)state;
    const struct store_access access = { .endpoint_url = from_server("RGW_ENDPOINT_TLS") };
    setenv("AWS_CA_BUNDLE", from_server("RGW_CA"), 1);
    struct store *store = open_with("//" BUCKET "/tls", &access);
    contract_put(store, "file", "text");
    contract_expect(store, "file", "text");
    close_and_remove(store);
    unsetenv("AWS_CA_BUNDLE");
    struct err err = { 0 };
    const struct store_options options = { .access = access };
    assert_int_equal(s3_driver.open(&store, "//" BUCKET, &options, &err), 0);
    assert_int_equal(s3_driver.probe(store, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    s3_driver.close(store);
}

/* ---- as many parts as S3 allows; this gateway takes parts of one byte (rgw.conf) ---- */

#define PARTS_MAX 10000u
#define SENDERS 8u

struct many_parts {
    struct store *store;
    const struct store_put *put;
    const char *token;
    const unsigned char *bytes;
    struct store_part *parts;
    uint32_t count;
    atomic_uint next, failed;
};

static void *send_parts(void *arg)
{
    struct many_parts *many = arg;
    for (uint32_t part; (part = atomic_fetch_add(&many->next, 1)) < many->count;) {
        struct err err = { 0 };
        struct digest digest = { .kinds = DIGEST_CRC64NVME };
        struct body body = body_of_memory(many->bytes + part, 1, &digest, NULL);
        if (s3_driver.part(many->store, many->put, many->token, part + 1, part, &body,
                           &many->parts[part], &err) < 0 &&
            atomic_fetch_add(&many->failed, 1) == 0)
            print_message("part %u: %s\n", part + 1, err.text);
    }
    return NULL;
}

/* All of them take the gateway two minutes, so that is for the long series (LADE_LONG); else more
 * than two pages of a listing of parts, under sanitizers (LADE_SAMPLE) a part of one. */
static uint32_t count_of_parts(void)
{
    if (getenv("LADE_LONG") != NULL)
        return PARTS_MAX;
    return getenv("LADE_SAMPLE") != NULL ? PARTS_MAX / 20 : PARTS_MAX / 5 + 1;
}

static void test_an_object_of_as_many_parts_as_there_may_be(void **state)
{
    struct store *store = *state;
    struct err err = { 0 };
    const uint32_t part_count = count_of_parts();
    unsigned char *bytes = mem_alloc(part_count);
    for (uint32_t i = 0; i < part_count; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 24);
    assert_int_equal(store->limits.max_parts, PARTS_MAX);
    struct attr attr = { .kind = ENTRY_FILE };
    const struct store_put put = { .key = "many", .tag = "t", .attr = &attr };
    char token[STORE_TOKEN_MAX];
    assert_int_equal(s3_driver.begin(store, &put, part_count, token, &err), 0);
    struct many_parts many = { .store = store,
                               .put = &put,
                               .token = token,
                               .bytes = bytes,
                               .count = part_count,
                               .parts = mem_alloc(part_count * sizeof *many.parts) };
    struct thread senders[SENDERS] = { 0 };
    for (uint32_t i = 0; i < SENDERS; i++)
        assert_int_equal(thread_start(&senders[i], "sender", send_parts, &many, &err), 0);
    for (uint32_t i = 0; i < SENDERS; i++)
        thread_join(&senders[i]);
    assert_int_equal(many.failed, 0);
    attr.have = ATTR_CRC64;
    attr.crc64 = crc64nvme(0, bytes, part_count);
    struct store_result stored = { 0 };
    if (s3_driver.commit(store, &put, token, many.parts, part_count, &stored, &err) < 0)
        fail_msg("commit: %s", err.text);
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(s3_driver.head(store, "many", &object, &err), 0);
    assert_true(object.size_bytes == part_count && (object.attr.have & ATTR_CRC64) != 0 &&
                object.attr.crc64 == attr.crc64);
    struct digest digest = { .kinds = DIGEST_CRC64NVME };
    struct sink sink = { .digest = &digest, .fd = -1 };
    assert_int_equal(s3_driver.get(store, "many", 0, UINT64_MAX, object.etag, &sink, NULL, &err),
                     0);
    assert_true(digest.crc64 == attr.crc64);
    mem_release(many.parts);
    mem_release(bytes);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    if (getenv("LADE_TEST_S3") == NULL)
        return fprintf(stderr, "no gateway: tests/servers/with test_store_s3\n"), 1;
    const struct contract contract = { open_fresh, close_and_remove, open_again };
    const struct CMUnitTest tests[] = {
        CASE(test_missing_bucket_is_named_with_the_way_to_make_it),
        CASE(test_refused_credentials_end_the_run_and_denial_does_not),
        CASE(test_uploads_are_listed_with_what_they_hold),
        CASE(test_commit_again_is_settled),
        CASE(test_put_if_absent_knows_its_own_object),
        CASE(test_metadata_that_headers_cannot_carry_is_refused),
        CASE(test_set_attr_keeps_the_rest),
        CASE(test_over_tls_with_the_bucket_in_the_host),
        CASE(test_an_object_of_as_many_parts_as_there_may_be),
    };
    return contract_run(&contract) + cmocka_run_group_tests(tests, NULL, NULL);
}
