#include "job/packer.h"

#include "base/mem.h"
#include "base/scope.h"
#include "job/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)
#define ID "0123456789abcdef"

static char *one_source[] = { "/data/run/" };
static char *two_sources[] = { "/data/run", "/data/other" };

static struct job_spec spec_of(enum job_pack pack, uint32_t level)
{
    return (struct job_spec){ .sources = one_source,
                              .source_count = 1,
                              .pack = pack,
                              .pack_level = level,
                              .pack_below_bytes = PACK_BELOW_BYTES,
                              .batch_max_bytes = JOB_BATCH_MAX_BYTES };
}

static struct plan_entry entry_of(const char *name, uint64_t size_bytes)
{
    const size_t len = strlen(name);
    return (struct plan_entry){ .name = name,
                                .name_len = (uint32_t)len,
                                .kind = name[len - 1] == '/' ? ENTRY_DIR : ENTRY_FILE,
                                .action = PLAN_NEW,
                                .size_bytes = size_bytes };
}

/* Where it goes: the name of the pack, "" for an object of its own. */
static const char *place(struct packer *packer, const char *name, uint64_t size_bytes,
                         uint64_t total)
{
    struct err err = { 0 };
    struct plan_entry entry = entry_of(name, size_bytes);
    assert_int_equal(packer_place(packer, &entry, true, 1, total, &err), 0);
    return entry.pack != NULL ? entry.pack : "";
}

/* Names, each with where it must go. */
static void expect_placed(const struct job_spec *spec, uint32_t generation,
                          const char *const (*rows)[2], size_t count)
{
    SCOPED(packer) struct packer packer;
    packer_init(&packer, spec, ID, generation);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(place(&packer, rows[i][0], 10, 0), rows[i][1]);
}
#define EXPECT(spec, generation, rows)                                                             \
    expect_placed(spec, generation, rows, sizeof(rows) / sizeof *(rows))

static void test_off_packs_nothing(void **state)
{
    (void)state;
    static const char *const rows[][2] = { { "a", "" }, { "d/", "" }, { "d/f", "" } };
    const struct job_spec spec = spec_of(JOB_PACK_OFF, 0);
    EXPECT(&spec, 1, rows);
}

static void test_levels(void **state)
{
    (void)state;
    static const char *const all[][2] = { { "a", "run.tar.zst" },
                                          { "d/", "run.tar.zst" },
                                          { "d/e/f", "run.tar.zst" } };
    static const char *const first[][2] = {
        { "a", "" }, { "d/", "d.tar.zst" }, { "d/e/f", "d.tar.zst" }, { "e/f", "e.tar.zst" }
    };
    static const char *const second[][2] = { { "d/", "" },
                                             { "d/a", "" },
                                             { "d/e/", "d/e.tar.zst" },
                                             { "d/e/f/g", "d/e.tar.zst" },
                                             { "d/f", "" },
                                             { "d/g/h", "d/g.tar.zst" } };
    struct job_spec spec = spec_of(JOB_PACK_LEVEL, 0);
    EXPECT(&spec, 1, all);
    spec.pack_level = 1;
    EXPECT(&spec, 1, first);
    spec.pack_level = 2;
    EXPECT(&spec, 1, second);
}

/* The names of several sources begin with those; a level counts below them. */
static void test_levels_of_several_sources(void **state)
{
    (void)state;
    static const char *const rows[][2] = { { "other/", "other.tar.zst" },
                                           { "other/f", "other.tar.zst" },
                                           { "run/d/f", "run.tar.zst" } };
    static const char *const below[][2] = { { "other/f", "" }, { "run/d/f", "run/d.tar.zst" } };
    struct job_spec spec = spec_of(JOB_PACK_LEVEL, 0);
    spec.sources = two_sources;
    spec.source_count = 2;
    EXPECT(&spec, 1, rows);
    spec.pack_level = 1;
    EXPECT(&spec, 1, below);
    /* So it is when a lone source keeps its name. */
    struct job_spec kept = spec_of(JOB_PACK_LEVEL, 1);
    kept.keep_name = true;
    static const char *const kept_rows[][2] = { { "run/f", "" }, { "run/d/f", "run/d.tar.zst" } };
    EXPECT(&kept, 1, kept_rows);
}

