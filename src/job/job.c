#include "job/job.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/home.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/journal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOB_FILE "job.ini"
#define JOB_FILE_MAX ((size_t)64 * 1024 * 1024)
#define END_FILE "end"
#define FINISHED_FILE "finished"
#define JOB_VERSION "1"

/* ---- where jobs are ---- */

char *jobs_home(void)
{
    struct buf path = { 0 };
    char *state = home_state();
    buf_printf(&path, "%s/jobs", state);
    mem_release(state);
    return buf_take(&path);
}

/* A few letters of a location that make a file name people recognise. */
static void add_readable(struct buf *out, const char *location)
{
    char *base = path_base(location);
    size_t added = 0;
    for (const char *c = base; *c != '\0' && added < 40; c++)
        if (isalnum((unsigned char)*c) || strchr("._-", *c) != NULL) {
            buf_add_char(out, *c);
            added++;
        }
    if (added == 0)
        buf_add_text(out, "x");
    mem_release(base);
}

char *job_default_path(const struct job_spec *spec)
{
    struct buf path = { 0 };
    char *home = jobs_home();
    buf_add_text(&path, home);
    mem_release(home);
    buf_add_text(&path, spec->direction == JOB_PUT ? "/put-" : "/get-");
    add_readable(&path, spec->sources[0]);
    if (spec->source_count > 1)
        buf_printf(&path, "+%zu", spec->source_count - 1);
    buf_add_text(&path, "-to-");
    add_readable(&path, spec->dest);

    uint64_t crc = 0;
    for (size_t i = 0; i < spec->source_count; i++)
        crc = crc64nvme(crc, spec->sources[i], strlen(spec->sources[i]) + 1);
    crc = crc64nvme(crc, spec->dest, strlen(spec->dest) + 1);
    if (spec->base != NULL)
        crc = crc64nvme(crc, spec->base, strlen(spec->base));
    if (spec->one_name != NULL)
        crc = crc64nvme(crc, spec->one_name, strlen(spec->one_name) + 1);
    buf_printf(&path, "-%08x", (unsigned)(crc ^ crc >> 32));
    return buf_take(&path);
}

static int open_directory(const char *path, int *ret_fd, struct err *err)
{
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return err_sys(err, ERR_CONFIG, "open job directory '%s'", path);
    return 0;
}

/* ---- the job file ---- */

/* The file is the spec between a head and a CRC line, so that a damaged one is never believed. */
static int write_file(const struct job *job, const char *name, struct err *err)
{
    SCOPED(buf) struct buf out = { 0 };
    buf_printf(&out, "lade-job=%s\nid=%s\ncreated=%lld\n", JOB_VERSION, job->id,
               (long long)job->created_ns);
    job_spec_write(&job->spec, &out);
    buf_printf(&out, "crc=%016llx\n", (unsigned long long)crc64nvme(0, out.data, out.len));
    return file_replace(job->dir_fd, name, out.data, out.len, err);
}

/* The first job file of a directory: when two processes make the same job, one of them does. */
static int write_first_file(const struct job *job, struct err *err)
{
    char temp[32];
    snprintf(temp, sizeof temp, ".job-%s", job->id);
    if (write_file(job, temp, err) < 0)
        return -1;
    const int linked = linkat(job->dir_fd, temp, job->dir_fd, JOB_FILE, 0);
    const int sys = errno;
    unlinkat(job->dir_fd, temp, 0);
    errno = sys;
    if (linked < 0)
        return err_sys(err, errno == EEXIST ? ERR_CONFLICT : ERR_LOCAL, "make '%s'", JOB_FILE);
    return fsync(job->dir_fd) < 0 ? err_sys(err, ERR_LOCAL, "sync the job directory") : 0;
}

static int damaged(struct err *err, const char *what)
{
    err_set(err, ERR_CONFIG, "%s is damaged: %s", JOB_FILE, what);
    return err_hint(err, "move this job directory away and run the command again");
}

