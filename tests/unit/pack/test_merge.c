/* Merges against a simple model: packs of two jobs, put and merged, that know overlapping names,
 * some of them moved, and some looked at from below. */
#include "pack/merge.h"

#include "../scratch.h"
#include "base/mem.h"
#include "base/scope.h"
#include "memory_store.h"
#include "pack/join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PACKS_MAX 12u
#define NAMES_MAX 40u

/* What a pack says of a name is its own number, as the mode. */
struct model_pack {
    char key[32], name[32]; /* where it is, and where it was made */
    const char *job;
    uint64_t generation, merged;
    int64_t created_ns;
    uint32_t newness; /* greater is newer */
    bool knows[NAMES_MAX];
};
struct model {
    struct memory_store store;
    struct model_pack packs[PACKS_MAX];
    size_t pack_count;
    char names[NAMES_MAX][32]; /* in order; paths of members */
    size_t name_count;
    uint64_t random;
};

/* ---- packs ---- */

static void store_members(struct memory_store *store, const char *key, const struct pack_info *info,
                          const struct pack_member *members, size_t count)
{
    const struct pack_options options = { .level = 1 };
    SCOPED(buf) struct buf bytes = { 0 };
    struct err err = { 0 };
    struct pack_chunk *chunk = pack_chunk_new(&options);
    struct pack_join *join = pack_join_new(info, false);
    for (size_t i = 0; i < count; i++)
        pack_chunk_add(chunk, &members[i], NULL, 0);
    pack_chunk_seal(chunk);
    assert_int_equal(pack_join_add(join, chunk, &err), 0);
    buf_add(&bytes, pack_chunk_bytes(chunk)->data, pack_chunk_bytes(chunk)->len);
    assert_int_equal(pack_join_tail(join, &bytes, &err), 0);
    (void)memory_store_put(store, key, bytes.data, bytes.len);
    pack_join_free(join);
    pack_chunk_free(chunk);
}

static void store_pack(struct model *model, size_t number)
{
    const struct model_pack *pack = &model->packs[number];
    struct pack_member members[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < model->name_count; i++) {
        if (!pack->knows[i])
            continue;
        members[count] = (struct pack_member){ .path = model->names[i],
                                               .path_len = (uint32_t)strlen(model->names[i]),
                                               .kind = PACK_FILE,
                                               .mode = (uint32_t)number };
        if (random_below(&model->random, 4) == 0) {
            members[count].kind = PACK_GONE;
            members[count].was = PACK_FILE;
        }
        count++;
    }
    const struct pack_info info = { .name = pack->name,
                                    .job_id = pack->job,
                                    .generation = pack->generation,
                                    .merged = pack->merged,
                                    .created_ns = pack->created_ns,
                                    .level = 1 };
    store_members(&model->store, pack->key, &info, members, count);
}

/* Where a pack lies: where it was made, below that, or above: seen from the directory d. */
static void set_place(struct model_pack *pack, size_t number, size_t how)
{
    static const char *const made[] = { "", "", "d/" };
    static const char *const is[] = { "", "x/", "" };
    snprintf(pack->name, sizeof pack->name, "%sp%02zu.tar.zst", made[how], number);
    snprintf(pack->key, sizeof pack->key, "%sp%02zu.tar.zst", is[how], number);
}

/* The name of a member in the tree of the store; false: it has none. */
static bool name_in_store(const struct model_pack *pack, const char *path, char ret_name[40])
{
    if (strncmp(pack->key, "x/", 2) == 0)
        snprintf(ret_name, 40, "x/%s", path);
    else if (strncmp(pack->name, "d/", 2) != 0)
        snprintf(ret_name, 40, "%s", path);
    else if (strncmp(path, "d/", 2) == 0)
        snprintf(ret_name, 40, "%s", path + 2);
    else
        return false;
    return true;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(left, right);
}

static void make_names(struct model *model, size_t count)
{
    static const char *const above[] = { "", "d/", "d/e/", "x/", "d!/", "\xff/" };
    while (model->name_count < count) {
        char *name = model->names[model->name_count];
        snprintf(name, 32, "%s%c%c", above[random_below(&model->random, 6)],
                 (char)('a' + random_below(&model->random, 6)),
                 "\1!az\xff"[random_below(&model->random, 5)]);
        bool there = false;
        for (size_t i = 0; i < model->name_count; i++)
            there = there || strcmp(model->names[i], name) == 0;
        model->name_count += !there;
    }
    qsort(model->names, model->name_count, sizeof model->names[0], compare_names);
}

