#include "cli/rows.h"

#include "base/ban.h"
#include "base/digest.h"
#include "pack/query.h"

#include <assert.h>

#define FIELD(name) offsetof(struct settings, name)

/* The parser writes the index of a choice through an int, and bit i of a set for choice i. */
static_assert(sizeof(enum setting_links) == sizeof(int), "choices are ints");
static_assert(sizeof(enum setting_crawl_links) == sizeof(int), "choices are ints");
static_assert(sizeof(enum setting_format) == sizeof(int), "choices are ints");
static_assert(QUERY_FILE == 0 && QUERY_DIR == 1 && QUERY_LINK == 2 && QUERY_PACK == 3,
              "bits of --type");
static_assert(DIGEST_CRC64NVME == 1 && DIGEST_SHA256 == 2 && DIGEST_MD5 == 4, "bits of --digest");

static const char *const links_choices[] = { "keep", "follow", "skip", NULL };
static const char *const crawl_links_choices[] = { "auto", "keep", "follow", "skip", NULL };
static const char *const format_choices[] = { "desi", "jsonl", "csv", "ncdu", NULL };
static const char *const digest_choices[] = { "crc64nvme", "sha256", "md5", NULL };
static const char *const type_choices[] = { "file", "dir", "link", "pack", NULL };
static const char *const shell_choices[] = { "bash", "zsh", "fish", NULL };

const struct opt rows_file[] = {
    { .name = "file",
      .letter = 'f',
      .type = OPT_PATH,
      .offset = FIELD(file),
      .no_env = true,
      .group = OPT_GROUP_JOB,
      .arg = "FILE",
      .help = "take sources, target and options from a job file",
      .doc = "Take what is moved, where to, and the options from this INI file instead of from the "
             "command line. Its keys are root, target, release, subdir, common, and the names of "
             "the options of lade put; lade-run(1) tells them. An option that is given on the "
             "command line as well counts instead of that in the file." },
    { .name = "only",
      .type = OPT_STRING,
      .offset = FIELD(only),
      .no_env = true,
      .group = OPT_GROUP_ENTRIES,
      .arg = "PATH",
      .help = "with --file: only this part, by its name at the target",
      .doc = "Of what the job file selects take only this file or directory, which is named by its "
             "path below root, as it is named at the target. This is a job of its own, in its own "
             "directory." },
    { 0 },
};

const struct opt rows_keep_name[] = {
    { .name = "keep-name",
      .type = OPT_FLAG,
      .offset = FIELD(keep_name),
      .group = OPT_GROUP_NAMES,
      .help = "put a directory's own name below the destination",
      .doc = "Keep the last component of a directory's name: what it holds comes below DEST/NAME "
             "instead of directly below the destination. With several sources this is always so, "
             "since each of them keeps its name." },
    { 0 },
};

const struct opt rows_get[] = {
    { .name = "to",
      .type = OPT_PATH,
      .offset = FIELD(to),
      .no_env = true,
      .group = OPT_GROUP_NAMES,
      .arg = "FILE",
      .help = "write the one object to this file",
      .doc = "Fetch exactly one object and give it this name. No directory is named at the end of "
             "the command line then. A file of that name which differs is only replaced with "
             "--overwrite." },
    { .name = "glob",
      .type = OPT_FLAG,
      .offset = FIELD(glob),
      .group = OPT_GROUP_NAMES,
      .help = "take *, ? and [...] in locations as wildcards",
      .doc = "Locations are literal, since keys may well contain these characters. With this "
             "option, * and ? stand for characters other than a slash, ** for any characters, and "
             "[...] for one of a set. Put such locations in quotes, so that the shell leaves them "
             "alone." },
    { .name = "overwrite",
      .type = OPT_FLAG,
      .offset = FIELD(overwrite),
      .group = OPT_GROUP_ACTION,
      .help = "replace local files that differ",
      .doc = "Replace a file that is already there and has other content. Without this option it "
             "is left alone and reported as a conflict. The new content is verified under a "
             "temporary name first, so the old file is there until the new one is complete." },
    { 0 },
};

#define RULE_ORDER                                                                                 \
    "Rules of all filter options are tried in the order in which they are given, and the first "   \
    "that matches decides. "

const struct opt rows_setid[] = {
    { .name = "keep-setid",
      .type = OPT_FLAG,
      .offset = FIELD(keep_setid),
      .group = OPT_GROUP_ACTION,
      .help = "of an archive: keep set-user-id and set-group-id bits",
      .doc = "Members of an archive that have the set-user-id or set-group-id bit get it, too. "
             "Without this option they are files without it, since a program that runs as its "
             "owner is not to come from just anywhere." },
    { 0 },
};

const struct opt rows_archive[] = {
    { .name = "max-members",
      .type = OPT_COUNT,
      .offset = FIELD(max_members),
      .fallback = "10000000",
      .max = UINT64_MAX,
      .group = OPT_GROUP_LIMITS,
      .arg = "N",
      .help = "of an archive: read no more members than this, 0 = any number",
      .doc = "Give up an archive that has more than this many members. 0 is no limit." },
    { .name = "max-ratio",
      .type = OPT_COUNT,
      .offset = FIELD(max_ratio),
      .fallback = "1000",
      .max = UINT64_MAX,
      .group = OPT_GROUP_LIMITS,
      .arg = "N",
      .help = "of an archive: give at most N times its size, 0 = any amount",
      .doc =
          "Give up an archive that turns out to hold more than this many times its own size, and "
          "more than 1 GiB. Such an archive may be made to fill a disk; one of long runs of "
          "zeros may be honest. 0 is no limit." },
    { 0 },
};

