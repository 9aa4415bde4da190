#include "job/crew.h"

#include "../scratch.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void test_nobody_without_claims(void **state)
{
    (void)state;
    const struct job job = { .dir_fd = scratch.fd };
    struct crew crew;
    struct err err = { 0 };
    assert_int_equal(crew_read(&crew, &job, &err), 0);
    assert_int_equal(crew.count, 0);
    assert_int_equal(crew.elsewhere.number, 0);
    crew_done(&crew);
}

static void test_a_living_owner_is_found_once_until_its_process_is_gone(void **state)
{
    (void)state;
    const struct job job = { .dir_fd = scratch.fd };
    struct claim claim;
    struct crew crew;
    struct err err = { 0 };
    SCOPED(buf) struct buf text = { 0 };
    assert_int_equal(claim_take(&claim, scratch.fd, NULL, &err), 0);
    scratch_read(&scratch, "claims/run.g1", &text);
    scratch_write(&scratch, "claims/.host-1-1", text.data, text.len);
    scratch_write(&scratch, "claims/torn", "lade-claim 1\npid", 16);
    assert_int_equal(crew_read(&crew, &job, &err), 0);
    assert_int_equal(crew.count, 1);
    assert_int_equal(crew.here[0].pid, getpid());
    crew_done(&crew);
    unlinkat(scratch.fd, "claims/.host-1-1", 0);
    claim_release(&claim);
    assert_int_equal(crew_read(&crew, &job, &err), 0);
    assert_int_equal(crew.count, 1);
    assert_true(crew.here[0].released);
    crew_done(&crew);
}

static void test_the_dead_and_those_elsewhere_are_not_here(void **state)
{
    (void)state;
    const struct job job = { .dir_fd = scratch.fd };
    static const char elsewhere[] =
        "lade-claim 1\npid 77\nstart 1\nboot x\nhost there\nreleased 0\n"
        "beats 00000000000000000001\n";
    struct crew crew;
    struct err err = { 0 };
    assert_int_equal(mkdirat(scratch.fd, "claims", 0777), 0);
    scratch_write(&scratch, "claims/run.g3", elsewhere, sizeof elsewhere - 1);
    assert_int_equal(crew_read(&crew, &job, &err), 0);
    assert_int_equal(crew.count, 0);
    assert_int_equal(crew.elsewhere.number, 3);
    assert_string_equal(crew.elsewhere.host, "there");
    crew_done(&crew);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_nobody_without_claims),
        CASE(test_a_living_owner_is_found_once_until_its_process_is_gone),
        CASE(test_the_dead_and_those_elsewhere_are_not_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
