#include "pack/posix_acl.h"

#include "base/ban.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#define ENTRY_BYTES 8u

static uint16_t view_u16(struct view *view)
{
    const uint16_t low = view_u8(view);
    return (uint16_t)(low | view_u8(view) << 8);
}

/* What stands before the rights; NULL: no ACL has it. *ret_named: a number is between. */
static const char *tag_text(uint16_t tag, bool *ret_named)
{
    *ret_named = tag == ACL_USER || tag == ACL_GROUP;
    switch (tag) {
    case ACL_USER_OBJ:
    case ACL_USER:
        return "user";
    case ACL_GROUP_OBJ:
    case ACL_GROUP:
        return "group";
    case ACL_MASK:
        return "mask";
    case ACL_OTHER:
        return "other";
    default:
        return NULL;
    }
}

static bool add_entry(struct view *view, struct buf *out)
{
    const uint16_t tag = view_u16(view);
    const uint16_t rights = view_u16(view);
    const uint32_t id = view_u32(view);
    bool is_named = false;
    const char *text = tag_text(tag, &is_named);
    if (text == NULL || rights > 7)
        return false;
    buf_printf(out, "%s:", text);
    if (is_named)
        buf_printf(out, "%u", id);
    buf_printf(out, ":%c%c%c\n", (rights & ACL_READ) != 0 ? 'r' : '-',
               (rights & ACL_WRITE) != 0 ? 'w' : '-', (rights & ACL_EXECUTE) != 0 ? 'x' : '-');
    return true;
}

bool posix_acl_text(const void *value, size_t len, struct buf *out)
{
    struct view view = view_of(value, len);
    const size_t before = out->len;
    bool good = view_u32(&view) == POSIX_ACL_XATTR_VERSION && view_left(&view) % ENTRY_BYTES == 0;
    while (good && view_left(&view) != 0)
        good = add_entry(&view, out);
    if (!good)
        buf_cut(out, before);
    return good && out->len != before;
}