const struct opt rows_filter[] = {
    { .name = "include",
      .type = OPT_RULE,
      .offset = FIELD(rules),
      .rule = SETTING_RULE_INCLUDE,
      .group = OPT_GROUP_ENTRIES,
      .arg = "PATTERN",
      .help = "take entries that match, and only what is included",
      .doc =
          RULE_ORDER "Patterns are those of rclone: * stands for characters other than a slash, "
                     "** for any characters, ? for one character, [...] for one of a set, "
                     "{a,b} for alternatives. A pattern that begins with a slash is anchored at "
                     "the root of the source, any other one matches the last names of a path. When "
                     "an include option is given, what no rule matches is left out." },
    { .name = "exclude",
      .type = OPT_RULE,
      .offset = FIELD(rules),
      .rule = SETTING_RULE_EXCLUDE,
      .group = OPT_GROUP_ENTRIES,
      .arg = "PATTERN",
      .help = "leave out entries that match",
      .doc = RULE_ORDER "A pattern that ends in a slash, or in a slash and two asterisks, leaves "
                        "out a directory with all that it holds, and the directory is not even "
                        "read." },
    { .name = "filter",
      .type = OPT_RULE,
      .offset = FIELD(rules),
      .rule = SETTING_RULE_FILTER,
      .group = OPT_GROUP_ENTRIES,
      .arg = "RULE",
      .help = "add a rule: '+ PATTERN', '- PATTERN' or '!'",
      .doc =
          RULE_ORDER "A rule is a plus sign, a blank and a pattern to take what matches, a minus "
                     "sign, a blank and a pattern to leave it out, or an exclamation mark to "
                     "forget all rules before it. What no rule matches is taken." },
    { .name = "include-from",
      .type = OPT_RULE,
      .offset = FIELD(rules),
      .rule = SETTING_RULE_INCLUDE_FROM,
      .group = OPT_GROUP_ENTRIES,
      .arg = "FILE",
      .help = "read patterns to include from a file",
      .doc = "Read patterns for --include from a file, one in a line. Empty lines and lines that "
             "begin with # or ; are passed over. The file - is standard input." },
    { .name = "exclude-from",
      .type = OPT_RULE,
      .offset = FIELD(rules),
      .rule = SETTING_RULE_EXCLUDE_FROM,
      .group = OPT_GROUP_ENTRIES,
      .arg = "FILE",
      .help = "read patterns to exclude from a file",
      .doc = "Read patterns for --exclude from a file, one in a line. Empty lines and lines that "
             "begin with # or ; are passed over. The file - is standard input." },
    { .name = "filter-from",
      .type = OPT_RULE,
      .offset = FIELD(rules),
      .rule = SETTING_RULE_FILTER_FROM,
      .group = OPT_GROUP_ENTRIES,
      .arg = "FILE",
      .help = "read filter rules from a file",
      .doc = "Read rules for --filter from a file, one in a line. Empty lines and lines that begin "
             "with # or ; are passed over. The file - is standard input." },
    { 0 },
};

const struct opt rows_source[] = {
    { .name = "files-from",
      .type = OPT_PATH,
      .offset = FIELD(files_from),
      .group = OPT_GROUP_ENTRIES,
      .arg = "FILE",
      .help = "take exactly the paths listed in a file",
      .doc = "Take exactly the paths that the file lists, one in a line, relative to the source "
             "directory. The source is not crawled. A path that is not there is reported as "
             "failed. The file - is standard input. With --null, names end in a NUL byte instead "
             "of a newline, so any name can be listed." },
    { .name = "null",
      .letter = '0',
      .type = OPT_FLAG,
      .offset = FIELD(null_separated),
      .group = OPT_GROUP_ENTRIES,
      .help = "names in --files-from end in NUL, not newline",
      .doc = "Names in the file of --files-from end in a NUL byte instead of a newline, as find "
             "-print0 writes them." },
    { 0 },
};

const struct opt rows_from[] = {
    { .name = "from",
      .type = OPT_PATH,
      .offset = FIELD(from),
      .no_env = true,
      .group = OPT_GROUP_ENTRIES,
      .arg = "LISTING",
      .help = "take a listing of lade crawl instead of crawling",
      .doc =
          "Take names, sizes and what else it tells from a listing that lade crawl wrote, in the "
          "format desi or jsonl, instead of crawling the directory again. Paths that would lead "
          "out of the directory are refused. The file - is standard input. What is moved is "
          "always what is there then. The format desi knows no links, so they are followed, unless "
          "--links is skip." },
    { 0 },
};

const struct opt rows_one_file_system[] = {
    { .name = "one-file-system",
      .letter = 'x',
      .type = OPT_FLAG,
      .offset = FIELD(one_file_system),
      .group = OPT_GROUP_ENTRIES,
      .help = "stay on the file system of the source",
      .doc = "Do not go down into directories that lie on another file system than the source "
             "itself, such as mount points. They are reported as skipped." },
    { 0 },
};

const struct opt rows_fallback[] = {
    { .name = "fallback-root",
      .type = OPT_PATH,
      .offset = FIELD(fallback_root),
      .group = OPT_GROUP_ENTRIES,
      .arg = "DIR",
      .help = "read here what cannot be read at the source",
      .doc = "A second way to the same data, such as another mount of the file system. A file or "
             "directory that cannot be read at the source (no permission, input/output error, "
             "gone since it was listed) is read below DIR, under the name that it has below the "
             "destination. How many were is told at the end. It can also be given when an "
             "unfinished job is continued." },
    { 0 },
};