static void test_names_of_packs(void **state)
{
    (void)state;
    static const char *const later[][2] = { { "d/f", "d.g12.tar.zst" } };
    static const char *const plain[][2] = { { "d/f", "d.tar" } };
    static const char *const top[][2] = { { "d/f", "pack.tar.zst" } };
    struct job_spec spec = spec_of(JOB_PACK_LEVEL, 1);
    EXPECT(&spec, 12, later);
    spec.no_compress = true;
    EXPECT(&spec, 1, plain);
    static char *root[] = { "/" };
    struct job_spec whole = spec_of(JOB_PACK_LEVEL, 0);
    whole.sources = root;
    EXPECT(&whole, 1, top);
    static char base[] = "/pub/edr";
    static const char *const based[][2] = { { "d/f", "edr.tar.zst" } };
    whole.base = base;
    EXPECT(&whole, 1, based);

    SCOPED(packer) struct packer packer;
    const struct job_spec automatic = spec_of(JOB_PACK_AUTO, 0);
    struct plan_entry entry = entry_of("f", 1);
    struct err err = { 0 };
    packer_init(&packer, &automatic, ID, 3);
    assert_int_equal(packer_place(&packer, &entry, true, 17, 0, &err), 0);
    assert_string_equal(entry.pack, "pack-01234567-3-17-1.tar.zst");
}

/* A file of the tree has the name that the pack of the directory behind it would get. */
static void test_name_that_a_file_has_is_not_taken(void **state)
{
    (void)state;
    static const char *const rows[][2] = { { "d.tar.zst", "" },
                                           { "d/f", "d.lade.tar.zst" },
                                           { "e.tar", "" },
                                           { "e/f", "e.tar.zst" },
                                           { "f/f", "f.tar.zst" } };
    static const char *const deep[][2] = { { "a/d.tar.zst", "" },
                                           { "a/d/f", "a/d.lade.tar.zst" },
                                           { "b/d/f", "b/d.tar.zst" } };
    struct job_spec spec = spec_of(JOB_PACK_LEVEL, 1);
    EXPECT(&spec, 1, rows);
    spec.pack_level = 2;
    EXPECT(&spec, 1, deep);
}

static void test_auto_takes_what_is_small(void **state)
{
    (void)state;
    SCOPED(packer) struct packer packer;
    const struct job_spec spec = spec_of(JOB_PACK_AUTO, 0);
    packer_init(&packer, &spec, ID, 1);
    assert_string_not_equal(place(&packer, "a", 0, 0), "");
    assert_string_not_equal(place(&packer, "b", PACK_BELOW_BYTES - 1, 0), "");
    assert_string_equal(place(&packer, "c", PACK_BELOW_BYTES, 0), "");
    assert_string_not_equal(place(&packer, "d/", 0, 0), "");
    assert_true(packer_wants(&packer, "l", ENTRY_LINK, UINT64_MAX));
    assert_true(packer_wants(&packer, "d/", ENTRY_DIR, 0));
    assert_true(packer_wants(&packer, "f", ENTRY_FILE, PACK_BELOW_BYTES - 1));
    assert_false(packer_wants(&packer, "f", ENTRY_FILE, PACK_BELOW_BYTES));
    /* What the plan settles, or what is there as an object of its own, goes into none. */
    struct plan_entry entry = entry_of("e", 1);
    struct err err = { 0 };
    assert_int_equal(packer_place(&packer, &entry, false, 1, 0, &err), 0);
    assert_null(entry.pack);
    entry.action = PLAN_UNCHANGED;
    assert_int_equal(packer_place(&packer, &entry, true, 1, 0, &err), 0);
    assert_null(entry.pack);
}

/* How many files of so many bytes come into the first pack. */
static unsigned first_pack(const struct job_spec *spec, uint64_t size_bytes, uint64_t total,
                           bool same_directory)
{
    SCOPED(packer) struct packer packer;
    char name[32];
    char pack[80];
    packer_init(&packer, spec, ID, 1);
    snprintf(pack, sizeof pack, "%s", place(&packer, "d000000/f", size_bytes, total));
    assert_string_not_equal(pack, "");
    unsigned count = 0;
    do {
        count++;
        snprintf(name, sizeof name, same_directory ? "d000000/f%07u" : "d%06u/f", count);
    } while (strcmp(place(&packer, name, size_bytes, total), pack) == 0);
    return count;
}

static void test_auto_sizes_and_borders(void **state)
{
    (void)state;
    struct job_spec spec = spec_of(JOB_PACK_AUTO, 0);
    /* Between 64 MiB and 1 GiB, by the size of all; a directory is not divided before that. */
    assert_int_equal(first_pack(&spec, MIB, 0, true), 64);
    assert_int_equal(first_pack(&spec, MIB, 64 * 64 * MIB, true), 64);
    assert_int_equal(first_pack(&spec, MIB, 64 * 100 * MIB, true), 100);
    assert_int_equal(first_pack(&spec, MIB, UINT64_MAX, true), 1024);
    /* Another directory begins another pack when it is half full. */
    assert_int_equal(first_pack(&spec, MIB, 0, false), 32);
    assert_int_equal(first_pack(&spec, 0, 0, true), PACK_ENTRIES_MAX);
    spec.pack_bytes = 10;
    assert_int_equal(first_pack(&spec, 1, UINT64_MAX, true), 10);
    assert_int_equal(first_pack(&spec, 4, UINT64_MAX, true), 2);
    /* One that is larger than a pack is alone in its own. */
    assert_int_equal(first_pack(&spec, 11, 0, true), 1);
}

