#include "job/stream.h"

#include "../scratch.h"
#include "base/mem.h"
#include "base/scope.h"
#include "recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct scratch scratch;

static int start(void **state)
{
    (void)state;
    scratch_open(&scratch);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_close(&scratch);
    return 0;
}

/* "a b/ c": the keys of a stream as one text; closes it. */
static void expect_keys(struct stream *stream, const char *text)
{
    SCOPED(buf) struct buf all = { 0 };
    struct stream_item item;
    struct err err = { 0 };
    int got;
    while ((got = stream_next(stream, &item, &err)) == 1) {
        assert_int_equal(strlen(item.name), item.name_len);
        buf_printf(&all, "%s%s", all.len != 0 ? " " : "", item.key);
    }
    assert_int_equal(got, 0);
    assert_string_equal(buf_text(&all), text);
    stream_close(stream);
}

static void fill_tree(void)
{
    scratch_text(&scratch, "tree/a/x", "12345");
    scratch_text(&scratch, "tree/a-b", "");
    scratch_text(&scratch, "tree/l.rclonelink", "target");
    scratch_dir(&scratch, "tree/z");
    assert_int_equal(fchmodat(scratch.fd, "tree/a/x", 0640, 0), 0);
    scratch_mtime(&scratch, "tree/a/x", 1500000001);
}

static struct store *open_store(void)
{
    struct store *store = NULL;
    struct err err = { 0 };
    assert_int_equal(store_open_location(&store, scratch_path(&scratch, "tree"), NULL, &err), 0);
    return store;
}

static struct stream *stream_store(struct store *store, const char *after)
{
    struct stream *stream = NULL;
    struct err err = { 0 };
    assert_int_equal(stream_of_store(&stream, store, after, &err), 0);
    return stream;
}

static void test_store_gives_its_objects_with_what_they_are(void **state)
{
    (void)state;
    fill_tree();
    struct store *store = open_store();
    expect_keys(stream_store(store, NULL), "a-b a/ a/x l.rclonelink z/");
    struct stream *stream = stream_store(store, NULL);
    struct stream_item *item = NULL;
    struct err err = { 0 };
    assert_int_equal(stream_seek(stream, "a/", &item, &err), 1);
    assert_int_equal(item->kind, ENTRY_DIR);
    assert_int_equal(item->size_bytes, 0);
    assert_int_equal(stream_seek(stream, "a/x", &item, &err), 1);
    assert_int_equal(item->kind, ENTRY_FILE);
    assert_int_equal(item->size_bytes, 5);
    assert_int_equal(item->mode, 0640);
    assert_true(item->has_attr && item->mtime_ns == 1500000001);
    assert_true(item->etag[0] != '\0');
    assert_int_equal(stream_seek(stream, "l.rclonelink", &item, &err), 1);
    assert_int_equal(item->kind, ENTRY_LINK);
    stream_close(stream);
    store->driver->close(store);
}

static void test_store_goes_on_after_any_key(void **state)
{
    (void)state;
    fill_tree();
    struct store *store = open_store();
    expect_keys(stream_store(store, "a-b"), "a/ a/x l.rclonelink z/");
    expect_keys(stream_store(store, "a/"), "a/x l.rclonelink z/");
    expect_keys(stream_store(store, "a/x"), "l.rclonelink z/");
    expect_keys(stream_store(store, "b"), "l.rclonelink z/");
    expect_keys(stream_store(store, "z/"), "");
    store->driver->close(store);
}

static void test_seek_finds_keys_in_order_and_passes_over_others(void **state)
{
    (void)state;
    fill_tree();
    struct store *store = open_store();
    struct stream *stream = stream_store(store, NULL);
    struct stream_item *item = NULL;
    struct err err = { 0 };
    assert_int_equal(stream_seek(stream, "a", &item, &err), 0);
    assert_int_equal(stream_seek(stream, "a/x", &item, &err), 1);
    assert_string_equal(item->key, "a/x");
    assert_int_equal(stream_seek(stream, "a/x", &item, &err), 1); /* again: two may have one key */
    assert_int_equal(stream_seek(stream, "b", &item, &err), 0);
    assert_int_equal(stream_seek(stream, "z/", &item, &err), 1);
    assert_int_equal(stream_seek(stream, "zz", &item, &err), 0);
    assert_int_equal(stream_seek(stream, "zzz", &item, &err), 0);
    stream_close(stream);
    store->driver->close(store);
    stream_close(NULL);
}