const struct opt rows_links[] = {
    { .name = "links",
      .type = OPT_CHOICE,
      .offset = FIELD(links),
      .fallback = "keep",
      .choices = links_choices,
      .group = OPT_GROUP_ENTRIES,
      .arg = "HOW",
      .help = "symbolic links: keep, follow or skip",
      .doc =
          "What becomes of symbolic links. With keep, the link itself is stored, as an object "
          "NAME.rclonelink that holds its target, and lade get makes a link of it again. With "
          "follow, what the link points to is stored in its place. With skip, links are left out "
          "and reported as skipped." },
    { .name = "copy-links",
      .letter = 'L',
      .type = OPT_CHOICE,
      .offset = FIELD(links),
      .choices = links_choices,
      .implied = "follow",
      .group = OPT_GROUP_ENTRIES,
      .help = "the same as --links follow",
      .doc = "The same as --links follow. Of both options the last one counts." },
    { 0 },
};

const struct opt rows_listing[] = {
    { .name = "format",
      .type = OPT_CHOICE,
      .offset = FIELD(format),
      .fallback = "desi",
      .choices = format_choices,
      .group = OPT_GROUP_OUTPUT,
      .arg = "FORMAT",
      .help = "format of the listing: desi, jsonl, csv or ncdu",
      .doc =
          "With desi, one JSON value of nested arrays, each with name, type (0 directory, 1 file, "
          "-1 neither), size and children; the size of a directory is that of all files below "
          "it. With jsonl, a JSON object in a line for each entry, with times and modes. With "
          "csv, the same as a table. With ncdu, what ncdu reads with its option -f." },
    { .name = "output",
      .letter = 'o',
      .type = OPT_PATH,
      .offset = FIELD(output),
      .no_env = true,
      .group = OPT_GROUP_OUTPUT,
      .arg = "FILE",
      .help = "write the listing to this file",
      .doc =
          "Write the listing to this file, which appears whole or not at all, and the summary to "
          "standard output. Without it, or with -, the listing goes to standard output and the "
          "summary to standard error." },
    { .name = "max-depth",
      .type = OPT_COUNT,
      .offset = FIELD(max_depth),
      .fallback = "0",
      .max = UINT32_MAX,
      .group = OPT_GROUP_ENTRIES,
      .arg = "N",
      .help = "list no deeper than N levels, 0 = all",
      .doc = "List only what lies at most N levels below the directory, 1 being what it holds "
             "itself. What lies deeper is read all the same: it counts in the sizes of directories "
             "and in the summary." },
    { .name = "links",
      .type = OPT_CHOICE,
      .offset = FIELD(crawl_links),
      .fallback = "auto",
      .choices = crawl_links_choices,
      .group = OPT_GROUP_ENTRIES,
      .arg = "HOW",
      .help = "symbolic links: auto, keep, follow or skip",
      .doc = "What is listed for a symbolic link. With keep, the link itself, of type -1 in the "
             "format desi. With follow, what it points to; a link to nothing, or to a directory "
             "above it, is still listed as a link. With skip, nothing. With auto, links are "
             "followed in the format desi, as find.py does it, and kept in the others." },
    { 0 },
};

const struct opt rows_recursive[] = {
    { .name = "recursive",
      .letter = 'R',
      .type = OPT_FLAG,
      .offset = FIELD(recursive),
      .group = OPT_GROUP_ENTRIES,
      .help = "list all keys below, not only the next level",
      .doc = "List every key below the location. Without this option, what lies behind the next "
             "slash of a key is shown as one line that ends in a slash, as a directory." },
    { 0 },
};

const struct opt rows_remove[] = {
    { .name = "recursive",
      .letter = 'r',
      .type = OPT_FLAG,
      .offset = FIELD(recursive),
      .no_env = true,
      .group = OPT_GROUP_ENTRIES,
      .help = "remove all keys below the location",
      .doc =
          "Remove every key below the location. Without this option a location names exactly one "
          "object, and a location that ends in a slash is refused." },
    { 0 },
};

const struct opt rows_dry_run[] = {
    { .name = "dry-run",
      .letter = 'n',
      .type = OPT_FLAG,
      .offset = FIELD(dry_run),
      .group = OPT_GROUP_ACTION,
      .help = "only tell what would be done",
      .doc =
          "Move and change nothing. One line is written for each entry that would be worked on, "
          "from the first second on, and the totals at the end. Nothing is kept: no job is made.",
      .aliases = { "dryrun" } },
    { 0 },
};

const struct opt rows_put[] = {
    { .name = "immutable",
      .type = OPT_FLAG,
      .offset = FIELD(immutable),
      .not_with = "overwrite",
      .group = OPT_GROUP_ACTION,
      .help = "never replace an object",
      .doc = "Never replace an object that exists at the destination, whoever wrote it. An entry "
             "whose object exists with other content is reported as a conflict." },
    { .name = "overwrite",
      .type = OPT_FLAG,
      .offset = FIELD(overwrite),
      .group = OPT_GROUP_ACTION,
      .help = "replace also objects that someone else changed",
      .doc = "Replace an object also when it is not the one that this job stored there, because "
             "someone else changed it since. Without this option such an object is left alone and "
             "reported as a conflict." },
    { .name = "metadata",
      .type = OPT_PAIR,
      .offset = FIELD(metadata),
      .group = OPT_GROUP_ACTION,
      .arg = "NAME=VALUE",
      .help = "store this with every object",
      .doc =
          "Store a name and a value as metadata with each object that is uploaded. Give the "
          "option again for more of them. The plan refuses metadata that the store cannot hold." },
    { 0 },
};

const struct opt rows_compare[] = {
    { .name = "checksum",
      .letter = 'c',
      .type = OPT_FLAG,
      .offset = FIELD(checksum),
      .group = OPT_GROUP_PROOF,
      .help = "compare by content, not by size and time",
      .doc = "Decide by content whether an entry is unchanged. Without this option, equal size and "
             "modification time are enough. Every file of the source is read for this." },
    { 0 },
};

