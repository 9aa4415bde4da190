#include "job/survey.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/utf8.h"

#define KIB UINT64_C(1024)
#define GIB (KIB * KIB * KIB)

const uint64_t survey_class_below[SURVEY_CLASSES] = {
    1,
    KIB,
    16 * KIB,
    256 * KIB,
    KIB *KIB,
    16 * KIB *KIB,
    128 * KIB *KIB,
    1024 * KIB *KIB,
    5 * GIB,
    100 * GIB,
    0,
};

static const struct {
    const char *name, *text;
    bool is_problem;
} cares[CARE_COUNT] = {
    [CARE_NOT_UTF8] = { "not_utf8", "names that are not UTF-8: S3 gets them encoded as rclone does",
                        0 },
    [CARE_CONTROL] = { "control_characters", "names with control characters", 0 },
    [CARE_BLANK] = { "blanks", "names that begin or end with a blank, or end with a dot", 0 },
    [CARE_ENCODED] = { "encoded", "names with signs of rclone's encoding: S3 gets them encoded",
                       0 },
    [CARE_LINK_SUFFIX] = { "link_suffix", "files named like stored links (" LINK_SUFFIX ")", 0 },
    [CARE_LONG] = { "long", "paths of more than 1,024 bytes: no key on S3 is that long", 1 },
    [CARE_LINK] = { "links",
                    "symbolic links: stored as NAME" LINK_SUFFIX ", unless --links says otherwise",
                    0 },
    [CARE_DANGLING] = { "dangling", "symbolic links to nothing", 1 },
    [CARE_LOOP] = { "loops", "symbolic links to a directory above them", 1 },
    [CARE_COLLISION] = { "collisions", "links whose object would have the name of a file", 1 },
    [CARE_SPECIAL] = { "special", "FIFOs, sockets and devices: never stored", 1 },
    [CARE_UNTOLD] = { "untold", "neither files nor directories; the listing tells no more", 0 },
    [CARE_UNREADABLE] = { "unreadable", "could not be read", 1 },
    [CARE_OTHER_DEVICE] = { "other_device", "directories on other file systems, passed over", 0 },
    [CARE_MULTIPART] = { "multipart", "files of more than 5 GiB: must be stored in parts", 0 },
    [CARE_TOO_LARGE] = { "too_large", "files of more than 5 TiB: too large for S3", 1 },
    [CARE_HARD_LINK] = { "hard_links", "files with several hard links: each name becomes a copy",
                         0 },
    [CARE_EMPTY_DIR] = { "empty_directories", "empty directories", 0 },
};

const char *survey_care_name(enum survey_care care)
{
    return cares[care].name;
}

const char *survey_care_text(enum survey_care care)
{
    return cares[care].text;
}

bool survey_care_is_problem(enum survey_care care)
{
    return cares[care].is_problem;
}

static void find(struct survey *survey, enum survey_care care, const char *name, size_t name_len,
                 uint64_t bytes)
{
    struct survey_found *found = &survey->care[care];
    if (found->sum.count < SURVEY_EXAMPLES) {
        char *copy = mem_alloc(name_len + 1);
        memcpy(copy, name, name_len);
        found->examples[found->sum.count] = copy;
    }
    found->sum.count++;
    found->sum.bytes += bytes;
}

/* ---- names ---- */

static bool is_plain(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] < 0x20 || (unsigned char)name[i] > 0x7e)
            return false;
    return true;
}

#define QUOTE_SIGN 0x201bu /* rclone's, in front of what it encodes */
#define WIDE_DOT 0xff0eu

static void look_at_characters(struct survey *survey, const struct crawl_item *item,
                               const char *name, size_t len)
{
    bool bad = false;
    bool control = false;
    bool quoted = false;
    size_t dots = 0;
    size_t count = 0;
    const unsigned char *at = (const unsigned char *)name;
    const unsigned char *const end = at + len;
    for (; at < end; count++) {
        const uint32_t code = utf8_decode(&at, end);
        bad |= code >= UTF8_BYTE;
        control |= code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xfffe || code == 0xffff;
        quoted |= code == QUOTE_SIGN;
        dots += code == WIDE_DOT;
    }
    if (bad)
        find(survey, CARE_NOT_UTF8, item->name, item->name_len, item->size_bytes);
    if (control)
        find(survey, CARE_CONTROL, item->name, item->name_len, item->size_bytes);
    if (!bad && (quoted || (dots == count && count <= 2)))
        find(survey, CARE_ENCODED, item->name, item->name_len, item->size_bytes);
}

static void look_at_name(struct survey *survey, const struct crawl_item *item, const char *name,
                         size_t len)
{
    if (!is_plain(name, len))
        look_at_characters(survey, item, name, len);
    if (len != 0 && (name[0] == ' ' || name[len - 1] == ' ' || name[len - 1] == '.'))
        find(survey, CARE_BLANK, item->name, item->name_len, item->size_bytes);
    if (item->name_len > SURVEY_KEY_BYTES_MAX)
        find(survey, CARE_LONG, item->name, item->name_len, item->size_bytes);
    const size_t suffix_len = sizeof LINK_SUFFIX - 1;
    if (item->kind == ENTRY_FILE && len > suffix_len &&
        memcmp(name + len - suffix_len, LINK_SUFFIX, suffix_len) == 0)
        find(survey, CARE_LINK_SUFFIX, item->name, item->name_len, item->size_bytes);
}