static void place_tree(const struct job_spec *spec, uint64_t seed, struct buf *ret_packs)
{
    SCOPED(packer) struct packer packer;
    char name[32];
    packer_init(&packer, spec, ID, 1);
    uint64_t total = 0;
    for (unsigned i = 0; i < 3000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const uint64_t size = (seed >> 33) % (9 * MIB);
        total += size;
        snprintf(name, sizeof name, "d%02u/f%04u", i / 100, i);
        buf_printf(ret_packs, "%s\n", place(&packer, name, size, total));
    }
}

static void test_same_tree_gives_the_same_packs(void **state)
{
    (void)state;
    const struct job_spec spec = spec_of(JOB_PACK_AUTO, 0);
    SCOPED(buf) struct buf once = { 0 };
    SCOPED(buf) struct buf again = { 0 };
    place_tree(&spec, 5, &once);
    place_tree(&spec, 5, &again);
    assert_string_equal(once.data, again.data);
    assert_non_null(strstr(once.data, "-1-1-3.tar.zst\n"));
}

/* A batch may end where no pack is cut, and behind it is another pack. */
static void test_batches_hold_whole_packs(void **state)
{
    (void)state;
    SCOPED(packer) struct packer packer;
    const struct job_spec levels = spec_of(JOB_PACK_LEVEL, 1);
    const struct segment_sum batch = { .entries = 1000000, .objects_bytes = UINT64_MAX / 2 };
    const struct plan_entry same = entry_of("d/g", 1);
    const struct plan_entry other = entry_of("e/f", 1);
    packer_init(&packer, &levels, ID, 1);
    assert_false(packer_holds(&packer, &same, &batch, 0)); /* none is open */
    (void)place(&packer, "d/f", 1, 0);
    assert_true(packer_holds(&packer, &same, &batch, 0));
    assert_false(packer_holds(&packer, &other, &batch, 0));
    packer_end_batch(&packer);
    assert_false(packer_holds(&packer, &same, &batch, 0));

    SCOPED(packer) struct packer automatic;
    struct job_spec spec = spec_of(JOB_PACK_AUTO, 0);
    struct segment_sum small = { .entries = 1000 };
    struct err err = { 0 };
    spec.batch_max_bytes = 100 * MIB;
    packer_init(&automatic, &spec, ID, 1);
    (void)place(&automatic, "d/f", 1, 0);
    assert_true(packer_holds(&automatic, &same, &small, 0));
    small.objects_bytes = 100 * MIB; /* the batch is as large as it may be */
    assert_false(packer_holds(&automatic, &same, &small, 0));
    small.objects_bytes = 0;
    small.entries = PACK_ENTRIES_MAX;
    assert_false(packer_holds(&automatic, &same, &small, 0));
    small.entries = 1000;
    packer_end_batch(&automatic);
    for (unsigned i = 0; i < 16; i++)
        (void)place(&automatic, "d/f", 4 * MIB, 0);
    assert_false(packer_holds(&automatic, &same, &small, 0)); /* large enough by itself */
    packer_end_batch(&automatic);
    struct plan_entry next = entry_of("d/g", 1);
    assert_int_equal(packer_place(&automatic, &next, true, 2, 0, &err), 0);
    assert_string_equal(next.pack, "pack-01234567-1-2-1.tar.zst");
}

static void test_too_many_entries_for_one_pack_are_refused(void **state)
{
    (void)state;
    SCOPED(packer) struct packer packer;
    const struct job_spec spec = spec_of(JOB_PACK_LEVEL, 0);
    struct err err = { 0 };
    struct plan_entry entry = entry_of("f", 1);
    packer_init(&packer, &spec, ID, 1);
    (void)place(&packer, "f", 1, 0);
    packer.entries = SEGMENT_ENTRIES_MAX - 3;
    assert_int_equal(packer_place(&packer, &entry, true, 1, 0, &err), 0);
    assert_int_equal(packer_place(&packer, &entry, true, 1, 0, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_non_null(strstr(err.text, "run.tar.zst"));
    assert_non_null(strstr(err.hint, "--pack"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_packs_nothing),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_levels_of_several_sources),
        cmocka_unit_test(test_names_of_packs),
        cmocka_unit_test(test_name_that_a_file_has_is_not_taken),
        cmocka_unit_test(test_auto_takes_what_is_small),
        cmocka_unit_test(test_auto_sizes_and_borders),
        cmocka_unit_test(test_same_tree_gives_the_same_packs),
        cmocka_unit_test(test_batches_hold_whole_packs),
        cmocka_unit_test(test_too_many_entries_for_one_pack_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