/* ---- many locations as one tree ---- */

static struct stream *stream_objects(const struct object_set *set, const struct filter *filter,
                                     const char *after)
{
    struct stream *stream = NULL;
    struct err err = { 0 };
    assert_int_equal(stream_of_objects(&stream, set, filter, after, &err), 0);
    return stream;
}

static unsigned lists_opened, objects_listed;
static const struct store_driver *real_driver;

static int counting_open(struct store_list **ret_list, struct store *store, const char *prefix,
                         const char *start_after, bool delimited, struct err *err)
{
    lists_opened++;
    return real_driver->list_open(ret_list, store, prefix, start_after, delimited, err);
}

static int counting_next(struct store_list *list, struct object *object, struct err *err)
{
    objects_listed++;
    return real_driver->list_next(list, object, err);
}

static void test_seek_does_not_list_much_that_is_not_asked_for(void **state)
{
    (void)state;
    char name[64];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "tree/a/%04d", i);
        scratch_text(&scratch, name, "");
    }
    scratch_text(&scratch, "tree/e/x", "");
    scratch_text(&scratch, "tree/e/y", "");
    scratch_text(&scratch, "tree/f", "");
    struct store *store = open_store();
    real_driver = store->driver;
    struct store_driver counting = *real_driver;
    counting.list_open = counting_open;
    counting.list_next = counting_next;
    store->driver = &counting;
    lists_opened = objects_listed = 0;
    struct stream *stream = stream_store(store, NULL);
    struct stream_item *item = NULL;
    struct err err = { 0 };
    const char *const keys[] = { "e/", "e/x", "e/xx", "e/y", "f", "g" };
    const int found[] = { 1, 1, 0, 1, 1, 0 };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal(stream_seek(stream, keys[i], &item, &err), found[i]);
    assert_int_equal(lists_opened, 2);
    assert_in_range(objects_listed, 1, 2100);
    stream_close(stream);
    store->driver = real_driver;
    store->driver->close(store);
}

static void test_objects_of_many_locations_are_one_tree(void **state)
{
    (void)state;
    fill_tree();
    scratch_text(&scratch, "other/m/y", "");
    struct object_set set;
    struct err err = { 0 };
    char one[128];
    char two[128];
    char three[128];
    snprintf(one, sizeof one, "%s/tree", scratch.path);
    snprintf(two, sizeof two, "%s/other", scratch.path);
    snprintf(three, sizeof three, "%s/tree/a/x", scratch.path);
    const struct object_set_options plain = { 0 };
    assert_int_equal(object_set_open(&set, (char *[]){ one, two, three }, 3, &plain, &err), 0);
    expect_keys(stream_objects(&set, NULL, NULL),
                "other/m/ other/m/y tree/a-b tree/a/ tree/a/x tree/l.rclonelink tree/z/ x");
    expect_keys(stream_objects(&set, NULL, "other/m/y"),
                "tree/a-b tree/a/ tree/a/x tree/l.rclonelink tree/z/ x");
    expect_keys(stream_objects(&set, NULL, "tree/a/"), "tree/a/x tree/l.rclonelink tree/z/ x");
    expect_keys(stream_objects(&set, NULL, "tree/z/"), "x");
    expect_keys(stream_objects(&set, NULL, "x"), "");
    struct filter *filter = NULL;
    assert_int_equal(filter_from_text(&filter, "- /tree/a/\n- y\n", &err), 0);
    struct stream *stream = stream_objects(&set, filter, NULL);
    struct stream_item item;
    while (stream_next(stream, &item, &err) == 1)
        assert_true(strncmp(item.name, "tree/a/", 7) != 0);
    assert_true(stream_excluded_count(stream) >= 2);
    stream_close(stream);
    filter_free(filter);
    object_set_done(&set);
}

/* ---- the record ---- */

static void make_job(struct job *job)
{
    recorded_job(job, scratch_path(&scratch, "job"), "/src", "/dest");
}

