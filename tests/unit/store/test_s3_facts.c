#include "store/s3/s3_facts.h"

#include "scratch.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/scope.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ENDPOINT "https://a3s.fi"
#define BUCKET "run7"
#define NOW_NS (INT64_C(1700000000) * NS_PER_S)
#define HOUR_NS (3600 * NS_PER_S)

static struct scratch scratch;

static int start(void **state)
{
    (void)state;
    scratch_open(&scratch);
    setenv("XDG_CACHE_HOME", scratch_path(&scratch, "cache"), 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_close(&scratch);
    return 0;
}

static struct s3_facts some_facts(void)
{
    struct s3_facts facts = { .probed_ns = NOW_NS };
    for (size_t i = 0; i < S3_FACT_COUNT; i++)
        facts.seen[i] = (unsigned char)(i % S3_FACT_VALUES);
    return facts;
}

static void assert_same(const struct s3_facts *a, const struct s3_facts *b)
{
    assert_int_equal(a->probed_ns, b->probed_ns);
    assert_memory_equal(a->seen, b->seen, sizeof a->seen);
}

static void save(const struct s3_facts *facts)
{
    struct err err = { 0 };
    assert_int_equal(s3_facts_save(facts, ENDPOINT, BUCKET, &err), 0);
}

static void test_text_comes_back(void **state)
{
    (void)state;
    SCOPED(buf) struct buf text = { 0 };
    struct s3_facts facts = some_facts();
    struct s3_facts back;
    for (int turn = 0; turn < S3_FACT_VALUES; turn++) {
        s3_facts_write(&facts, ENDPOINT, "b\n=%\xff", &text);
        assert_true(s3_facts_read(&back, text.data, text.len, ENDPOINT, "b\n=%\xff"));
        assert_same(&back, &facts);
        for (size_t i = 0; i < S3_FACT_COUNT; i++)
            facts.seen[i] = (unsigned char)((facts.seen[i] + 1) % S3_FACT_VALUES);
    }
}

static void test_any_damage_is_seen(void **state)
{
    (void)state;
    SCOPED(buf) struct buf text = { 0 };
    const struct s3_facts facts = some_facts();
    struct s3_facts back;
    s3_facts_write(&facts, ENDPOINT, BUCKET, &text);
    for (size_t i = 0; i < text.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text.data[i] = (char)(text.data[i] ^ (1 << bit));
            assert_false(s3_facts_read(&back, text.data, text.len, ENDPOINT, BUCKET));
            text.data[i] = (char)(text.data[i] ^ (1 << bit));
        }
        SCOPED(buf) struct buf cut = { 0 };
        buf_add(&cut, text.data, i);
        assert_false(s3_facts_read(&back, buf_text(&cut), cut.len, ENDPOINT, BUCKET));
    }
    assert_true(s3_facts_read(&back, text.data, text.len, ENDPOINT, BUCKET));
    buf_add_char(&text, '\n');
    assert_false(s3_facts_read(&back, text.data, text.len, ENDPOINT, BUCKET));
}

static void test_another_place_is_not_taken(void **state)
{
    (void)state;
    SCOPED(buf) struct buf text = { 0 };
    const struct s3_facts facts = some_facts();
    struct s3_facts back;
    s3_facts_write(&facts, ENDPOINT, BUCKET, &text);
    assert_false(s3_facts_read(&back, text.data, text.len, "http://a3s.fi", BUCKET));
    assert_false(s3_facts_read(&back, text.data, text.len, ENDPOINT, "run8"));
}