const struct opt rows_digest[] = {
    { .name = "digest",
      .type = OPT_SET,
      .offset = FIELD(digests),
      .fallback = "crc64nvme",
      .choices = digest_choices,
      .group = OPT_GROUP_PROOF,
      .arg = "LIST",
      .help = "record these digests: crc64nvme, sha256, md5",
      .doc = "Record these digests of the content of each object, as a list with commas. A "
             "CRC-64/NVME is always recorded; SHA-256 and MD5 take processor time, 0.7 and 1.6 "
             "seconds for each gigabyte." },
    { 0 },
};

const struct opt rows_check[] = {
    { .name = "deep",
      .type = OPT_FLAG,
      .offset = FIELD(deep),
      .group = OPT_GROUP_PROOF,
      .help = "read the source again",
      .doc =
          "Read the content of the source again and compare its digest with the recorded one. "
          "Without this option, a file whose size and modification time are as recorded is taken "
          "to have the recorded content." },
    { .name = "download",
      .type = OPT_FLAG,
      .offset = FIELD(download),
      .group = OPT_GROUP_PROOF,
      .help = "read the stored bytes too",
      .doc = "Fetch the stored bytes and digest them, instead of trusting what the store says "
             "about them. Nothing is kept of what is fetched." },
    { .name = "missing",
      .type = OPT_PATH,
      .offset = FIELD(missing),
      .no_env = true,
      .group = OPT_GROUP_OUTPUT,
      .arg = "FILE",
      .help = "write what is missing or different to a file",
      .doc = "Write the path of every entry that is missing or different to this file, each ended "
             "by a NUL byte, so that lade put --null --files-from takes it as it is. The file "
             "appears when the check is complete, and is empty when all is well." },
    { 0 },
};

const struct opt rows_job[] = {
    { .name = "job",
      .type = OPT_PATH,
      .offset = FIELD(job),
      .group = OPT_GROUP_JOB,
      .arg = "DIR",
      .help = "keep the plan and its progress here",
      .doc =
          "The directory of the job: the plan, and how far it has got. It is made when it is not "
          "there. Giving the same job again continues it. Without this option the directory is "
          "below $XDG_STATE_HOME/lade/jobs and named from sources and destination, so that the "
          "same command finds it again." },
    { 0 },
};

const struct opt rows_detach[] = {
    { .name = "detach",
      .type = OPT_FLAG,
      .offset = FIELD(detach),
      .no_env = true,
      .group = OPT_GROUP_JOB,
      .not_with = "dry-run",
      .help = "go on in the background, also after logout",
      .doc = "Return as soon as the work is under way, and go on in the background, also when the "
             "terminal or the session ends. What would be shown is appended to the file 'log' in "
             "the directory of the job, each line with its time. 'lade attach' shows the progress, "
             "'lade stop' ends it. What goes wrong before the work begins is told at once, with "
             "the exit status that it has otherwise." },
    { 0 },
};

const struct opt rows_wait[] = {
    { .name = "wait",
      .type = OPT_COUNT,
      .offset = FIELD(wait_s),
      .fallback = "30",
      .max = 86400,
      .no_env = true,
      .group = OPT_GROUP_JOB,
      .arg = "SECONDS",
      .help = "how long to wait until it is gone",
      .doc = "Wait at most this long until every process is gone. One that is still there then is "
             "named, and the exit status is 3." },
    { 0 },
};

const struct opt rows_watch[] = {
    { .name = "watch",
      .letter = 'w',
      .type = OPT_FLAG,
      .offset = FIELD(watch),
      .no_env = true,
      .group = OPT_GROUP_OUTPUT,
      .not_with = "json",
      .help = "go on telling until the job ends",
      .doc = "Show the progress each second until nobody works on the job any more, then the "
             "status. Where standard error is no terminal, a line is written now and then." },
    { 0 },
};

const struct opt rows_output[] = {
    { .name = "output",
      .letter = 'o',
      .type = OPT_PATH,
      .offset = FIELD(output),
      .no_env = true,
      .group = OPT_GROUP_OUTPUT,
      .arg = "FILE",
      .help = "write the report to this file, - = standard output",
      .doc = "Write the report to this file, which is replaced when it is there, or to standard "
             "output with '-'. Without this option it is 'report.html' in the directory of the "
             "job." },
    { 0 },
};

const struct opt rows_batches[] = {
    { .name = "max-batches",
      .type = OPT_COUNT,
      .offset = FIELD(max_batches),
      .fallback = "0",
      .max = UINT32_MAX,
      .no_env = true,
      .group = OPT_GROUP_JOB,
      .arg = "N",
      .help = "stop after N batches, 0 = do all",
      .doc = "Stop when this many batches are done. The exit status is 5 while there are batches "
             "left, and the same command goes on with them.",
      .aliases = { "max-dirs" } },
    { .name = "until",
      .type = OPT_STRING,
      .offset = FIELD(until),
      .no_env = true,
      .group = OPT_GROUP_JOB,
      .arg = "TIME",
      .help = "begin nothing any more from then on: 07:30, +2h",
      .doc =
          "Stop at this time: what is being moved then is finished, or its finished parts are "
          "kept, "
          "and nothing else is begun. The exit status is 5 while there is something left. A time "
          "of day (07:30, the next one), a moment (2026-11-22T07:30, local time) or a span from "
          "now on (90m, +2h)." },
    { 0 },
};