static struct stream *stream_record(const struct job *job, const char *after)
{
    struct stream *stream = NULL;
    struct err err = { 0 };
    assert_int_equal(stream_of_record(&stream, job, 1, after, &err), 0);
    return stream;
}

static const struct recorded past[] = {
    { "a", ENTRY_FILE, PLAN_NEW, RESULT_DONE, 1, 100, 0644, "e1", true },
    { "b", ENTRY_FILE, PLAN_NEW, RESULT_FAILED, 2, 100, 0644, NULL, false },
    { "c", ENTRY_FILE, PLAN_UNCHANGED, RESULT_OPEN, 3, 100, 0644, NULL, false },
    { "d", ENTRY_FILE, PLAN_COMPARE, RESULT_UNCHANGED, 4, 100, 0644, "e4", false },
    { "e/", ENTRY_DIR, PLAN_NEW, RESULT_DONE, 0, 100, 0755, NULL, false },
    { "e/f", ENTRY_SPECIAL, PLAN_SKIP, RESULT_OPEN, 0, 100, 0644, NULL, false },
    { "g", ENTRY_LINK, PLAN_NEW, RESULT_DONE, 7, 100, 0777, "e7", false },
    { "h", ENTRY_FILE, PLAN_REPLACE, RESULT_REPLACED, 8, 100, 0600, "e8", false },
    { "i", ENTRY_FILE, PLAN_NEW, RESULT_OPEN, 8, 100, 0600, NULL, false },
    { "j", ENTRY_FILE, PLAN_NEW, RESULT_SKIPPED, 8, 100, 0600, NULL, false },
};
#define PAST (sizeof past / sizeof *past)

static void test_record_is_what_was_done_or_found_unchanged(void **state)
{
    (void)state;
    struct job job;
    struct stream_item *item = NULL;
    struct err err = { 0 };
    make_job(&job);
    recorded_generation(&job, 1, past, PAST);
    expect_keys(stream_record(&job, NULL), "a c d e/ g.rclonelink h");
    struct stream *stream = stream_record(&job, NULL);
    assert_int_equal(stream_seek(stream, "a", &item, &err), 1);
    assert_true(item->record.known && item->record.racy);
    assert_string_equal(item->record.etag, "e1");
    assert_int_equal(item->size_bytes, 1);
    assert_int_equal(stream_seek(stream, "c", &item, &err), 1);
    assert_false(item->record.known);
    assert_int_equal(stream_seek(stream, "g.rclonelink", &item, &err), 1);
    assert_string_equal(item->name, "g");
    assert_string_equal(item->record.etag, "e7");
    stream_close(stream);
    job_close(&job);
}

static void test_record_goes_on_over_segments_and_after_keys(void **state)
{
    (void)state;
    struct job job;
    struct generation generation;
    struct err err = { 0 };
    make_job(&job);
    assert_int_equal(generation_create(&generation, &job, 1, &err), 0);
    recorded_segment(&generation, 1, past, 3, true);
    recorded_segment(&generation, 2, past + 3, 0, true);
    recorded_segment(&generation, 3, past + 3, 4, true);
    recorded_segment(&generation, 4, past + 7, 3, true);
    generation_done(&generation);
    expect_keys(stream_record(&job, NULL), "a c d e/ g.rclonelink h");
    /* Whole segments are passed over; in the first one that is not, items may come again. */
    expect_keys(stream_record(&job, "c"), "d e/ g.rclonelink h");
    expect_keys(stream_record(&job, "h"), "h");
    expect_keys(stream_record(&job, "j"), "");
    job_close(&job);
}

static void test_link_with_the_name_of_a_links_object_is_found_again(void **state)
{
    (void)state;
    struct job job;
    struct stream_item *item = NULL;
    struct err err = { 0 };
    static const struct recorded links[] = {
        { "a.rclonelink", ENTRY_LINK, PLAN_NEW, RESULT_DONE, 7, 100, 0777, "e", false },
        { "b", ENTRY_FILE, PLAN_NEW, RESULT_DONE, 7, 100, 0777, "e", false },
    };
    make_job(&job);
    recorded_generation(&job, 1, links, 2);
    struct stream *stream = stream_record(&job, NULL);
    assert_int_equal(stream_seek(stream, "a.rclonelink.rclonelink", &item, &err), 1);
    assert_int_equal(stream_seek(stream, "b", &item, &err), 1);
    stream_close(stream);
    job_close(&job);
}

