/* What a journal keeps of a pack. First byte: 0 a delta; else the level of the pack, and the rest
 * is the notes of one chunk. What is taken can be ended, and its index be read. */
#include "base/ban.h"
#include "base/scope.h"
#include "fuzz.h"
#include "pack/join.h"
#include "pack/reader.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

static void read_back(const void *index, size_t len, uint64_t members)
{
    const struct pack_source none = { 0 };
    struct pack *pack = NULL;
    struct pack_member member;
    struct err err = { 0 };
    uint64_t count = 0;
    if (pack_open_index(&pack, index, len, &none, &err) < 0)
        abort();
    struct pack_cursor *cursor = pack_cursor_new(pack);
    int got = pack_seek(cursor, "", 0, &err);
    while (got == 0 && pack_next(cursor, &member, &err) == 1)
        count++;
    /* Names that no planner gives are told when they are read. */
    require(err.kind == ERR_CORRUPT || (err.kind == ERR_NONE && count == members));
    pack_cursor_free(cursor);
    pack_free(pack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    struct err err = { 0 };
    SCOPED(buf) struct buf tail = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    const struct pack_info info = { .name = "p", .level = data[0] & 1 };
    struct pack_join *join = pack_join_new(&info, false);
    const int got = data[0] == 0 ? pack_join_replay(join, data + 1, size - 1, &err)
                                 : pack_join_add_notes(join, data + 1, size - 1, &err);
    if (got < 0) {
        require(err.kind == ERR_CORRUPT || err.kind == ERR_LIMIT);
    } else if (info.level == 0 && pack_join_tail(join, &tail, &err) == 0) {
        require(pack_join_sidecar(join, "e", &index, &err) == 0);
        read_back(index.data, index.len, pack_join_members(join));
    }
    pack_join_free(join);
    return 0;
}