/* Each pack is newer than those before it, by one of the rules of catalog_compare_age(). */
static void make_packs(struct model *model, size_t count, bool two_jobs)
{
    struct model_pack last = { .job = "one", .generation = 1, .created_ns = 1000 };
    bool put = false;
    model->pack_count = count;
    size_t order[PACKS_MAX]; /* keys say nothing of it */
    for (size_t i = 0; i < count; i++) {
        const size_t other = random_below(&model->random, i + 1);
        order[i] = order[other];
        order[other] = i;
    }
    for (size_t i = 0; i < count; i++) {
        struct model_pack *pack = &model->packs[order[i]];
        const size_t rule = random_below(&model->random, two_jobs ? 4 : 2);
        if (rule == 0 || put) { /* the next generation: put, or merged up to it */
            last.generation++;
            last.merged = random_below(&model->random, 2);
        } else if (rule == 1) { /* merged later, or put after all */
            last.merged =
                last.merged == 0 || random_below(&model->random, 3) != 0 ? last.merged + 1 : 0;
        } else {
            last.job = strcmp(last.job, "one") == 0 ? "two" : "one";
            last.generation++;
            last.merged = 0;
        }
        put = last.merged == 0;
        /* In one job the time is not asked. */
        last.created_ns += two_jobs ? 10 : (int64_t)random_below(&model->random, 100) - 50;
        *pack = last;
        pack->newness = (uint32_t)i;
        set_place(pack, order[i], random_below(&model->random, 6) % 4 % 3);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t name = 0; name < model->name_count; name++)
            model->packs[i].knows[name] = random_below(&model->random, 3) == 0;
        store_pack(model, i);
    }
}

/* ---- what must come ---- */

struct want {
    char name[40];
    bool known[PACKS_MAX];
    size_t newest;
    const char *path;
};

static int compare_wants(const void *left, const void *right)
{
    const struct want *a = left;
    const struct want *b = right;
    return strcmp(a->name, b->name);
}

static size_t wants_of(const struct model *model, struct want *wants)
{
    size_t count = 0;
    for (size_t p = 0; p < model->pack_count; p++)
        for (size_t n = 0; n < model->name_count; n++) {
            char name[40];
            if (!model->packs[p].knows[n] ||
                !name_in_store(&model->packs[p], model->names[n], name))
                continue;
            size_t at = 0;
            while (at < count && strcmp(wants[at].name, name) != 0)
                at++;
            if (at == count) {
                wants[count] = (struct want){ .newest = p, .path = model->names[n] };
                snprintf(wants[count++].name, 40, "%s", name);
            }
            struct want *want = &wants[at];
            want->known[p] = true;
            if (model->packs[p].newness > model->packs[want->newest].newness) {
                want->newest = p;
                want->path = model->names[n];
            }
        }
    qsort(wants, count, sizeof *wants, compare_wants);
    return count;
}

/* Packs are in the catalog by key, and in the model by number. */
static size_t number_of(const struct catalog *catalog, uint32_t pack)
{
    const char *key = catalog->packs[pack]->key;
    return (size_t)atoll(strrchr(key, 'p') != NULL ? strstr(key, "p") + 1 : key);
}

static void expect_name(const struct catalog *catalog, const struct merge_name *name,
                        const struct want *want)
{
    size_t known = 0;
    assert_string_equal(name->text, want->name);
    assert_int_equal(number_of(catalog, name->pack), want->newest);
    assert_int_equal(name->member.mode, want->newest);
    assert_int_equal(name->member.path_len, strlen(want->path));
    assert_memory_equal(name->member.path, want->path, name->member.path_len);
    for (size_t i = 0; i < PACKS_MAX; i++)
        known += want->known[i];
    assert_int_equal(name->other_count, known - 1);
    for (size_t i = 0; i < name->other_count; i++) {
        const size_t other = number_of(catalog, name->others[i]);
        assert_true(want->known[other] && other != want->newest);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(name->others[i], name->others[j]);
    }
}

static void expect_merge(const struct merge_set *set, const char *from, const struct want *wants,
                         size_t count)
{
    struct err err = { 0 };
    struct merge_name name;
    struct merge *merge = merge_new(set, from);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(wants[i].name, from) < 0)
            continue;
        assert_int_equal(merge_next(merge, &name, &err), 1);
        expect_name(set->catalog, &name, &wants[i]);
    }
    assert_int_equal(merge_next(merge, &name, &err), 0);
    assert_int_equal(merge_next(merge, &name, &err), 0);
    merge_free(merge);
}

/* What was found of each pack when it was opened. */
static void expect_set(const struct model *model, const struct merge_set *set)
{
    for (uint32_t i = 0; i < set->catalog->count; i++) {
        const struct model_pack *pack = &model->packs[number_of(set->catalog, i)];
        const struct merge_pack *found = &set->packs[i];
        bool beyond = false;
        char name[40];
        for (size_t n = 0; n < model->name_count; n++)
            if (pack->knows[n] && name_in_store(pack, model->names[n], name)) {
                assert_true(found->first.len == 0 || strcmp(found->first.data, name) <= 0);
                assert_true(found->last.len == 0 || strcmp(found->last.data, name) >= 0);
            } else if (pack->knows[n]) {
                beyond = true;
            }
        assert_true(beyond || !found->beyond);
        for (uint32_t j = 0; j < i; j++) {
            const struct model_pack *other = &model->packs[number_of(set->catalog, j)];
            assert_int_equal(found->age > set->packs[j].age, pack->newness > other->newness);
        }
    }
}

