#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"
#include "http/http_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

static void test_peers_are_bad_for_a_while(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers);
    const struct peer a = { .address = "a", .len = 4 };
    const struct peer b = { .address = "b", .len = 4 };
    assert_false(peers_is_bad(&peers, &a, 100));
    peers_blame(&peers, &a, 100);
    assert_true(peers_is_bad(&peers, &a, 100 + 29 * NS_PER_S));
    assert_false(peers_is_bad(&peers, &b, 100));
    assert_false(peers_is_bad(&peers, &a, 100 + 31 * NS_PER_S));
    peers_blame(&peers, &a, 100 + 20 * NS_PER_S);
    assert_true(peers_is_bad(&peers, &a, 100 + 31 * NS_PER_S));
    /* The oldest gives way. */
    for (unsigned i = 0; i < PEERS_BAD_MAX; i++) {
        const struct peer other = { .address = { 'x', (unsigned char)i }, .len = 4 };
        peers_blame(&peers, &other, 100 + (21 + (int64_t)i) * NS_PER_S);
        assert_true(peers_is_bad(&peers, &other, 100 + 40 * NS_PER_S));
    }
    assert_false(peers_is_bad(&peers, &a, 100 + 31 * NS_PER_S));
    peers_done(&peers);
}

/* ---- a name with three addresses: 127.0.0.1, 127.0.0.2, 127.0.0.3 ---- */

#define ADDRESSES 3
#define LINES 48 /* that one of three gets none of so many comes once in 10^8 runs */
#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

/* Answers nothing before so many requests wait, so that each has a line of its own. */
struct house {
    int listeners[ADDRESSES]; /* -1: refuses */
    struct {
        int fd;
        size_t address;
        unsigned ends; /* of the head's "\r\n\r\n" that are there */
        bool waits;
    } guests[4 * LINES]; /* server thread only */
    size_t guest_count;
    size_t hold; /* requests; 0: answers at once */
    size_t asked[ADDRESSES];
    unsigned port;
    int quit[2];
    struct thread thread;
};

static void must(bool is_fine)
{
    if (!is_fine)
        abort();
}