const struct opt rows_batch_size[] = {
    { .name = "batch-bytes",
      .type = OPT_STRING,
      .offset = FIELD(batch_bytes),
      .group = OPT_GROUP_JOB,
      .arg = "MIN..MAX",
      .help = "size of a batch: 10GB..1TB",
      .doc =
          "How large batches are. A batch ends with a directory as soon as it has MIN bytes (or "
          "the "
          "entries of --batch-objects), so that whole directories stay together and small ones are "
          "merged; at MAX it ends anywhere. One number is MIN, and MAX is twice that. Default: "
          "10GB..1TB." },
    { .name = "batch-objects",
      .type = OPT_COUNT,
      .offset = FIELD(batch_objects),
      .fallback = "50000",
      .min = 1,
      .max = 65000,
      .group = OPT_GROUP_JOB,
      .arg = "N",
      .help = "entries of a batch, after which it ends with a directory",
      .doc = "A batch ends with a directory as soon as it has N entries; at 65,535 it ends "
             "anywhere. The "
             "first batches are smaller, so that the transfer starts early." },
    { 0 },
};

const struct opt rows_pack[] = {
    { .name = "pack",
      .type = OPT_STRING,
      .offset = FIELD(pack),
      .fallback = "off",
      .bare = "auto",
      .group = OPT_GROUP_ACTION,
      .arg = "MODE",
      .help = "store small files in packs: auto, off, or a number of levels",
      .doc =
          "Store many files as one object: a .tar.zst with an index, in which one file can be "
          "found "
          "and fetched. With auto (or no value), files below --pack-below go into packs of "
          "--pack-size, a directory's files together where that fits, and larger ones are objects "
          "of their own. A number makes exactly one pack of each directory that many levels below "
          "SRC, whatever its size: 0 is one pack of everything, 1 a pack of each directory in SRC; "
          "files above that level are objects of their own." },
    { .name = "pack-below",
      .type = OPT_BYTES,
      .offset = FIELD(pack_below_bytes),
      .fallback = "8M",
      .min = 1,
      .max = UINT64_C(8) << 20,
      .group = OPT_GROUP_ACTION,
      .arg = "SIZE",
      .help = "--pack=auto: pack files smaller than this",
      .doc = "With --pack=auto, files smaller than this go into packs; at most 8M." },
    { .name = "pack-size",
      .type = OPT_BYTES,
      .offset = FIELD(pack_bytes),
      .fallback = "0",
      .max = UINT64_C(1) << 40,
      .group = OPT_GROUP_ACTION,
      .arg = "SIZE",
      .help = "--pack=auto: content of a pack, 0 = by the size of all",
      .doc = "With --pack=auto, a pack has about so much content. With 0 it grows with the size of "
             "all, from 64M to 1G." },
    { .name = "level",
      .type = OPT_COUNT,
      .offset = FIELD(compress_level),
      .fallback = "1",
      .min = 1,
      .max = 19,
      .group = OPT_GROUP_ACTION,
      .arg = "N",
      .help = "compress packs that hard, 1 to 19",
      .doc = "The level of zstd for packs, from 1 (fast) to 19. What does not compress is stored "
             "as it is at any level." },
    { .name = "compress",
      .type = OPT_SWITCH,
      .offset = FIELD(compress),
      .group = OPT_GROUP_ACTION,
      .help = "--no-compress: packs are plain .tar, with an index beside",
      .doc = "With --no-compress, packs are plain tar files, NAME.tar, each with its index as an "
             "object beside it, NAME.tar.index." },
    { .name = "xattrs",
      .type = OPT_FLAG,
      .offset = FIELD(xattrs),
      .group = OPT_GROUP_ACTION,
      .help = "keep extended attributes and ACLs in packs",
      .doc = "Keep extended attributes and POSIX ACLs of files and directories in packs: user.*, "
             "security.capability, and the ACLs. What becomes an object of its own cannot have "
             "them: each such entry that has some is named in a warning. Goes with --pack only." },
    { 0 },
};

const struct opt rows_repack[] = {
    { .name = "pack-size",
      .type = OPT_BYTES,
      .offset = FIELD(pack_bytes),
      .fallback = "0",
      .max = UINT64_C(1) << 40,
      .group = OPT_GROUP_ACTION,
      .arg = "SIZE",
      .help = "content of a new pack, 0 = by the size of all",
      .doc = "A new pack has about so much content, and packs of less than half of it are small. "
             "With 0 it grows with the size of all, from 64M to 1G." },
    { .name = "min-live",
      .type = OPT_STRING,
      .offset = FIELD(min_live),
      .fallback = "50%",
      .group = OPT_GROUP_ACTION,
      .arg = "PERCENT",
      .help = "rewrite packs of which less than this is live",
      .doc = "A pack is mostly stale, and rewritten, when less than this part of its content, in "
             "percent, is what a get would fetch from it." },
    { .name = "level",
      .type = OPT_COUNT,
      .offset = FIELD(compress_level),
      .fallback = "1",
      .min = 1,
      .max = 19,
      .group = OPT_GROUP_ACTION,
      .arg = "N",
      .help = "compress new packs that hard, 1 to 19",
      .doc = "The level of zstd for new packs, from 1 (fast) to 19. What does not compress is "
             "stored as it is at any level." },
    { .name = "compress",
      .type = OPT_SWITCH,
      .offset = FIELD(compress),
      .group = OPT_GROUP_ACTION,
      .help = "--no-compress: new packs are plain .tar, with an index beside",
      .doc = "With --no-compress, new packs are plain tar files, NAME.tar, each with its index as "
             "an object beside it, NAME.tar.index; whatever the old ones are." },
    { .name = "transfers",
      .type = OPT_COUNT,
      .offset = FIELD(transfers),
      .fallback = "0",
      .max = 64,
      .group = OPT_GROUP_LIMITS,
      .arg = "N",
      .help = "new packs that are made at once, 0 = 4",
      .doc = "At most this many new packs are made at the same time. Each takes up to about 250M "
             "of memory where many old packs have a part in it." },
    { .name = "bwlimit",
      .type = OPT_RATE,
      .offset = FIELD(bwlimit_bytes_per_s),
      .fallback = "0",
      .group = OPT_GROUP_LIMITS,
      .arg = "RATE",
      .help = "bytes a second that are stored, 0 = no limit",
      .doc = "At most so many bytes a second are sent to the store. About as many are read from "
             "it meanwhile." },
    { 0 },
};

