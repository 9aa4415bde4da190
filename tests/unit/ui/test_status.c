#include "ui/status.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"
#include "ui/cells.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#define GIB (UINT64_C(1024) * 1024 * 1024)

static struct snapshot running(void)
{
    return (struct snapshot){ .work = SNAPSHOT_PUT,
                              .phase = SNAPSHOT_RUNNING,
                              .totals_final = true,
                              .planned = { 20000, 2000 * GIB },
                              .done = { 12000, 1240 * GIB },
                              .failed = { 2, 1 },
                              .new_count = 11000,
                              .replaced_count = 1000,
                              .active_count = 16,
                              .batches_done = 3,
                              .batches_total = 10,
                              .elapsed_ns = 723 * NS_PER_S,
                              .rate_bytes_per_s = 512.0 * 1024 * 1024,
                              .eta_ns = 1513 * NS_PER_S };
}

static void expect_block(const struct snapshot *snap, unsigned width, const char *want)
{
    const struct status_style style = { .width = width };
    SCOPED(buf) struct buf out = { 0 };
    status_block(snap, &style, &out);
    assert_string_equal(buf_text(&out), want);
}

static void test_block_has_a_bar_and_numbers(void **state)
{
    (void)state;
    const struct snapshot snap = running();
    expect_block(&snap, 100,
                 " 62%  ========================----------------  1.21 TiB / 1.95 TiB"
                 "  512 MiB/s  ETA 25m13s\n"
                 "12,002 / 20,000 objects  2 failed  16 active  batch 3/10  12m03s\n");
}

static void test_block_in_a_narrow_window_drops_whole_parts(void **state)
{
    (void)state;
    const struct snapshot snap = running();
    expect_block(&snap, 70,
                 " 62%  ===========--------  1.21 TiB / 1.95 TiB  512 MiB/s  ETA 25m13s\n"
                 "12,002 / 20,000 objects  2 failed  16 active  batch 3/10  12m03s\n");
    expect_block(&snap, 45,
                 " 62%  1.21 TiB / 1.95 TiB  512 MiB/s\n"
                 "12,002 / 20,000 objects  2 failed  16 active\n");
    expect_block(&snap, 0, " 62%\n\n");
}

static void test_block_says_so_far_while_the_plan_grows(void **state)
{
    (void)state;
    struct snapshot snap = running();
    snap.totals_final = false;
    snap.eta_ns = -1;
    expect_block(&snap, 100,
                 "planning  1.21 TiB / 1.95 TiB so far  512 MiB/s\n"
                 "12,002 / 20,000 objects  2 failed  16 active  batch 3/10  12m03s\n");
}

static void test_block_shows_the_newest_failure_harmless_and_cut(void **state)
{
    (void)state;
    struct snapshot snap = running();
    snapshot_add_failure(&snap, "old: x");
    snapshot_add_failure(&snap, "a\033[2Jb\xff/日本語日本語日本語: denied");
    const struct status_style style = { .width = 40 };
    SCOPED(buf) struct buf out = { 0 };
    status_block(&snap, &style, &out);
    const char *line = strstr(buf_text(&out), "failed: ");
    assert_string_equal(line, "failed: a\\x1b[2Jb\\xff/日本語日本語日本\n");
    assert_true(cells_count(line, strlen(line) - 1) < 40);
}

static void test_no_line_is_as_wide_as_the_window(void **state)
{
    (void)state;
    struct snapshot snap = running();
    snap.unchanged = (struct snapshot_sum){ 1234567, GIB };
    snap.skipped.count = 123456;
    snap.retries = 99999;
    snapshot_add_failure(&snap,
                         "日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語");
    for (unsigned width = STATUS_WIDTH_MIN; width < 200; width++) {
        const struct status_style style = { .width = width, .unicode = true };
        SCOPED(buf) struct buf out = { 0 };
        status_block(&snap, &style, &out);
        const char *at = out.data;
        for (const char *end; (end = strchr(at, '\n')) != NULL; at = end + 1)
            assert_true(cells_count(at, (size_t)(end - at)) < width);
    }
}

static void test_percent_is_100_only_when_all_is_settled(void **state)
{
    (void)state;
    struct snapshot snap = { .totals_final = true, .planned = { 3, 10 }, .eta_ns = -1 };
    snap.done = (struct snapshot_sum){ 2, 10 };
    snap.flight_bytes = 100;
    SCOPED(buf) struct buf out = { 0 };
    status_line(&snap, &out);
    assert_non_null(strstr(out.data, "put: 99% after"));
    snap.done.count = 3;
    buf_clear(&out);
    status_line(&snap, &out);
    assert_non_null(strstr(out.data, "put: 100% after"));
    snap = (struct snapshot){ .totals_final = true, .planned = { 4, 0 }, .skipped = { 1, 0 } };
    buf_clear(&out);
    status_line(&snap, &out);
    assert_non_null(strstr(out.data, "put: 25% after"));
}