/* ---- the largest directories ---- */

static void name_directory(struct survey_directory *directory, const struct trail *trail,
                           struct survey_sum sum)
{
    mem_release(directory->name);
    directory->name = mem_string(buf_text(&trail->path));
    directory->sum = sum;
}

/* Kept in descending order: few change in a large tree. */
static void rank(struct survey *survey, const struct trail_step *step)
{
    struct survey_directory *const largest = survey->largest;
    const struct survey_sum sum = { step->files, step->bytes };
    size_t at = survey->largest_count;
    if (sum.bytes == 0)
        return;
    if (at == SURVEY_LARGEST && sum.bytes <= largest[at - 1].sum.bytes)
        return;
    if (at == SURVEY_LARGEST)
        mem_release(largest[--at].name);
    else
        survey->largest_count++;
    for (; at != 0 && largest[at - 1].sum.bytes < sum.bytes; at--)
        largest[at] = largest[at - 1];
    largest[at] = (struct survey_directory){ 0 };
    name_directory(&largest[at], &survey->trail, sum);
}

static void leave(struct survey *survey)
{
    const struct trail_step *step = trail_last(&survey->trail);
    if (step->entries > survey->fullest.sum.count)
        name_directory(&survey->fullest, &survey->trail,
                       (struct survey_sum){ step->entries, step->bytes });
    if (step->entries == 0 && step->name_len != 0 && step->index == REASON_NONE)
        find(survey, CARE_EMPTY_DIR, survey->trail.path.data, step->name_len, 0);
    if (step->name_len != 0)
        rank(survey, step);
    trail_leave(&survey->trail);
}

/* ---- entries ---- */

static void count_file(struct survey *survey, const struct crawl_item *item)
{
    const uint64_t bytes = item->size_bytes;
    size_t class = 0;
    while (class + 1 < SURVEY_CLASSES && bytes >= survey_class_below[class])
        class ++;
    survey->classes[class].count++;
    survey->classes[class].bytes += bytes;
    survey->files.count++;
    survey->files.bytes += bytes;
    struct trail_step *step = trail_last(&survey->trail);
    step->bytes += bytes;
    step->files++;
    if (item->nlink > 1)
        find(survey, CARE_HARD_LINK, item->name, item->name_len, bytes);
    if (bytes > 5 * KIB * GIB)
        find(survey, CARE_TOO_LARGE, item->name, item->name_len, bytes);
    else if (bytes > 5 * GIB)
        find(survey, CARE_MULTIPART, item->name, item->name_len, bytes);
}

static void count_reason(struct survey *survey, const struct crawl_item *item)
{
    static const struct {
        enum plan_reason reason;
        enum survey_care care;
    } rows[] = { { REASON_UNREADABLE, CARE_UNREADABLE },
                 { REASON_LOOP, CARE_LOOP },
                 { REASON_DANGLING, CARE_DANGLING },
                 { REASON_COLLISION, CARE_COLLISION },
                 { REASON_OTHER_DEVICE, CARE_OTHER_DEVICE } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].reason == item->reason)
            find(survey, rows[i].care, item->name, item->name_len, 0);
}

void survey_add(struct survey *survey, const struct crawl_item *item)
{
    struct trail *trail = &survey->trail;
    if (trail->depth == 0)
        trail_enter(trail, "", 0);
    while (trail_passed(trail, item->name, item->name_len))
        leave(survey);
    struct trail_step *step = trail_last(trail);
    step->entries++;
    if (trail->depth > survey->depth_max)
        survey->depth_max = trail->depth;
    if (item->name_len > survey->name_max)
        survey->name_max = item->name_len;
    survey->disk_bytes += item->disk_bytes;
    const bool is_dir = item->kind == ENTRY_DIR;
    look_at_name(survey, item, item->name + step->name_len,
                 item->name_len - step->name_len - is_dir);
    if (item->reason != REASON_NONE)
        count_reason(survey, item);
    switch (item->kind) {
    case ENTRY_FILE:
        count_file(survey, item);
        break;
    case ENTRY_DIR:
        if (item->reason == REASON_LOOP) { /* a link, which is not entered */
            survey->links++;
            break;
        }
        survey->directories++;
        trail_enter(trail, item->name, item->name_len)->index = item->reason;
        break;
    case ENTRY_LINK:
        survey->links++;
        if (item->reason != REASON_DANGLING)
            find(survey, CARE_LINK, item->name, item->name_len, 0);
        break;
    case ENTRY_UNREADABLE:
        survey->unreadable++;
        break;
    default:
        survey->others++;
        find(survey, item->kind == ENTRY_UNKNOWN ? CARE_UNTOLD : CARE_SPECIAL, item->name,
             item->name_len, 0);
        break;
    }
}

void survey_finish(struct survey *survey)
{
    while (survey->trail.depth != 0)
        leave(survey);
}

void survey_done(struct survey *survey)
{
    for (size_t care = 0; care < CARE_COUNT; care++)
        for (size_t i = 0; i < SURVEY_EXAMPLES; i++)
            mem_free(survey->care[care].examples[i]);
    for (size_t i = 0; i < survey->largest_count; i++)
        mem_free(survey->largest[i].name);
    survey->largest_count = 0;
    mem_free(survey->fullest.name);
    trail_done(&survey->trail);
}
