/* cli/settings.h: what the command line and the environment ask for, filled once by opt_parse() and
 * then passed on as const. Owner:   main; settings_done() releases the lists. The strings belong to
 * argv, the environment, the program text, or `texts`. Threads: read-only after the parse. */
#pragma once

#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct setting_list {
    const char **items;
    size_t count;
};

/* Filter rules as given; the order between different options is the order in which they are tried.
 */
enum setting_rule_kind {
    SETTING_RULE_INCLUDE, /* text is a pattern */
    SETTING_RULE_EXCLUDE,
    SETTING_RULE_FILTER,       /* text is "+ PATTERN", "- PATTERN" or "!" */
    SETTING_RULE_INCLUDE_FROM, /* text is a file of patterns */
    SETTING_RULE_EXCLUDE_FROM,
    SETTING_RULE_FILTER_FROM, /* text is a file of filter rules */
};
struct setting_rule {
    enum setting_rule_kind kind;
    const char *text;
};
struct setting_rules {
    struct setting_rule *items;
    size_t count;
};

/* In the order of the choices of --links. */
enum setting_links { SETTING_LINKS_KEEP, SETTING_LINKS_FOLLOW, SETTING_LINKS_SKIP };

/* lade crawl: in the order of the choices. */
enum setting_crawl_links {
    SETTING_CRAWL_LINKS_AUTO,
    SETTING_CRAWL_LINKS_KEEP,
    SETTING_CRAWL_LINKS_FOLLOW,
    SETTING_CRAWL_LINKS_SKIP
};
enum setting_format {
    SETTING_FORMAT_DESI,
    SETTING_FORMAT_JSONL,
    SETTING_FORMAT_CSV,
    SETTING_FORMAT_NCDU
};

/* A flag that also knows whether it was given at all. */
enum setting_switch { SETTING_OFF = -1, SETTING_AUTO = 0, SETTING_ON = 1 };

/* What a job file says of the two ends; absolute paths, the settings' own. */
struct setting_place {
    const char *base; /* NULL: there is no job file */
    const char *target;
    struct setting_list sources;
};

struct settings {
    const char *file; /* --file, NULL = not given */
    const char *only; /* NULL = not given */
    struct setting_place place;
    struct setting_list texts; /* strings that belong to the settings */

    /* which names: put, get */
    bool keep_name;
    bool glob;
    const char *to; /* NULL = not given */

    /* which entries */
    struct setting_rules rules;
    const char *files_from;    /* NULL = not given, "-" = standard input */
    const char *from;          /* a listing; NULL = not given, "-" = standard input */
    const char *older_than;    /* NULL = not given */
    const char *fallback_root; /* NULL = not given */
    bool null_separated;       /* --files-from has NUL instead of newline */
    bool one_file_system;
    enum setting_links links;
    enum setting_crawl_links crawl_links;
    uint64_t max_depth; /* 0 = no limit */
    bool recursive;
    bool abort_uploads;
    bool repeat;
    bool again;
    bool regex;        /* find: the pattern is a regular expression */
    bool all_versions; /* find: older ones too */
    bool offline;      /* find: ask nobody */
    bool end_in_nul;   /* find: locations end in NUL */
    const char *size;  /* find: NULL = not given */
    const char *newer; /* find: NULL = not given */

    /* what is done with them */
    bool dry_run;
    bool immutable;
    bool overwrite;
    bool checksum;
    bool keep_setid;
    bool deep;
    bool download;
    uint64_t max_members;         /* of an archive; 0 = any */
    uint64_t max_ratio;           /* the same */
    struct setting_list metadata; /* each "name=value" with a name */
    uint32_t digests;             /* set of digest_kind */
    uint32_t types;               /* find: set of query_kind */
    const char *missing;          /* NULL = not given */

    /* the job and its means */
    const char *job;              /* NULL = named from source and destination */
    uint64_t max_batches;         /* 0 = all */
    const char *batch_bytes;      /* --batch-bytes, NULL = not given */
    uint64_t batch_objects;       /* --batch-objects */
    const char *pack;             /* --pack: "off", "auto", a number */
    uint64_t pack_below_bytes;    /* --pack-below */
    uint64_t pack_bytes;          /* --pack-size; 0 = by the size of all */
    uint64_t compress_level;      /* --level */
    bool keep_packs;              /* --keep-packs */
    bool xattrs;                  /* --xattrs */
    enum setting_switch compress; /* --no-compress */
    const char *min_live;         /* --min-live */
    uint64_t bucket_objects;      /* --bucket-objects, 0 = no limit */
    bool make_bucket;             /* --make-bucket */
    const char *site;             /* NULL = not given */
    uint64_t rate_bytes_per_s;    /* 0 = not given */
    const char *export;           /* NULL = not given */
    uint64_t wait_s;              /* stop: until they are gone */
    const char *until;            /* NULL = not given */
    uint64_t transfers;           /* 0 = the store's own number */
    uint64_t crawlers;            /* 0 = adapt */
    uint64_t retries;             /* tries after the first */
    uint64_t stall_s;             /* --stall-timeout */
    uint64_t memory_bytes;        /* of the slab pool */
    uint64_t bwlimit_bytes_per_s; /* 0 = none */
    uint64_t requests_per_s;      /* the same */

    /* how the store is reached: --endpoint-url --profile --region --storage-class --acl */
    struct store_access access;

    /* output */
    enum setting_switch progress;
    enum setting_format format;
    bool json;
    bool quiet;
    bool long_format;
    bool watch;       /* status: again and again */
    bool detach;      /* go on in the background */
    bool help;        /* only tell what the verb does */
    uint64_t verbose; /* how often it was given */

    const char *output;     /* NULL = not given, "-" = standard output */
    const char *man;        /* help: the same */
    const char *completion; /* "bash", "zsh", "fish" or NULL */
};

void settings_done(struct settings *settings);