static void run_model(uint64_t seed)
{
    static struct model model;
    static struct want wants[NAMES_MAX * 2];
    struct err err = { 0 };
    struct catalog catalog;
    struct merge_set set;
    const struct catalog_options options = { 0 };
    model = (struct model){ .random = seed };
    memory_store_init(&model.store, false);
    make_names(&model, 1 + seed % NAMES_MAX);
    make_packs(&model, 1 + random_below(&model.random, PACKS_MAX), seed % 2 != 0);
    const size_t count = wants_of(&model, wants);
    assert_int_equal(catalog_open(&catalog, &model.store.base, &options, &err), 0);
    assert_int_equal(catalog.count, model.pack_count);
    assert_int_equal(merge_set_open(&set, &catalog, &err), 0);
    expect_set(&model, &set);
    expect_merge(&set, "", wants, count);
    for (size_t i = 0; i < count; i++) {
        char behind[44];
        expect_merge(&set, wants[i].name, wants, count);
        snprintf(behind, sizeof behind, "%s\1", wants[i].name);
        expect_merge(&set, behind, wants, count);
    }
    merge_set_done(&set);
    merge_set_done(&set);
    catalog_done(&catalog);
    memory_store_done(&model.store);
}

static void test_each_name_comes_once_from_the_newest_that_knows_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        run_model(seed);
}

static void test_no_packs_have_no_names(void **state)
{
    (void)state;
    struct catalog catalog = { 0 };
    struct merge_set set;
    struct err err = { 0 };
    assert_int_equal(merge_set_open(&set, &catalog, &err), 0);
    expect_merge(&set, "", NULL, 0);
    expect_merge(&set, "a", NULL, 0);
    merge_set_done(&set);
}

/* ---- more than a block of an index ---- */

#define MANY 30000u

static void store_many(struct memory_store *store, const char *key, uint64_t generation,
                       unsigned first, unsigned step)
{
    char(*paths)[16] = mem_alloc(MANY * sizeof *paths);
    struct pack_member *members = mem_alloc(MANY * sizeof *members);
    size_t count = 0;
    for (unsigned i = first; i < MANY; i += step) {
        snprintf(paths[i], sizeof paths[i], "d/f%06u", i);
        members[count++] = (struct pack_member){
            .path = paths[i], .path_len = 9, .kind = PACK_FILE, .mode = (uint32_t)generation
        };
    }
    const struct pack_info info = {
        .name = key, .job_id = "job", .generation = generation, .level = 1
    };
    store_members(store, key, &info, members, count);
    mem_release(members);
    mem_release(paths);
}

static void test_packs_of_many_blocks(void **state)
{
    (void)state;
    struct memory_store store;
    struct catalog catalog;
    struct merge_set set;
    struct merge_name name;
    struct err err = { 0 };
    const struct catalog_options options = { 0 };
    memory_store_init(&store, false);
    store_many(&store, "a.tar.zst", 3, 0, 3);
    store_many(&store, "b.tar.zst", 1, 0, 1);
    store_many(&store, "c.tar.zst", 2, 1, 2);
    assert_int_equal(catalog_open(&catalog, &store.base, &options, &err), 0);
    assert_true(pack_block_count(catalog.packs[1]->pack) > 2);
    assert_int_equal(merge_set_open(&set, &catalog, &err), 0);
    assert_string_equal(set.packs[0].first.data, "d/f000000");
    assert_string_equal(set.packs[2].last.data, "d/f029999");
    for (unsigned from = 0; from < MANY; from += 7777) {
        char text[16];
        snprintf(text, sizeof text, "d/f%06u", from);
        struct merge *merge = merge_new(&set, text);
        for (unsigned i = from; i < MANY; i++) {
            assert_int_equal(merge_next(merge, &name, &err), 1);
            snprintf(text, sizeof text, "d/f%06u", i);
            assert_string_equal(name.text, text);
            assert_int_equal(name.member.mode, i % 3 == 0 ? 3 : i % 2 != 0 ? 2 : 1);
            assert_int_equal(name.other_count, (i % 3 == 0) + (i % 2 != 0));
        }
        assert_int_equal(merge_next(merge, &name, &err), 0);
        merge_free(merge);
    }
    /* Given up in the middle, with a name given and not taken back. */
    struct merge *merge = merge_new(&set, "d/f015000");
    assert_int_equal(merge_next(merge, &name, &err), 1);
    merge_free(merge);
    merge_free(NULL);
    merge_set_done(&set);
    catalog_done(&catalog);
    memory_store_done(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_name_comes_once_from_the_newest_that_knows_it),
        cmocka_unit_test(test_no_packs_have_no_names),
        cmocka_unit_test(test_packs_of_many_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
