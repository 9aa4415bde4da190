#include "job/claim.h"

#include "../scratch.h"
#include "base/mem.h"
#include "base/scope.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

static void take(struct claim *claim, uint32_t number)
{
    struct err err = { 0 };
    assert_int_equal(claim_take(claim, scratch.fd, NULL, &err), 0);
    assert_int_equal(claim->number, number);
    assert_int_equal(claim_check(claim, &err), 0);
}

static void expect_refused(long pid)
{
    struct claim claim;
    struct err err = { 0 };
    char text[32];
    assert_int_equal(claim_take(&claim, scratch.fd, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    snprintf(text, sizeof text, "process %ld ", pid);
    assert_non_null(strstr(err.text, text));
    claim_release(&claim);
}

static struct claim_owner owner(void)
{
    struct claim_owner owner;
    struct err err = { 0 };
    assert_int_equal(claim_read(&owner, scratch.fd, &err), 0);
    return owner;
}

static void test_job_of_a_living_process_is_refused_and_given_on_release(void **state)
{
    (void)state;
    struct claim claim;
    struct claim second;
    assert_int_equal(owner().number, 0);
    take(&claim, 1);
    assert_int_equal(owner().pid, getpid());
    assert_int_equal(owner().number, 1);
    assert_true(claim_owner_lives_here(&(struct claim_owner){ 0 }) == false);
    const struct claim_owner mine = owner();
    assert_true(claim_owner_lives_here(&mine));
    assert_true(claim_owner_is_local(&mine));
    expect_refused(getpid());
    claim_release(&claim);
    claim_release(&claim);
    assert_true(owner().released);
    take(&second, 2);
    assert_false(owner().released);
    claim_release(&second);
}

static void test_counter_moves_with_each_beat(void **state)
{
    (void)state;
    struct claim claim;
    struct err err = { 0 };
    SCOPED(buf) struct buf before = { 0 };
    SCOPED(buf) struct buf after = { 0 };
    take(&claim, 1);
    scratch_read(&scratch, "claims/run.g1", &before);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(claim_beat(&claim, &err), 0);
        assert_int_equal(owner().beats, i);
    }
    scratch_read(&scratch, "claims/run.g1", &after);
    assert_int_equal(before.len, after.len); /* a reader sees the old or the new text */
    claim_release(&claim);
}

/* A child that takes the job, tells so, and waits to be killed. */
static pid_t start_owner(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
        struct claim claim;
        struct err err = { 0 };
        const bool taken = claim_take(&claim, scratch.fd, NULL, &err) == 0;
        if (write(ends[1], taken ? "y" : "n", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char answer = 'n';
    assert_int_equal(read(ends[0], &answer, 1), 1);
    assert_int_equal(answer, 'y');
    close(ends[0]);
    close(ends[1]);
    return child;
}

static void kill_owner(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_job_of_a_killed_process_is_taken_over(void **state)
{
    (void)state;
    struct claim claim;
    const pid_t child = start_owner();
    expect_refused(child);
    kill_owner(child);
    const struct claim_owner dead = owner();
    assert_false(dead.released);
    assert_true(claim_owner_is_local(&dead));
    assert_false(claim_owner_lives_here(&dead));
    take(&claim, 2);
    claim_release(&claim);
}

static uint32_t files_of_helpers(void)
{
    uint32_t count = 0;
    DIR *dir = opendir(scratch_path(&scratch, "claims"));
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strncmp(entry->d_name, "with-", 5) == 0;
    closedir(dir);
    return count;
}

static void test_batches_go_from_hand_to_hand(void **state)
{
    (void)state;
    struct claim lead;
    struct claim helper;
    struct err err = { 0 };
    uint32_t number = 0;
    take(&lead, 1);
    assert_int_equal(claim_join(&helper, scratch.fd, &err), 0);
    assert_int_equal(claim_lead(&helper, NULL, &err), 0);
    assert_int_equal(claim_batch(&lead, scratch.fd, 7, &number, &err), 1);
    assert_int_equal(number, 1);
    assert_int_equal(claim_batch(&helper, scratch.fd, 7, &number, &err), 0);
    assert_int_equal(claim_batch(&lead, scratch.fd, 7, &number, &err), 1); /* it is ours already */
    assert_int_equal(number, 1);
    claim_release(&lead);
    assert_int_equal(claim_batch(&helper, scratch.fd, 7, &number, &err), 1);
    assert_int_equal(number, 2);
    assert_true(claim_batch_holds(scratch.fd, 7, 2));
    assert_false(claim_batch_holds(scratch.fd, 7, 1));
    claim_batch_done(scratch.fd, 7);
    assert_int_equal(claim_batch(&helper, scratch.fd, 7, &number, &err), 1);
    assert_int_equal(number, 1);
    claim_batch_done(scratch.fd, 7);
    assert_int_equal(claim_lead(&helper, NULL, &err), 1);
    assert_true(claim_leads(&helper));
    claim_release(&helper);
}

static void test_batch_of_a_killed_helper_is_taken_over_and_its_file_swept(void **state)
{
    (void)state;
    struct claim claim;
    struct err err = { 0 };
    uint32_t number = 0;
    const pid_t child = fork();
    if (child == 0) {
        struct claim mine;
        if (claim_join(&mine, scratch.fd, &err) < 0 ||
            claim_batch(&mine, scratch.fd, 3, &number, &err) != 1)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(files_of_helpers(), 1);
    take(&claim, 1);
    assert_int_equal(files_of_helpers(), 0);
    assert_int_equal(claim_batch(&claim, scratch.fd, 3, &number, &err), 1);
    assert_int_equal(number, 2);
    claim_release(&claim);
}

static void test_zombie_owns_nothing(void **state)
{
    (void)state;
    struct claim claim;
    const pid_t child = start_owner();
    assert_int_equal(kill(child, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    take(&claim, 2);
    claim_release(&claim);
    waitpid(child, NULL, 0);
}

static void test_number_grows_and_old_owners_see_that(void **state)
{
    (void)state;
    struct claim claims[5];
    struct err err = { 0 };
    for (uint32_t i = 0; i < 5; i++) {
        take(&claims[i], i + 1);
        /* As if the process had died, and its number were another's now. */
        SCOPED(buf) struct buf text = { 0 };
        char name[32];
        snprintf(name, sizeof name, "claims/run.g%u", i + 1);
        scratch_read(&scratch, name, &text);
        char *start = strstr(text.data, "\nstart ");
        assert_non_null(start);
        start[7] = start[7] == '9' ? '8' : '9';
        scratch_write(&scratch, name, text.data, text.len);
    }
    assert_int_equal(owner().number, 5);
    assert_int_equal(claim_check(&claims[4], &err), 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(claim_check(&claims[i], &err), -1);
        assert_non_null(strstr(err.text, "took this job over"));
        err_clear(&err);
    }
    for (uint32_t i = 0; i < 5; i++)
        claim_release(&claims[i]);
    /* Releasing an old claim does not release the new one; here the last was released, too. */
    assert_int_equal(owner().number, 5);
    assert_true(owner().released);
}

static void test_release_of_an_old_claim_leaves_the_new_one(void **state)
{
    (void)state;
    struct claim old;
    take(&old, 1);
    /* A claim number 2, of a living process: ours. */
    SCOPED(buf) struct buf text = { 0 };
    scratch_read(&scratch, "claims/run.g1", &text);
    scratch_write(&scratch, "claims/run.g2", text.data, text.len);
    claim_release(&old);
    assert_int_equal(owner().number, 2);
    assert_false(owner().released);
    expect_refused(getpid());
}

static void test_deleted_claim_is_noticed(void **state)
{
    (void)state;
    struct claim claim;
    struct err err = { 0 };
    take(&claim, 1);
    assert_int_equal(unlinkat(scratch.fd, "claims/run.g1", 0), 0);
    assert_int_equal(claim_check(&claim, &err), -1);
    claim_release(&claim);
}

static void test_torn_owner_file_is_nobody_but_not_free_at_once(void **state)
{
    (void)state;
    struct claim claim;
    SCOPED(buf) struct buf text = { 0 };
    take(&claim, 1);
    scratch_read(&scratch, "claims/run.g1", &text);
    claim_release(&claim);
    const size_t whole = (size_t)(strstr(text.data, "\nbeats ") - text.data);
    for (size_t len = 0; len < whole; len += 7) {
        scratch_write(&scratch, "claims/run.g1", text.data, len);
        const struct claim_owner torn = owner();
        assert_int_equal(torn.number, 1);
        assert_false(torn.released);
        assert_false(claim_owner_is_local(&torn));
        assert_false(claim_owner_lives_here(&torn));
        /* Nobody knows whether it lives, so its counter is watched, as long as nobody asks to
         * stop. */
        struct stop stop = { 0 };
        struct err err = { 0 };
        stop_raise(&stop);
        assert_int_equal(claim_take(&claim, scratch.fd, &stop, &err), -1);
        assert_int_equal(err.kind, ERR_STOPPED);
    }
}

static void test_moving_counter_of_another_host_is_alive(void **state)
{
    (void)state;
    struct claim claim;
    take(&claim, 1);
    SCOPED(buf) struct buf text = { 0 };
    scratch_read(&scratch, "claims/run.g1", &text);
    char *boot = strstr(text.data, "\nboot ");
    assert_non_null(boot);
    memcpy(boot + 6, "00000000", 8);
    scratch_write(&scratch, "claims/run.g1", text.data, text.len);
    const struct claim_owner far = owner();
    assert_false(claim_owner_is_local(&far));
    assert_false(claim_owner_lives_here(&far));
    const pid_t child = fork();
    if (child == 0) {
        /* The other host: its counter moves, only its counter. */
        const size_t at = (size_t)(strstr(text.data, "\nbeats ") - text.data) + 7;
        const int fd = openat(scratch.fd, "claims/run.g1", O_WRONLY | O_CLOEXEC);
        for (unsigned i = 1;; i++) {
            char beats[21];
            snprintf(beats, sizeof beats, "%020u", i);
            if (pwrite(fd, beats, 20, (off_t)at) != 20)
                _exit(1);
            usleep(1000);
        }
    }
    struct claim second;
    struct err err = { 0 };
    assert_int_equal(claim_take(&second, scratch.fd, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    kill_owner(child);
    claim_release(&claim);
}

#define RACERS 12

static void test_one_of_many_that_race_wins(void **state)
{
    (void)state;
    for (uint32_t round = 1; round <= 20; round++) {
        int go[2];
        int told[2];
        int stay[2];
        assert_int_equal(pipe2(go, O_CLOEXEC), 0);
        assert_int_equal(pipe2(told, O_CLOEXEC), 0);
        assert_int_equal(pipe2(stay, O_CLOEXEC), 0);
        pid_t children[RACERS];
        for (int i = 0; i < RACERS; i++) {
            children[i] = fork();
            if (children[i] != 0)
                continue;
            close(go[1]);
            close(stay[1]);
            char c;
            struct claim claim;
            struct err err = { 0 };
            (void)!read(go[0], &c, 1); /* ends when the parent closes */
            const bool won = claim_take(&claim, scratch.fd, NULL, &err) == 0;
            if (!won && err.kind != ERR_CONFIG)
                _exit(2);
            (void)!write(told[1], won ? "w" : "l", 1);
            /* The winner lives until all have tried. */
            (void)!read(stay[0], &c, 1);
            _exit(won && claim.number == round ? 0 : won ? 3 : 1);
        }
        close(go[0]);
        close(go[1]);
        unsigned winners = 0;
        for (int i = 0; i < RACERS; i++) {
            char c = 0;
            assert_int_equal(read(told[0], &c, 1), 1);
            winners += c == 'w';
        }
        close(stay[0]);
        close(stay[1]);
        unsigned good = 0;
        for (int i = 0; i < RACERS; i++) {
            int status = 0;
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
            good += WEXITSTATUS(status) == 0;
        }
        close(told[0]);
        close(told[1]);
        assert_int_equal(winners, 1);
        assert_int_equal(good, 1);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_job_of_a_living_process_is_refused_and_given_on_release),
        CASE(test_counter_moves_with_each_beat),
        CASE(test_job_of_a_killed_process_is_taken_over),
        CASE(test_batches_go_from_hand_to_hand),
        CASE(test_batch_of_a_killed_helper_is_taken_over_and_its_file_swept),
        CASE(test_zombie_owns_nothing),
        CASE(test_number_grows_and_old_owners_see_that),
        CASE(test_release_of_an_old_claim_leaves_the_new_one),
        CASE(test_deleted_claim_is_noticed),
        CASE(test_torn_owner_file_is_nobody_but_not_free_at_once),
        CASE(test_moving_counter_of_another_host_is_alive),
        CASE(test_one_of_many_that_race_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