static int parse_file(struct job *job, struct buf *text, struct err *err)
{
    static const char head[] = "lade-job=" JOB_VERSION "\nid=";
    const size_t tail_len = strlen("crc=0123456789abcdef\n");
    if (text->len < sizeof head + 16 + tail_len)
        return damaged(err, "too short");
    if (strncmp(text->data, head, sizeof head - 1) != 0)
        return damaged(err, "not a job file of this version");
    const size_t body_len = text->len - tail_len;
    SCOPED(buf) struct buf tail = { 0 };
    buf_printf(&tail, "crc=%016llx\n", (unsigned long long)crc64nvme(0, text->data, body_len));
    if (memcmp(tail.data, text->data + body_len, tail_len) != 0)
        return damaged(err, "its checksum does not fit");
    const char *at = text->data + sizeof head - 1;
    unsigned char id[8];
    memcpy(job->id, at, 16);
    at += 16;
    if (digest_unhex(job->id, id, sizeof id) < 0 || strncmp(at, "\ncreated=", 9) != 0)
        return damaged(err, "its head");
    char *end = NULL;
    job->created_ns = strtoll(at + 9, &end, 10);
    if (*end != '\n')
        return damaged(err, "its head");
    return job_spec_parse(&job->spec, end + 1, body_len - (size_t)(end + 1 - text->data), err);
}

int job_open(struct job *job, const char *path, struct err *err)
{
    *job = (struct job){ .dir_fd = -1 };
    struct stat st;
    if (strchr(path, '/') == NULL && stat(path, &st) < 0) {
        char *home = jobs_home();
        SCOPED(buf) struct buf in_home = { 0 };
        buf_printf(&in_home, "%s/%s", home, path);
        mem_release(home);
        job->path = path_absolute(in_home.data);
    } else {
        job->path = path_absolute(path);
    }
    SCOPED(buf) struct buf text = { 0 };
    if (open_directory(job->path, &job->dir_fd, err) == 0 &&
        file_read(job->dir_fd, JOB_FILE, JOB_FILE_MAX, &text, err) == 0 &&
        parse_file(job, &text, err) == 0)
        return 0;
    err_at(err, "job '%s'", path);
    job_close(job);
    return -1;
}

static bool directory_empty(int dir_fd)
{
    DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (dir == NULL)
        return false;
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(dir)) != NULL;)
        /* What a killed job_create() left is as good as nothing. */
        empty = entry->d_name[0] == '.';
    closedir(dir);
    return empty;
}

static int check_empty(const struct job *job, struct err *err)
{
    if (directory_empty(job->dir_fd))
        return 0;
    if (faccessat(job->dir_fd, JOB_FILE, F_OK, 0) == 0)
        return err_set(err, ERR_CONFLICT, "'%s' is a job already", job->path);
    if (faccessat(job->dir_fd, "claims", F_OK, 0) == 0)
        return damaged(err, "it is missing");
    err_set(err, ERR_CONFIG, "'%s' holds something else than a job", job->path);
    return err_hint(err, "give --job a directory of its own");
}

int job_create(struct job *job, const char *path, const struct job_spec *spec, struct err *err)
{
    *job = (struct job){ .dir_fd = -1, .path = path_absolute(path), .created_ns = clock_now_ns() };
    unsigned char id[8];
    if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id)
        return err_sys(err, ERR_LOCAL, "get random bytes");
    digest_hex(id, sizeof id, job->id);
    job_spec_copy(&job->spec, spec);

    if (path_make_all(job->path, err) < 0)
        err_at(err, "job directory '%s'", job->path);
    else if (open_directory(job->path, &job->dir_fd, err) == 0 && check_empty(job, err) == 0 &&
             write_first_file(job, err) == 0)
        return 0;
    job_close(job);
    return -1;
}

int job_set_spec(struct job *job, const struct job_spec *spec, struct err *err)
{
    struct job_spec copy;
    job_spec_copy(&copy, spec);
    job_spec_done(&job->spec);
    job->spec = copy;
    return write_file(job, JOB_FILE, err);
}

void job_close(struct job *job)
{
    if (job->dir_fd >= 0)
        close(job->dir_fd);
    job->dir_fd = -1;
    mem_free(job->path);
    job_spec_done(&job->spec);
}