const struct opt rows_keep_packs[] = {
    { .name = "keep-packs",
      .type = OPT_FLAG,
      .offset = FIELD(keep_packs),
      .group = OPT_GROUP_ACTION,
      .help = "fetch packs as they are, not what is in them",
      .doc = "A pack is fetched as the file that it is. Without this option the entries in it are "
             "fetched, as if each were an object." },
    { 0 },
};

const struct opt rows_xattrs[] = {
    { .name = "xattrs",
      .type = OPT_FLAG,
      .offset = FIELD(xattrs),
      .group = OPT_GROUP_ACTION,
      .help = "set extended attributes and ACLs that packs keep",
      .doc =
          "Set the extended attributes and ACLs that 'lade put --xattrs' kept in packs. What the "
          "file system or this user's rights refuse is named in a warning, and is no failure." },
    { 0 },
};

const struct opt rows_buckets[] = {
    { .name = "bucket-objects",
      .type = OPT_COUNT,
      .offset = FIELD(bucket_objects),
      .fallback = "0",
      .max = UINT32_MAX,
      .group = OPT_GROUP_NAMES,
      .arg = "N",
      .help = "at most N objects in a bucket, the next go to BUCKET-2",
      .doc =
          "Put at most N objects into one bucket. When it is full, the next ones go to BUCKET-2, "
          "then to BUCKET-3, which are made when they are needed; where the template of the "
          "location has a component at the end of the bucket's name, to BUCKET--2 and so on. "
          "All objects that are in a bucket when the plan begins count, also those of others. "
          "What is there already is replaced where it is. To read what was spread so, give the "
          "option too: then all numbered buckets are looked into, whatever N is. A template "
          "does that by itself. 0 = no limit." },
    { 0 },
};

const struct opt rows_make_bucket[] = {
    { .name = "make-bucket",
      .type = OPT_FLAG,
      .offset = FIELD(make_bucket),
      .group = OPT_GROUP_NAMES,
      .help = "make buckets of the destination that are missing",
      .doc = "Make a bucket that is missing when something is to be put into it. Without this "
             "option it is an error, since a mistyped name would become a bucket that belongs to "
             "someone and costs money. It can be given late, to go on with a job that met a "
             "missing bucket." },
    { 0 },
};

const struct opt rows_export[] = {
    { .name = "export",
      .type = OPT_STRING,
      .offset = FIELD(export),
      .no_env = true,
      .group = OPT_GROUP_JOB,
      .arg = "FILE",
      .help = "write the batches as batch.json",
      .doc =
          "Write the batches of the plan as JSON: the paths that are completed, queued and failed, "
          "whole directories where that can be. '-' is standard output." },
    { .name = "rate",
      .type = OPT_RATE,
      .offset = FIELD(rate_bytes_per_s),
      .fallback = "0",
      .group = OPT_GROUP_JOB,
      .arg = "RATE",
      .help = "tell how long the plan takes at so many bytes a second",
      .doc = "Tell how long the plan takes at this rate (100MB), and at --tpslimit requests a "
             "second." },
    { .name = "site",
      .type = OPT_STRING,
      .offset = FIELD(site),
      .group = OPT_GROUP_JOB,
      .arg = "FILE",
      .help = "prices and limits of the place, for the plan",
      .doc = "An INI file of what the place charges and allows. [limits]: quota = 10TB, "
             "bucket-objects = 500000, quota-contact = ADDRESS. [prices]: currency = USD, "
             "per-1000-writes, per-1000-reads, per-gb-month, per-gb-in. The plan tells the price, "
             "and what is beyond a limit." },
    { 0 },
};

const struct opt rows_repeat[] = {
    { .name = "repeat",
      .type = OPT_FLAG,
      .offset = FIELD(repeat),
      .no_env = true,
      .group = OPT_GROUP_JOB,
      .help = "with --max-batches: go on until nothing is left",
      .doc = "Run again as long as batches are left after --max-batches of them, with a summary of "
             "each round, instead of leaving with status 5." },
    { 0 },
};

const struct opt rows_transfer[] = {
    { .name = "transfers",
      .type = OPT_COUNT,
      .offset = FIELD(transfers),
      .fallback = "0",
      .max = 1024,
      .group = OPT_GROUP_LIMITS,
      .arg = "N",
      .help = "objects or parts on their way at once, 0 = as the store likes",
      .doc = "At most this many objects, or parts of large objects, are on their way at the same "
             "time. It is a ceiling: fewer are used when the store asks for less. With 0, the "
             "number that is good for the kind of store is taken." },
    { .name = "memory",
      .type = OPT_BYTES,
      .offset = FIELD(memory_bytes),
      .fallback = "512M",
      .min = UINT64_C(16) * 1024 * 1024,
      .max = UINT64_C(1) << 50,
      .group = OPT_GROUP_LIMITS,
      .arg = "SIZE",
      .help = "memory for data on its way",
      .doc = "Memory for data on its way, at least 16M. Transfers wait for each other when it is "
             "used up. It does not depend on the number of files. K, M and G are powers of 1024; "
             "KB, MB and GB are powers of 1000." },
    { .name = "bwlimit",
      .type = OPT_RATE,
      .offset = FIELD(bwlimit_bytes_per_s),
      .fallback = "off",
      .group = OPT_GROUP_LIMITS,
      .arg = "RATE",
      .help = "move at most this many bytes a second",
      .doc = "Move at most this many bytes a second over all transfers together, such as 10M or "
             "125MB/s. With off there is no limit." },
    { .name = "tpslimit",
      .type = OPT_COUNT,
      .offset = FIELD(requests_per_s),
      .fallback = "0",
      .max = 1000000,
      .group = OPT_GROUP_LIMITS,
      .arg = "N",
      .help = "send at most N requests a second, 0 = no limit",
      .doc = "Send at most this many requests a second to the store, over all transfers together. "
             "It is for stores that count requests; directories have none." },
    { .name = "retries",
      .type = OPT_COUNT,
      .offset = FIELD(retries),
      .fallback = "5",
      .max = 1000,
      .group = OPT_GROUP_LIMITS,
      .arg = "N",
      .help = "try a request again this often",
      .doc =
          "Try again this often, with growing pauses, when a request failed in a way that trying "
          "again can help. After that the entry is reported as failed, and running the same "
          "command again tries it anew." },
    { 0 },
};