static int listen_at(size_t address, unsigned *port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)*port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)address) };
    socklen_t len = sizeof at;
    if (bind(fd, (struct sockaddr *)&at, len) != 0 || listen(fd, 4 * LINES) != 0) {
        close(fd);
        return -1;
    }
    must(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void answer(struct house *house, size_t guest)
{
    house->guests[guest].waits = false;
    must(send(house->guests[guest].fd, OK_EMPTY, sizeof OK_EMPTY - 1, MSG_NOSIGNAL) > 0);
}

static void hear(struct house *house, size_t guest)
{
    char bytes[4096];
    const ssize_t got = recv(house->guests[guest].fd, bytes, sizeof bytes, 0);
    if (got <= 0) {
        close(house->guests[guest].fd);
        house->guests[guest].fd = -1;
        house->guests[guest].waits = false;
        return;
    }
    unsigned *ends = &house->guests[guest].ends;
    for (ssize_t i = 0; i < got; i++) {
        *ends = bytes[i] == (*ends % 2 == 0 ? '\r' : '\n') ? *ends + 1 : bytes[i] == '\r';
        if (*ends < 4)
            continue;
        *ends = 0;
        house->guests[guest].waits = true;
        house->asked[house->guests[guest].address]++;
    }
    size_t waiting = 0;
    for (size_t i = 0; i < house->guest_count; i++)
        waiting += house->guests[i].waits;
    if (waiting < house->hold)
        return;
    house->hold = 0;
    for (size_t i = 0; i < house->guest_count; i++)
        if (house->guests[i].waits)
            answer(house, i);
}

static void welcome(struct house *house, size_t address)
{
    const int fd = accept4(house->listeners[address], NULL, NULL, SOCK_CLOEXEC);
    must(fd >= 0 && house->guest_count < 4 * (size_t)LINES);
    house->guests[house->guest_count].fd = fd;
    house->guests[house->guest_count].address = address;
    house->guest_count++;
}

static void *serve(void *arg)
{
    struct house *house = arg;
    for (;;) {
        struct pollfd waits[1 + ADDRESSES + 4 * LINES];
        const size_t known = house->guest_count;
        waits[0] = (struct pollfd){ .fd = house->quit[0], .events = POLLIN };
        for (size_t i = 0; i < ADDRESSES; i++)
            waits[1 + i] = (struct pollfd){ .fd = house->listeners[i], .events = POLLIN };
        for (size_t i = 0; i < known; i++)
            waits[1 + ADDRESSES + i] =
                (struct pollfd){ .fd = house->guests[i].fd, .events = POLLIN };
        must(poll(waits, 1 + ADDRESSES + known, -1) > 0);
        if (waits[0].revents != 0)
            return NULL;
        for (size_t i = 0; i < ADDRESSES; i++)
            if (waits[1 + i].revents != 0)
                welcome(house, i);
        for (size_t i = 0; i < known; i++)
            if (waits[1 + ADDRESSES + i].revents != 0)
                hear(house, i);
    }
}

static void house_run(struct house *house, size_t hold)
{
    struct err err = { 0 };
    house->hold = hold;
    memset(house->asked, 0, sizeof house->asked);
    must(pipe(house->quit) == 0 && thread_start(&house->thread, "house", serve, house, &err) == 0);
}

static void house_pause(struct house *house)
{
    must(write(house->quit[1], "q", 1) == 1);
    thread_join(&house->thread);
    close(house->quit[0]);
    close(house->quit[1]);
}

/* One port that is free at each of them. */
static void house_open(struct house *house)
{
    for (int tries = 0; tries < 100; tries++) {
        *house = (struct house){ 0 };
        size_t open = 0;
        for (size_t i = 0; i < ADDRESSES; i++)
            open += (house->listeners[i] = listen_at(i, &house->port)) >= 0;
        if (open == ADDRESSES)
            return;
        for (size_t i = 0; i < ADDRESSES; i++)
            if (house->listeners[i] >= 0)
                close(house->listeners[i]);
    }
    fail_msg("no port is free at 127.0.0.1, 127.0.0.2 and 127.0.0.3");
}

/* From now on connections to it are refused, and those that were kept are broken. */
static void house_leave(struct house *house, size_t address)
{
    close(house->listeners[address]);
    house->listeners[address] = -1;
    for (size_t i = 0; i < house->guest_count; i++) {
        if (house->guests[i].address != address || house->guests[i].fd < 0)
            continue;
        close(house->guests[i].fd);
        house->guests[i].fd = -1;
    }
}

static void house_done(struct house *house)
{
    for (size_t i = 0; i < ADDRESSES; i++)
        if (house->listeners[i] >= 0)
            house_leave(house, i);
}

struct crowd {
    struct http *http;
    char url[64];
    atomic_uint answered;
    struct err err; /* of one that was not answered */
    struct lock lock;
};

static struct http *open_three(const struct house *house)
{
    char resolve[96];
    snprintf(resolve, sizeof resolve, "three.example:%u:127.0.0.1,127.0.0.2,127.0.0.3",
             house->port);
    const char *const list[] = { resolve, NULL };
    struct http *http = NULL;
    struct err err = { 0 };
    assert_int_equal(http_open(&http, &(struct http_options){ .resolve = list }, &err), 0);
    return http;
}

static void *ask(void *arg)
{
    struct crowd *crowd = arg;
    const struct http_request request = { .method = "GET", .url = crowd->url };
    struct http_reply reply = { 0 };
    struct err err = { 0 };
    if (http_do(crowd->http, &request, &reply, &err) == 0 && reply.status == 200) {
        atomic_fetch_add(&crowd->answered, 1);
    } else {
        SCOPED_LOCK(&crowd->lock);
        crowd->err = err;
    }
    http_reply_done(&reply);
    return NULL;
}

/* LINES requests at the same time, none of which fails. */
static void ask_at_once(struct house *house, struct http *http)
{
    struct crowd crowd = { .http = http };
    struct thread threads[LINES] = { 0 };
    struct err err = { 0 };
    lock_init(&crowd.lock);
    snprintf(crowd.url, sizeof crowd.url, "http://three.example:%u/", house->port);
    house_run(house, LINES);
    for (size_t i = 0; i < LINES; i++)
        assert_int_equal(thread_start(&threads[i], "ask", ask, &crowd, &err), 0);
    for (size_t i = 0; i < LINES; i++)
        thread_join(&threads[i]);
    house_pause(house);
    lock_done(&crowd.lock);
    if (atomic_load(&crowd.answered) != LINES)
        fail_msg("%u of %d answered: %s", atomic_load(&crowd.answered), LINES, crowd.err.text);
}

static void test_http_uses_all_addresses_of_a_name(void **state)
{
    (void)state;
    struct house house;
    house_open(&house);
    struct http *http = open_three(&house);
    ask_at_once(&house, http);
    for (size_t i = 0; i < ADDRESSES; i++)
        assert_in_range(house.asked[i], 1, LINES);
    http_close(http);
    house_done(&house);
}

static void test_http_passes_over_one_of_many_addresses_that_refuses(void **state)
{
    (void)state;
    struct house house;
    house_open(&house);
    house_leave(&house, 1);
    struct http *http = open_three(&house);
    ask_at_once(&house, http);
    assert_int_equal(house.asked[1], 0);
    assert_in_range(house.asked[0], 1, LINES);
    assert_in_range(house.asked[2], 1, LINES);
    http_close(http);
    house_done(&house);
}

/* With it go the connections that were kept. */
static void test_http_goes_on_when_one_of_many_addresses_goes_away(void **state)
{
    (void)state;
    struct house house;
    house_open(&house);
    struct http *http = open_three(&house);
    ask_at_once(&house, http);
    house_leave(&house, 0);
    ask_at_once(&house, http);
    assert_int_equal(house.asked[0], 0);
    assert_in_range(house.asked[1], 1, LINES);
    assert_in_range(house.asked[2], 1, LINES);
    http_close(http);
    house_done(&house);
}

int main(void)
{
    /* What the environment says about proxies is not for this server. */
    setenv("no_proxy", "*", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peers_are_bad_for_a_while),
        cmocka_unit_test(test_http_uses_all_addresses_of_a_name),
        cmocka_unit_test(test_http_passes_over_one_of_many_addresses_that_refuses),
        cmocka_unit_test(test_http_goes_on_when_one_of_many_addresses_goes_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