/* ---- generations ---- */

static void generation_name(uint32_t number, char text[16])
{
    snprintf(text, 16, "g%06u", number);
}

static bool parse_numbered(const char *name, const char *prefix, const char *suffix,
                           uint32_t *ret_number)
{
    const size_t skip = strlen(prefix);
    if (strncmp(name, prefix, skip) != 0 || !isdigit((unsigned char)name[skip]))
        return false;
    char *end = NULL;
    const unsigned long number = strtoul(name + skip, &end, 10);
    if (strcmp(end, suffix) != 0 || number == 0 || number > UINT32_MAX)
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

static bool has_file(int dir_fd, const char *dir, const char *name)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return faccessat(dir_fd, path, F_OK, 0) == 0;
}

static DIR *open_dir(int dir_fd, struct err *err)
{
    const int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL)
        err_sys(err, ERR_LOCAL, "read the job directory");
    return dir;
}

int job_generations(const struct job *job, uint32_t *ret_newest, uint32_t *ret_finished,
                    struct err *err)
{
    DIR *dir = open_dir(job->dir_fd, err);
    if (dir == NULL)
        return -1;
    uint32_t newest = 0;
    uint32_t finished = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        uint32_t number = 0;
        if (!parse_numbered(entry->d_name, "g", "", &number))
            continue;
        if (number > newest)
            newest = number;
        if (number > finished && has_file(job->dir_fd, entry->d_name, FINISHED_FILE))
            finished = number;
    }
    closedir(dir);
    *ret_newest = newest;
    *ret_finished = finished;
    return 0;
}

int generation_refresh(struct generation *generation, struct err *err)
{
    char name[SEGMENT_NAME_MAX];
    /* The end is looked for first: what is sealed before the end is written is then seen. */
    generation->closed = faccessat(generation->dir_fd, END_FILE, F_OK, 0) == 0;
    while (faccessat(generation->dir_fd, segment_file_name(generation->sealed + 1, "seg", name),
                     F_OK, 0) == 0)
        generation->sealed++;
    generation->finished = faccessat(generation->dir_fd, FINISHED_FILE, F_OK, 0) == 0;
    if (!generation->closed)
        return 0;

    SCOPED(buf) struct buf text = { 0 };
    if (file_read(generation->dir_fd, END_FILE, 4096, &text, err) < 0)
        return -1;
    SCOPED(buf) struct buf expected = { 0 };
    buf_printf(&expected, "segments=%u\n", generation->sealed);
    buf_printf(&expected, "crc=%016llx\n",
               (unsigned long long)crc64nvme(0, expected.data, expected.len));
    if (text.len != expected.len || memcmp(text.data, expected.data, text.len) != 0)
        return err_set(err, ERR_CORRUPT,
                       "the end of the plan is damaged, or segments of it are "
                       "missing");
    return 0;
}

