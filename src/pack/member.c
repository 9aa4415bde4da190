#include "pack/member.h"

#include "base/ban.h"

void pack_member_key(const struct pack_member *member, struct buf *out)
{
    const enum pack_kind kind = member->kind == PACK_GONE ? member->was : member->kind;
    buf_add(out, member->path, member->path_len);
    if (kind == PACK_DIR)
        buf_add_char(out, '/');
    else if (kind == PACK_LINK)
        buf_add(out, LINK_SUFFIX, sizeof LINK_SUFFIX - 1);
}

bool pack_member_can_have_xattrs(enum pack_kind kind)
{
    return kind == PACK_FILE || kind == PACK_DIR || kind == PACK_HARDLINK;
}

uint64_t pack_member_data_bytes(const struct pack_member *member)
{
    if (member->kind != PACK_FILE)
        return 0;
    if (!member->sparse)
        return member->size_bytes;
    uint64_t sum = 0;
    for (size_t i = 0; i < member->extent_count; i++)
        sum += member->extents[i].len_bytes;
    return sum;
}