static void test_colors_only_when_asked(void **state)
{
    (void)state;
    const struct snapshot snap = running();
    struct status_style style = { .width = 80 };
    SCOPED(buf) struct buf out = { 0 };
    status_block(&snap, &style, &out);
    status_summary(&snap, &style, &out);
    assert_null(strchr(out.data, '\033'));
    buf_clear(&out);
    style.color = true;
    status_block(&snap, &style, &out);
    assert_non_null(strstr(out.data, "\033[31m2 failed\033[0m"));
}

static void test_line_says_all_in_words(void **state)
{
    (void)state;
    struct snapshot snap = running();
    SCOPED(buf) struct buf out = { 0 };
    status_line(&snap, &out);
    assert_string_equal(buf_text(&out),
                        "put: 62% after 12m03s, 1.21 TiB of 1.95 TiB, 12,002 of 20,000 objects, "
                        "512 MiB/s, 25m13s left, 2 failed");
    buf_clear(&out);
    snap.work = SNAPSHOT_GET;
    snap.totals_final = false;
    snap.eta_ns = -1;
    status_line(&snap, &out);
    assert_string_equal(buf_text(&out),
                        "get: planning after 12m03s, 1.21 TiB of 1.95 TiB so far, 12,002 of 20,000 "
                        "objects, 512 MiB/s, 2 failed");
}

static void expect_summary(const struct snapshot *snap, const char *want)
{
    const struct status_style style = { 0 };
    SCOPED(buf) struct buf out = { 0 };
    status_summary(snap, &style, &out);
    assert_string_equal(buf_text(&out), want);
}

static void test_summary_counts_warnings(void **state)
{
    (void)state;
    struct snapshot snap = { .work = SNAPSHOT_GET,
                             .phase = SNAPSHOT_ENDED,
                             .done = { 1, 5 },
                             .new_count = 1,
                             .warned_count = 1 };
    expect_summary(&snap, "fetched    1 object   5 B  (all new)\n"
                          "moved      0 B in 0.0s, 0 B/s\n"
                          "warned     1 entry without all its extended attributes\n");
    snap.warned_count = 2000;
    expect_summary(&snap, "fetched    1 object   5 B  (all new)\n"
                          "moved      0 B in 0.0s, 0 B/s\n"
                          "warned     2,000 entries without all their extended attributes\n");
}

static void test_summary_is_aligned(void **state)
{
    (void)state;
    struct snapshot snap = running();
    snap.unchanged = (struct snapshot_sum){ 7995, 300 * GIB };
    snap.skipped = (struct snapshot_sum){ 1, 0 };
    snap.conflict = (struct snapshot_sum){ 1, 0 };
    snap.moved_bytes = 1250 * GIB;
    snap.retries = 4;
    expect_summary(&snap, "stored     12,000 objects  1.21 TiB  (11,000 new, 1,000 replaced)\n"
                          "unchanged   7,995 objects   300 GiB\n"
                          "skipped         1 object        0 B\n"
                          "failed          2 objects       1 B  (1 changed by another writer)\n"
                          "moved      1.22 TiB in 12m03s, 512 MiB/s, 4 retries\n");
}

static void test_summary_of_get_leaves_out_what_there_is_none_of(void **state)
{
    (void)state;
    const struct snapshot snap = { .work = SNAPSHOT_GET,
                                   .done = { 1, 17 },
                                   .new_count = 1,
                                   .moved_bytes = 17,
                                   .retries = 1,
                                   .elapsed_ns = 2 * NS_PER_S,
                                   .rate_bytes_per_s = 8.5 };
    expect_summary(&snap, "fetched    1 object   17 B  (all new)\n"
                          "moved      17 B in 2.0s, 8 B/s, 1 retry\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_has_a_bar_and_numbers),
        cmocka_unit_test(test_block_in_a_narrow_window_drops_whole_parts),
        cmocka_unit_test(test_block_says_so_far_while_the_plan_grows),
        cmocka_unit_test(test_block_shows_the_newest_failure_harmless_and_cut),
        cmocka_unit_test(test_no_line_is_as_wide_as_the_window),
        cmocka_unit_test(test_percent_is_100_only_when_all_is_settled),
        cmocka_unit_test(test_colors_only_when_asked),
        cmocka_unit_test(test_line_says_all_in_words),
        cmocka_unit_test(test_summary_counts_warnings),
        cmocka_unit_test(test_summary_is_aligned),
        cmocka_unit_test(test_summary_of_get_leaves_out_what_there_is_none_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