static void test_another_version_is_not_taken(void **state)
{
    (void)state;
    SCOPED(buf) struct buf text = { 0 };
    const struct s3_facts facts = some_facts();
    struct s3_facts back;
    s3_facts_write(&facts, ENDPOINT, BUCKET, &text);
    *strchr(text.data, '2') = '3';
    assert_false(s3_facts_read(&back, text.data, text.len, ENDPOINT, BUCKET));
    /* Version 1, which said nothing of trailers. */
    static const char first[] = "lade-s3-facts=1\nendpoint=https%3A//a3s.fi\nbucket=run7\n"
                                "probed=1500000000000000000\nlist-v2=yes\nmultipart=yes\n"
                                "if-none-match=yes\ncrc64nvme=ignored\ncrc64nvme-part=unseen\n"
                                "crc32c=no\ncontent-md5=yes\nsha256=yes\ncrc=524d4325dbd47e73\n";
    assert_false(s3_facts_read(&back, first, sizeof first - 1, ENDPOINT, BUCKET));
}

static void test_cache_keeps_each_place(void **state)
{
    (void)state;
    struct err err = { 0 };
    struct s3_facts facts = some_facts();
    struct s3_facts back;
    assert_false(s3_facts_load(&back, ENDPOINT, BUCKET, NOW_NS));
    save(&facts);
    facts.seen[0] = S3_NO;
    assert_int_equal(s3_facts_save(&facts, ENDPOINT, "run8", &err), 0);
    assert_true(s3_facts_load(&back, ENDPOINT, BUCKET, NOW_NS));
    assert_int_equal(back.seen[0], some_facts().seen[0]);
    assert_true(s3_facts_load(&back, ENDPOINT, "run8", NOW_NS));
    assert_same(&back, &facts);
    s3_facts_forget(ENDPOINT, BUCKET);
    assert_false(s3_facts_load(&back, ENDPOINT, BUCKET, NOW_NS));
    assert_true(s3_facts_load(&back, ENDPOINT, "run8", NOW_NS));
}

static void test_old_and_future_facts_are_not_taken(void **state)
{
    (void)state;
    const struct s3_facts facts = some_facts();
    struct s3_facts back;
    save(&facts);
    assert_true(s3_facts_load(&back, ENDPOINT, BUCKET, NOW_NS + S3_FACTS_AGE_MAX_NS - HOUR_NS));
    assert_false(s3_facts_load(&back, ENDPOINT, BUCKET, NOW_NS + S3_FACTS_AGE_MAX_NS + HOUR_NS));
    assert_false(s3_facts_load(&back, ENDPOINT, BUCKET, NOW_NS - HOUR_NS));
}

static void test_damaged_file_is_not_taken(void **state)
{
    (void)state;
    const struct s3_facts facts = some_facts();
    struct s3_facts back;
    save(&facts);
    char path[4096];
    snprintf(path, sizeof path, "%s/lade", getenv("XDG_CACHE_HOME"));
    DIR *dir = opendir(path);
    assert_non_null(dir);
    struct dirent *entry;
    size_t files = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        const int fd = openat(dirfd(dir), entry->d_name, O_WRONLY | O_CLOEXEC);
        struct err err = { 0 };
        assert_int_equal(file_write_at(fd, "X", 1, 40, &err), 0);
        close(fd);
        files++;
    }
    closedir(dir);
    assert_int_equal(files, 1);
    assert_false(s3_facts_load(&back, ENDPOINT, BUCKET, NOW_NS));
}

static void test_cache_that_cannot_be_is_told(void **state)
{
    (void)state;
    const struct s3_facts facts = some_facts();
    struct s3_facts back;
    struct err err = { 0 };
    setenv("XDG_CACHE_HOME", "/proc/none", 1);
    assert_int_equal(s3_facts_save(&facts, ENDPOINT, BUCKET, &err), -1);
    assert_false(s3_facts_load(&back, ENDPOINT, BUCKET, NOW_NS));
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, start, end)
    const struct CMUnitTest tests[] = {
        CASE(test_text_comes_back),
        CASE(test_any_damage_is_seen),
        CASE(test_another_place_is_not_taken),
        CASE(test_another_version_is_not_taken),
        CASE(test_cache_keeps_each_place),
        CASE(test_old_and_future_facts_are_not_taken),
        CASE(test_damaged_file_is_not_taken),
        CASE(test_cache_that_cannot_be_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
