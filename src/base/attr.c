#include "base/attr.h"

#include "base/ban.h"

const char *entry_kind_name(enum entry_kind kind)
{
    switch (kind) {
    case ENTRY_FILE:
        return "file";
    case ENTRY_DIR:
        return "directory";
    case ENTRY_LINK:
        return "link";
    case ENTRY_SPECIAL:
        return "special file";
    case ENTRY_GONE:
        return "gone";
    case ENTRY_UNREADABLE:
        return "unreadable entry";
    case ENTRY_UNKNOWN:
        break;
    }
    return "unknown";
}
