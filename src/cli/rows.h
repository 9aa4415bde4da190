/* cli/rows.h: the rows of all options, in tables that verbs put together. Each ends with a row
 * without name. What verbs share is described once, here. */
#pragma once

#include "cli/opt.h"

extern const struct opt rows_keep_name[]; /* --keep-name */
extern const struct opt rows_get[];       /* --to --glob --overwrite */
extern const struct opt rows_setid[];     /* --keep-setid: get */
extern const struct opt rows_archive[];   /* --max-members --max-ratio */
extern const struct opt rows_filter[];    /* --include --exclude --filter and the same from files */
extern const struct opt rows_source[];    /* --files-from --null */
extern const struct opt rows_from[];      /* --from */
extern const struct opt rows_one_file_system[];
extern const struct opt rows_file[];      /* --file --only */
extern const struct opt rows_fallback[];  /* --fallback-root */
extern const struct opt rows_links[];     /* --links --copy-links */
extern const struct opt rows_recursive[]; /* -R: ls */
extern const struct opt rows_remove[];    /* -r: rm */
extern const struct opt rows_dry_run[];   /* --dry-run */
extern const struct opt rows_put[];       /* --immutable --overwrite --metadata */
extern const struct opt rows_compare[];   /* --checksum */
extern const struct opt rows_digest[];    /* --digest */
extern const struct opt rows_check[];     /* --deep --download --missing */
extern const struct opt rows_job[];       /* --job */
extern const struct opt rows_detach[];    /* --detach */
extern const struct opt rows_wait[];      /* --wait: stop */
extern const struct opt rows_watch[];     /* --watch: status */
extern const struct opt rows_output[];    /* -o: report */
extern const struct opt rows_batches[];   /* --max-batches */
extern const struct opt rows_keep_packs[];
extern const struct opt rows_xattrs[];      /* --xattrs: get */
extern const struct opt rows_repack[];      /* --keep-packs */
extern const struct opt rows_pack[];        /* --pack and what goes with it */
extern const struct opt rows_batch_size[];  /* --batch-bytes --batch-objects */
extern const struct opt rows_buckets[];     /* --bucket-objects */
extern const struct opt rows_make_bucket[]; /* --make-bucket */
extern const struct opt rows_export[];      /* --export */
extern const struct opt rows_repeat[];      /* --repeat */
extern const struct opt rows_transfer[]; /* --transfers --memory --bwlimit --tpslimit --retries */
extern const struct opt rows_network[];  /* --stall-timeout */
extern const struct opt rows_access[];   /* --endpoint-url --profile --region */
extern const struct opt rows_stored[];   /* --storage-class --acl */
extern const struct opt rows_doctor[];   /* --again */
extern const struct opt rows_uploads[];  /* --abort --older-than */
extern const struct opt rows_crawl[];    /* --crawlers */
extern const struct opt rows_listing[];  /* --format --output --max-depth --links: crawl */
extern const struct opt rows_long[];     /* -l: ls */
extern const struct opt rows_find[];     /* --regex --size --newer --type --all --offline --null */
extern const struct opt rows_progress[]; /* --progress */
extern const struct opt rows_json[];     /* --json */
extern const struct opt rows_common[];   /* --quiet --verbose --help: every verb */
extern const struct opt rows_help[];     /* --man --completion --json: lade help */