const struct opt rows_access[] = {
    { .name = "endpoint-url",
      .type = OPT_STRING,
      .offset = FIELD(access.endpoint_url),
      .group = OPT_GROUP_ACCESS,
      .arg = "URL",
      .help = "reach s3:// at this server",
      .doc = "The server that s3:// locations are at, such as https://a3s.fi. Without this option "
             "it is what AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL says, or endpoint_url in the "
             "profile, else Amazon's own of the region. Only with http:// nothing is encrypted." },
    { .name = "profile",
      .type = OPT_STRING,
      .offset = FIELD(access.profile),
      .group = OPT_GROUP_ACCESS,
      .arg = "NAME",
      .help = "take credentials and settings of this profile",
      .doc = "The profile in ~/.aws/config and ~/.aws/credentials that credentials, region and "
             "endpoint are taken from, also when the environment has credentials. Without this "
             "option it is what AWS_PROFILE says, else default." },
    { .name = "region",
      .type = OPT_STRING,
      .offset = FIELD(access.region),
      .group = OPT_GROUP_ACCESS,
      .arg = "NAME",
      .help = "the region of the bucket",
      .doc = "The region to sign requests for. Without this option it is what AWS_REGION or "
             "AWS_DEFAULT_REGION says, or region in the profile. A server that names another "
             "region for the bucket is believed." },
    { 0 },
};

const struct opt rows_network[] = {
    { .name = "stall-timeout",
      .type = OPT_COUNT,
      .offset = FIELD(stall_s),
      .fallback = "30",
      .min = 1,
      .max = 86400,
      .group = OPT_GROUP_LIMITS,
      .arg = "SECONDS",
      .help = "give up a request that stands still this long",
      .doc = "A request over which less than 1 KiB a second came or went for so many seconds is "
             "given up and tried again. Time spent reading or writing files does not count." },
    { 0 },
};

const struct opt rows_stored[] = {
    { .name = "storage-class",
      .type = OPT_STRING,
      .offset = FIELD(access.storage_class),
      .group = OPT_GROUP_ACCESS,
      .arg = "NAME",
      .help = "store objects in this class",
      .doc = "The storage class of objects that are stored in S3, such as STANDARD_IA. Which there "
             "are, the store decides." },
    { .name = "acl",
      .type = OPT_STRING,
      .offset = FIELD(access.acl),
      .group = OPT_GROUP_ACCESS,
      .arg = "NAME",
      .help = "give objects this canned access list",
      .doc = "The canned access control list of objects that are stored in S3, such as "
             "bucket-owner-full-control, which lets the owner of a bucket read what others store "
             "in it." },
    { 0 },
};

const struct opt rows_doctor[] = {
    { .name = "again",
      .type = OPT_FLAG,
      .offset = FIELD(again),
      .no_env = true,
      .group = OPT_GROUP_ACTION,
      .help = "try out anew what the server can do",
      .doc = "Try out anew what the server supports and verifies, instead of believing what was "
             "learnt in the last two weeks, and keep that." },
    { 0 },
};

const struct opt rows_uploads[] = {
    { .name = "abort",
      .type = OPT_FLAG,
      .offset = FIELD(abort_uploads),
      .no_env = true,
      .group = OPT_GROUP_ACTION,
      .help = "end the uploads and free their space",
      .doc = "End every upload that is listed, whoever began it. What its parts hold is gone, and "
             "a transfer that still works on it has to begin that object again." },
    { .name = "older-than",
      .type = OPT_STRING,
      .offset = FIELD(older_than),
      .no_env = true,
      .group = OPT_GROUP_ENTRIES,
      .arg = "AGE",
      .help = "only uploads begun longer ago: 30m, 12h, 7d",
      .doc = "Only list, or end, uploads that were begun at least so long ago: a number of seconds "
             "s, minutes m, hours h, days d or weeks w." },
    { 0 },
};

const struct opt rows_crawl[] = {
    { .name = "crawlers",
      .aliases = { "max-workers" },
      .type = OPT_COUNT,
      .offset = FIELD(crawlers),
      .fallback = "0",
      .max = 128,
      .group = OPT_GROUP_LIMITS,
      .arg = "N",
      .help = "threads that read directories, 0 = adapt",
      .doc = "Read this many directories of the source at once. Parallel file systems gain from "
             "many, a local disk does not. With 0 the number adapts itself." },
    { 0 },
};

const struct opt rows_long[] = {
    { .name = "long",
      .letter = 'l',
      .type = OPT_FLAG,
      .offset = FIELD(long_format),
      .group = OPT_GROUP_OUTPUT,
      .help = "show size, date and key in columns",
      .doc = "Write one line for each key with its size in bytes, its date in local time, and the "
             "key. The columns keep their widths over the whole listing." },
    { 0 },
};