int generation_open(struct generation *generation, const struct job *job, uint32_t number,
                    struct err *err)
{
    char name[16];
    generation_name(number, name);
    *generation = (struct generation){ .number = number };
    generation->dir_fd = openat(job->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (generation->dir_fd < 0)
        return err_sys(err, ERR_LOCAL, "open generation '%s'", name);
    if (generation_refresh(generation, err) < 0) {
        generation_done(generation);
        return -1;
    }
    return 0;
}

int generation_create(struct generation *generation, const struct job *job, uint32_t number,
                      struct err *err)
{
    char name[16];
    generation_name(number, name);
    if (mkdirat(job->dir_fd, name, 0777) < 0)
        return err_sys(err, ERR_LOCAL, "make generation '%s'", name);
    if (fsync(job->dir_fd) < 0)
        return err_sys(err, ERR_LOCAL, "sync the job directory");
    return generation_open(generation, job, number, err);
}

int generation_sum(struct generation *generation, struct err *err)
{
    generation->sum = (struct segment_sum){ 0 };
    for (uint32_t number = 1; number <= generation->sealed; number++) {
        struct segment segment;
        if (segment_open(&segment, generation->dir_fd, number, err) < 0)
            return -1;
        segment_sum_merge(&generation->sum, &segment.sum);
        segment_done(&segment);
    }
    return 0;
}

static int highest_in_journal(const struct generation *generation, uint32_t process,
                              uint32_t *highest, struct err *err)
{
    struct journal_reader reader;
    if (journal_read_open(&reader, generation->dir_fd, process, err) < 0)
        return -1;
    struct journal_record record;
    int got;
    while ((got = journal_read_next(&reader, &record, err)) == 1)
        if (record.segment > *highest)
            *highest = record.segment;
    journal_read_done(&reader);
    return got;
}

static int check_segments(const struct generation *generation, struct err *err)
{
    for (uint32_t number = 1; number <= generation->sealed; number++) {
        struct segment segment;
        if (segment_open(&segment, generation->dir_fd, number, err) < 0)
            return -1;
        const int result = segment_check(&segment, err);
        segment_done(&segment);
        if (result < 0)
            return -1;
    }
    return 0;
}

int generation_check(const struct generation *generation, struct err *err)
{
    if (check_segments(generation, err) < 0)
        return -1;
    if (generation->closed) /* the end says how many there are */
        return 0;
    DIR *dir = open_dir(generation->dir_fd, err);
    if (dir == NULL)
        return -1;
    uint32_t highest = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        uint32_t number = 0;
        if ((parse_numbered(entry->d_name, "", ".seg", &number) ||
             parse_numbered(entry->d_name, "", ".res", &number)) &&
            number > highest)
            highest = number;
    }
    closedir(dir);
    uint32_t *processes = NULL;
    size_t count = 0;
    if (generation_journals(generation, &processes, &count, err) < 0)
        return -1;
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++)
        result = highest_in_journal(generation, processes[i], &highest, err);
    mem_release(processes);
    if (result == 0 && highest > generation->sealed)
        return err_set(err, ERR_CORRUPT, "segments of it are missing");
    return result;
}

int generation_close_plan(struct generation *generation, struct err *err)
{
    SCOPED(buf) struct buf text = { 0 };
    buf_printf(&text, "segments=%u\n", generation->sealed);
    buf_printf(&text, "crc=%016llx\n", (unsigned long long)crc64nvme(0, text.data, text.len));
    if (file_replace(generation->dir_fd, END_FILE, text.data, text.len, err) < 0)
        return -1;
    generation->closed = true;
    return 0;
}

int generation_finish(struct generation *generation, struct err *err)
{
    if (file_replace(generation->dir_fd, FINISHED_FILE, "finished\n", 9, err) < 0)
        return -1;
    generation->finished = true;
    return 0;
}

int generation_delete(const struct job *job, uint32_t number, struct err *err)
{
    char name[16];
    generation_name(number, name);
    const int dir_fd = openat(job->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = dir_fd >= 0 ? fdopendir(dir_fd) : NULL;
    if (dir == NULL)
        return err_sys(err, ERR_LOCAL, "open generation '%s'", name);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        unlinkat(dir_fd, entry->d_name, 0);
    closedir(dir);
    if (unlinkat(job->dir_fd, name, AT_REMOVEDIR) < 0)
        return err_sys(err, ERR_LOCAL, "delete generation '%s'", name);
    return 0;
}

static int compare_numbers(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

int generation_journals(const struct generation *generation, uint32_t **ret_numbers,
                        size_t *ret_count, struct err *err)
{
    DIR *dir = open_dir(generation->dir_fd, err);
    if (dir == NULL)
        return -1;
    uint32_t *numbers = NULL;
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        uint32_t number = 0;
        if (!parse_numbered(entry->d_name, "journal-", ".log", &number))
            continue;
        numbers = mem_resize(numbers, (count + 1) * sizeof *numbers);
        numbers[count++] = number;
    }
    closedir(dir);
    if (count != 0)
        qsort(numbers, count, sizeof *numbers, compare_numbers);
    *ret_numbers = numbers;
    *ret_count = count;
    return 0;
}

void generation_done(struct generation *generation)
{
    if (generation->dir_fd >= 0)
        close(generation->dir_fd);
    generation->dir_fd = -1;
}
