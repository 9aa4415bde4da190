#include "base/ban.h"
#include "base/mem.h"
#include "pack/unpack.h"

#include "../scratch.h"
#include "made_archive.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct archive_limits limits = { 0 };

struct told {
    unsigned count[UNPACK_OUTCOME_COUNT];
    enum err_kind last_kind;
};

static void tell(void *to, enum unpack_outcome outcome, const char *rel, uint64_t size_bytes,
                 const struct err *err)
{
    struct told *told = to;
    (void)rel;
    (void)size_bytes;
    told->count[outcome]++;
    if (err != NULL)
        told->last_kind = err->kind;
}

/* All members of the tar below dest/; what its caller would refuse is refused. */
static struct told unpack(const struct scratch *scratch, struct buf *tar, bool overwrite)
{
    struct told told = { 0 };
    struct made_source made;
    struct err err = { 0 };
    struct archive_in *in = NULL;
    struct archive_member member = { 0 };
    struct buf rel = { 0 };
    struct buf target = { 0 };
    struct unpack *unpack = NULL;
    made_source_of(&made, tar);
    scratch_dir(scratch, "dest");
    const int root_fd = path_open(scratch->fd, "dest", O_RDONLY | O_DIRECTORY, 0, false);
    const struct unpack_options options = {
        .root_fd = root_fd, .tag = "unit", .overwrite = overwrite, .tell = tell, .to = &told
    };
    assert_int_equal(unpack_new(&unpack, &options, &err), 0);
    assert_int_equal(archive_in_open(&in, &made.source, &limits, "", &err), 0);
    int got;
    while ((got = archive_in_next(in, &member, &err)) == 1) {
        assert_int_equal(archive_path_rel(&member.path, &rel, &err), 0);
        if (member.is_hard_link) {
            assert_int_equal(archive_path_rel(&member.target, &target, &err), 0);
            assert_int_equal(
                unpack_hard_link(unpack, &member, buf_text(&rel), buf_text(&target), &err), 0);
        } else {
            assert_int_equal(unpack_member(unpack, in, &member, buf_text(&rel), &err), 0);
        }
    }
    assert_int_equal(got, 0);
    assert_int_equal(unpack_finish(unpack, &err), 0);
    unpack_free(unpack);
    archive_in_close(in);
    archive_member_done(&member);
    buf_done(&rel);
    buf_done(&target);
    close(root_fd);
    return told;
}

static void check_text(const struct scratch *scratch, const char *rel, const char *text)
{
    struct buf bytes = { 0 };
    scratch_read(scratch, rel, &bytes);
    assert_string_equal(buf_text(&bytes), text);
    buf_done(&bytes);
}

static void test_members_become_files(void **state)
{
    (void)state;
    struct scratch scratch;
    scratch_open(&scratch);
    struct buf tar = { 0 };
    made_member(&tar, "a", '0', "alpha", "");
    made_member(&tar, "d/e/f", '0', "", "");
    made_member(&tar, "h", '1', "", "a");
    made_member(&tar, "l", '2', "", "a");
    made_end(&tar);
    struct told told = unpack(&scratch, &tar, false);
    assert_int_equal(told.count[UNPACK_NEW], 4);
    assert_int_equal(told.count[UNPACK_FAILED], 0);
    check_text(&scratch, "dest/h", "alpha");
    struct stat st;
    assert_int_equal(stat(scratch_path(&scratch, "dest/a"), &st), 0);
    assert_int_equal(st.st_nlink, 2);
    assert_int_equal(st.st_mtime, 013132210000);
    told = unpack(&scratch, &tar, false);
    assert_int_equal(told.count[UNPACK_UNCHANGED], 4);
    assert_int_equal(told.count[UNPACK_NEW], 0);
    buf_done(&tar);
    scratch_close(&scratch);
}

static void test_no_way_leads_through_a_link(void **state)
{
    (void)state;
    struct scratch scratch;
    scratch_open(&scratch);
    scratch_text(&scratch, "outside/f", "mine");
    scratch_link(&scratch, "dest/there", "../outside");
    struct buf tar = { 0 };
    made_member(&tar, "own", '2', "", "../outside");
    made_member(&tar, "own/f", '0', "evil", "");
    made_member(&tar, "there/f", '0', "evil", "");
    made_member(&tar, "there/g", '2', "", "evil");
    made_member(&tar, "there", '5', "", "");
    made_end(&tar);
    const struct told told = unpack(&scratch, &tar, true);
    assert_int_equal(told.count[UNPACK_FAILED], 4);
    assert_int_equal(told.count[UNPACK_NEW], 1);
    check_text(&scratch, "outside/f", "mine");
    assert_int_equal(access(scratch_path(&scratch, "outside/g"), F_OK), -1);
    buf_done(&tar);
    scratch_close(&scratch);
}

static void test_hard_links_lead_to_what_was_brought(void **state)
{
    (void)state;
    struct scratch scratch;
    scratch_open(&scratch);
    scratch_text(&scratch, "dest/there", "before");
    struct buf tar = { 0 };
    made_member(&tar, "h", '1', "", "there");
    made_member(&tar, "i", '1', "", "later");
    made_member(&tar, "later", '0', "1", "");
    made_member(&tar, "j", '1', "", "later");
    made_end(&tar);
    const struct told told = unpack(&scratch, &tar, true);
    assert_int_equal(told.count[UNPACK_FAILED], 2);
    assert_int_equal(told.count[UNPACK_NEW], 2);
    check_text(&scratch, "dest/j", "1");
    buf_done(&tar);
    scratch_close(&scratch);
}

static void test_what_is_there_stays(void **state)
{
    (void)state;
    struct scratch scratch;
    scratch_open(&scratch);
    scratch_text(&scratch, "dest/same", "1234");
    scratch_text(&scratch, "dest/other", "abcd");
    struct buf tar = { 0 };
    made_member(&tar, "same", '0', "1234", "");
    made_member(&tar, "other", '0', "5678", "");
    made_end(&tar);
    struct told told = unpack(&scratch, &tar, false);
    assert_int_equal(told.count[UNPACK_UNCHANGED], 1);
    assert_int_equal(told.count[UNPACK_FAILED], 1);
    assert_int_equal(told.last_kind, ERR_CONFLICT);
    check_text(&scratch, "dest/other", "abcd");
    told = unpack(&scratch, &tar, true);
    assert_int_equal(told.count[UNPACK_REPLACED], 1);
    check_text(&scratch, "dest/other", "5678");
    buf_done(&tar);
    scratch_close(&scratch);
}

/* More names than a batch and than the first table of hashes. */
static void test_many_members_and_doubles(void **state)
{
    (void)state;
    struct scratch scratch;
    scratch_open(&scratch);
    struct buf tar = { 0 };
    for (unsigned i = 0; i < 3000; i++) {
        char name[32];
        snprintf(name, sizeof name, "d%u/f%u", i % 3, i % 2000);
        made_member(&tar, name, '0', i < 2000 ? "first" : "second", "");
    }
    made_end(&tar);
    const struct told told = unpack(&scratch, &tar, false);
    assert_int_equal(told.count[UNPACK_FAILED], 0);
    assert_int_equal(told.count[UNPACK_NEW] + told.count[UNPACK_REPLACED], 3000);
    check_text(&scratch, "dest/d1/f1999", "first");
    buf_done(&tar);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_become_files),
        cmocka_unit_test(test_no_way_leads_through_a_link),
        cmocka_unit_test(test_hard_links_lead_to_what_was_brought),
        cmocka_unit_test(test_what_is_there_stays),
        cmocka_unit_test(test_many_members_and_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