const struct opt rows_find[] = {
    { .name = "regex",
      .letter = 'E',
      .type = OPT_FLAG,
      .offset = FIELD(regex),
      .no_env = true,
      .group = OPT_GROUP_NAMES,
      .help = "the pattern is a regular expression",
      .doc =
          "Take the pattern for one POSIX extended regular expression, as grep -E does, and look "
          "for it anywhere in the path. It tells small letters from capital ones, and works on "
          "bytes." },
    { .name = "size",
      .type = OPT_STRING,
      .offset = FIELD(size),
      .no_env = true,
      .group = OPT_GROUP_ENTRIES,
      .arg = "RANGE",
      .help = "only sizes in this range: +10M, -10K, 10K..1M",
      .doc = "Only what has a size in this range: +10M is more than that, -10K less, 10K..1M from "
             "the one to the other, both included, and 10K exactly that. Directories have no "
             "size." },
    { .name = "newer",
      .type = OPT_STRING,
      .offset = FIELD(newer),
      .no_env = true,
      .group = OPT_GROUP_ENTRIES,
      .arg = "WHEN",
      .help = "only what was modified since: 7d, 2026-11-22",
      .doc = "Only what was modified after a moment: so long ago (30m, 12h, 7d, 2w), at the "
             "beginning of a day (2026-11-22), or at a time ('2026-11-22 07:30', or 07:30, which "
             "is the last one). Of an object in S3 it is the time at which it was stored, since a "
             "listing has no other." },
    { .name = "type",
      .type = OPT_SET,
      .offset = FIELD(types),
      .no_env = true,
      .choices = type_choices,
      .group = OPT_GROUP_ENTRIES,
      .arg = "LIST",
      .help = "only these kinds: file, dir, link, pack",
      .doc = "Only what is of one of these kinds, a list with commas. A pack is an object that "
             "holds others; it is no file here." },
    { .name = "all",
      .type = OPT_FLAG,
      .offset = FIELD(all_versions),
      .no_env = true,
      .group = OPT_GROUP_ENTRIES,
      .help = "show older versions in packs too",
      .doc = "Show what is in older packs also when a newer pack or an object has the same name, "
             "or says that it is gone." },
    { .name = "offline",
      .type = OPT_FLAG,
      .offset = FIELD(offline),
      .group = OPT_GROUP_ACTION,
      .help = "ask no server, search what is remembered",
      .doc = "Send no request: search each place as it was when lade find looked at it last." },
    { .name = "null",
      .letter = '0',
      .type = OPT_FLAG,
      .offset = FIELD(end_in_nul),
      .no_env = true,
      .group = OPT_GROUP_OUTPUT,
      .help = "end each location in NUL, not newline",
      .doc = "End each location in a NUL byte instead of a newline, for programs such as xargs -0: "
             "names may hold newlines." },
    { 0 },
};

const struct opt rows_progress[] = {
    { .name = "progress",
      .letter = 'P',
      .type = OPT_SWITCH,
      .offset = FIELD(progress),
      .group = OPT_GROUP_OUTPUT,
      .help = "show progress also when there is no terminal",
      .doc = "Show progress. On a terminal this is so anyway and --no-progress turns it off. "
             "Elsewhere a line is written to standard error now and then." },
    { 0 },
};

const struct opt rows_json[] = {
    { .name = "json",
      .type = OPT_FLAG,
      .offset = FIELD(json),
      .group = OPT_GROUP_OUTPUT,
      .help = "write results as JSON, one value in a line",
      .doc =
          "Write results to standard output as JSON, one value in a line. A byte of a name that is "
          "not part of valid UTF-8 is written as the lone surrogate U+DC80 to U+DCFF, as Python's "
          "surrogateescape does, so the name can be had back." },
    { 0 },
};

const struct opt rows_common[] = {
    { .name = "quiet",
      .letter = 'q',
      .type = OPT_FLAG,
      .offset = FIELD(quiet),
      .group = OPT_GROUP_OUTPUT,
      .help = "write only results and errors",
      .doc = "Write nothing to standard error but errors. Results on standard output are written "
             "all the same." },
    { .name = "verbose",
      .letter = 'v',
      .type = OPT_TALLY,
      .offset = FIELD(verbose),
      .max = 3,
      .group = OPT_GROUP_OUTPUT,
      .help = "tell more; give it again for still more",
      .doc = "Tell more on standard error about what is done. Given twice, a line is written for "
             "every file." },
    { .name = "help",
      .letter = 'h',
      .type = OPT_FLAG,
      .offset = FIELD(help),
      .no_env = true,
      .group = OPT_GROUP_OUTPUT,
      .help = "show this help",
      .doc = "Show a summary of the verb and of its options, and do nothing else." },
    { 0 },
};

const struct opt rows_help[] = {
    { .name = "man",
      .type = OPT_STRING,
      .offset = FIELD(man),
      .no_env = true,
      .group = OPT_GROUP_OUTPUT,
      .arg = "VERB",
      .help = "write the manual page of a verb, or of lade",
      .doc =
          "Write the source of the manual page of a verb, or of lade itself, to standard output. "
          "An operand names the file with the prose of the page." },
    { .name = "completion",
      .type = OPT_STRING,
      .offset = FIELD(completion),
      .choices = shell_choices,
      .no_env = true,
      .group = OPT_GROUP_OUTPUT,
      .arg = "SHELL",
      .help = "write the completion script for bash, zsh or fish",
      .doc = "Write a script to standard output that lets this shell complete verbs, options and "
             "their values." },
    { .name = "json",
      .type = OPT_FLAG,
      .offset = FIELD(json),
      .no_env = true,
      .group = OPT_GROUP_OUTPUT,
      .help = "write all verbs and options as JSON",
      .doc = "Write the table of all verbs and their options as one JSON value." },
    { 0 },
};
