#include "base/ban.h"
#include "base/clock.h"
#include "http/http_internal.h"

#include <sys/socket.h>

#define BAD_NS (30 * NS_PER_S)

void peers_init(struct peers *peers)
{
    *peers = (struct peers){ 0 };
    lock_init(&peers->lock);
}

void peers_done(struct peers *peers)
{
    lock_done(&peers->lock);
}

static bool is_same(const struct peer *a, const struct peer *b)
{
    return a->len == b->len && memcmp(a->address, b->address, a->len) == 0;
}

void peers_blame(struct peers *peers, const struct peer *peer, int64_t now_ns)
{
    SCOPED_LOCK(&peers->lock);
    /* Its own place, or that of the one blamed longest ago. */
    size_t place = 0;
    for (size_t i = 0; i < PEERS_BAD_MAX; i++) {
        if (is_same(&peers->bad[i].peer, peer)) {
            place = i;
            break;
        }
        if (peers->bad[i].until_ns < peers->bad[place].until_ns)
            place = i;
    }
    peers->bad[place].peer = *peer;
    peers->bad[place].until_ns = now_ns + BAD_NS;
}

bool peers_is_bad(struct peers *peers, const struct peer *peer, int64_t now_ns)
{
    SCOPED_LOCK(&peers->lock);
    for (size_t i = 0; i < PEERS_BAD_MAX; i++)
        if (is_same(&peers->bad[i].peer, peer))
            return peers->bad[i].until_ns > now_ns;
    return false;
}

bool peer_of_socket(struct peer *ret_peer, int fd)
{
    struct peer peer = { 0 };
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getpeername(fd, (struct sockaddr *)&address, &len) != 0 || len > sizeof peer.address)
        return false;
    memcpy(peer.address, &address, len);
    peer.len = len;
    *ret_peer = peer;
    return true;
}