static void test_record_without_results_is_an_error(void **state)
{
    (void)state;
    struct job job;
    struct generation generation;
    struct stream_item item;
    struct err err = { 0 };
    make_job(&job);
    assert_int_equal(generation_create(&generation, &job, 1, &err), 0);
    recorded_segment(&generation, 1, past, PAST, false);
    generation_done(&generation);
    struct stream *stream = stream_record(&job, NULL);
    assert_int_equal(stream_next(stream, &item, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
    stream_close(stream);
    err_clear(&err);
    assert_int_equal(stream_of_record(&stream, &job, 2, NULL, &err), -1);
    job_close(&job);
}

/* Two packs, of which the second begins in the middle; what stays in one of an earlier run; an
 * object of its own. The etag of a pack is with the first member that is in it. */
static const struct recorded packed[] = {
    { "a", ENTRY_FILE, PLAN_NEW, RESULT_FAILED, 1, 100, 0600, NULL, false, "p1", NULL, NULL },
    { "b", ENTRY_FILE, PLAN_NEW, RESULT_DONE, 2, 100, 0600, "etag1", false, "p1", NULL, NULL },
    { "c", ENTRY_FILE, PLAN_UNCHANGED, RESULT_OPEN, 3, 100, 0600, NULL, false, NULL, "old", "eo" },
    { "d", ENTRY_FILE, PLAN_NEW, RESULT_DONE, 4, 100, 0600, NULL, false, "p1", NULL, NULL },
    { "e", ENTRY_FILE, PLAN_NEW, RESULT_DONE, 5, 100, 0600, "own", false, NULL, NULL, NULL },
    { "f", ENTRY_FILE, PLAN_REPLACE, RESULT_REPLACED, 6, 9, 0600, "etag2", false, "p2", "old",
      "eo" },
    { "g", ENTRY_FILE, PLAN_COMPARE, RESULT_UNCHANGED, 7, 9, 0600, NULL, false, "p2", "old", "e2" },
    { "h", ENTRY_GONE, PLAN_REPLACE, RESULT_REPLACED, 0, 9, 0, NULL, false, "p2", NULL, NULL },
    { "i", ENTRY_FILE, PLAN_NEW, RESULT_DONE, 8, 9, 0600, NULL, false, "p2", NULL, NULL },
};

static void test_record_knows_which_pack_an_entry_is_in(void **state)
{
    (void)state;
    static const struct {
        const char *key, *pack, *etag;
    } want[] = { { "b", "p1", "etag1" }, { "c", "old", "eo" },   { "d", "p1", "etag1" },
                 { "e", NULL, NULL },    { "f", "p2", "etag2" }, { "g", "old", "e2" },
                 { "i", "p2", "etag2" } };
    struct job job;
    struct stream_item item;
    struct err err = { 0 };
    make_job(&job);
    recorded_generation(&job, 1, packed, sizeof packed / sizeof *packed);
    struct stream *stream = stream_record(&job, NULL);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_int_equal(stream_next(stream, &item, &err), 1);
        assert_string_equal(item.key, want[i].key);
        assert_int_equal(item.pack == NULL, want[i].pack == NULL);
        if (item.pack == NULL)
            continue;
        assert_string_equal(item.pack, want[i].pack);
        assert_string_equal(item.pack_etag, want[i].etag);
    }
    assert_int_equal(stream_next(stream, &item, &err), 0);
    stream_close(stream);
    job_close(&job);
}

/* ---- what nobody asked for ---- */

struct passed {
    struct buf keys;
    const char *refuse;
};

static int note_passed(void *ctx, const struct stream_item *item, struct err *err)
{
    struct passed *passed = ctx;
    if (passed->refuse != NULL && strcmp(item->key, passed->refuse) == 0)
        return err_set(err, ERR_STOPPED, "enough");
    buf_printf(&passed->keys, "%s%s", passed->keys.len != 0 ? " " : "", item->key);
    return 0;
}

static void test_what_is_passed_over_is_told_once(void **state)
{
    (void)state;
    struct job job;
    struct stream_item *item = NULL;
    struct err err = { 0 };
    struct passed passed = { 0 };
    make_job(&job);
    recorded_generation(&job, 1, packed, sizeof packed / sizeof *packed);
    struct stream *stream = stream_record(&job, NULL);
    stream_tell_passed(stream, note_passed, &passed);
    assert_int_equal(stream_seek(stream, "a", &item, &err), 0);
    assert_int_equal(stream_seek(stream, "c", &item, &err), 1);
    assert_string_equal(buf_text(&passed.keys), "b");
    assert_int_equal(stream_seek(stream, "c", &item, &err), 1); /* again */
    assert_int_equal(stream_seek(stream, "ca", &item, &err), 0);
    assert_int_equal(stream_seek(stream, "f", &item, &err), 1);
    assert_string_equal(buf_text(&passed.keys), "b d e");
    assert_int_equal(stream_drain(stream, &err), 0);
    assert_string_equal(buf_text(&passed.keys), "b d e g i");
    assert_int_equal(stream_drain(stream, &err), 0);
    assert_string_equal(buf_text(&passed.keys), "b d e g i");
    stream_close(stream);
    buf_done(&passed.keys);
    job_close(&job);
}

static void test_who_is_told_can_end_it(void **state)
{
    (void)state;
    struct job job;
    struct stream_item *item = NULL;
    struct err err = { 0 };
    struct passed passed = { .refuse = "d" };
    make_job(&job);
    recorded_generation(&job, 1, packed, sizeof packed / sizeof *packed);
    struct stream *stream = stream_record(&job, NULL);
    stream_tell_passed(stream, note_passed, &passed);
    assert_int_equal(stream_seek(stream, "f", &item, &err), -1);
    assert_int_equal(err.kind, ERR_STOPPED);
    assert_string_equal(buf_text(&passed.keys), "b c");
    stream_close(stream);
    buf_done(&passed.keys);
    /* The same of what is left at the end. */
    err_clear(&err);
    stream = stream_record(&job, NULL);
    struct passed late = { .refuse = "i" };
    stream_tell_passed(stream, note_passed, &late);
    assert_int_equal(stream_drain(stream, &err), -1);
    assert_string_equal(buf_text(&late.keys), "b c d e f g");
    stream_close(stream);
    buf_done(&late.keys);
    job_close(&job);
}

/* ---- a crawl ---- */

static void test_crawl_gives_its_items(void **state)
{
    (void)state;
    fill_tree();
    scratch_link(&scratch, "tree/link", "a/x");
    struct source_set set;
    struct err err = { 0 };
    char path[128];
    snprintf(path, sizeof path, "%s/tree", scratch.path);
    const struct source_options plain = { 0 };
    assert_int_equal(source_set_open(&set, (char *[]){ path }, 1, &plain, &err), 0);
    const struct crawl_options options = { .sources = &set, .crawlers = 1 };
    struct stream *stream = NULL;
    struct stream_item *item = NULL;
    assert_int_equal(stream_of_crawl(&stream, &options, &err), 0);
    assert_int_equal(stream_seek(stream, "a/x", &item, &err), 1);
    assert_int_equal(item->size_bytes, 5);
    assert_true(item->has_attr);
    assert_int_equal(stream_seek(stream, "link.rclonelink", &item, &err), 1);
    assert_string_equal(item->name, "link");
    stream_close(stream);
    source_set_done(&set);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_store_gives_its_objects_with_what_they_are),
        CASE(test_store_goes_on_after_any_key),
        CASE(test_seek_finds_keys_in_order_and_passes_over_others),
        CASE(test_seek_does_not_list_much_that_is_not_asked_for),
        CASE(test_objects_of_many_locations_are_one_tree),
        CASE(test_record_is_what_was_done_or_found_unchanged),
        CASE(test_record_goes_on_over_segments_and_after_keys),
        CASE(test_link_with_the_name_of_a_links_object_is_found_again),
        CASE(test_record_without_results_is_an_error),
        CASE(test_record_knows_which_pack_an_entry_is_in),
        CASE(test_what_is_passed_over_is_told_once),
        CASE(test_who_is_told_can_end_it),
        CASE(test_crawl_gives_its_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
