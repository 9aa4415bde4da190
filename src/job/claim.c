#include "job/claim.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/scope.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLAIMS_DIR "claims"
#define OWNER_MAX 512
#define LOOK_NS (250 * NS_PER_MS)

static void claim_name(uint32_t number, char text[24])
{
    snprintf(text, 24, "run.g%u", number);
}

static void read_boot_id(char boot[40])
{
    boot[0] = '\0';
    struct err ignored = { 0 };
    SCOPED_FD int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    char text[37] = "";
    if (file_read_at(fd, 0, text, 36, &ignored) == 0)
        memcpy(boot, text, sizeof text);
}

/* Field 22 of /proc/PID/stat: when it started, in clock ticks since the boot. 0: there is no such.
 */
static uint64_t process_start_ticks(long pid)
{
    char path[40];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    SCOPED_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t len = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (len <= 0)
        return 0;
    text[len] = '\0';
    const char *at = strrchr(text, ')');
    /* A zombie has released everything. */
    if (at == NULL || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return 0;
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at != NULL ? strtoull(at, NULL, 10) : 0;
}

static int parse_owner(struct claim_owner *owner, const char *text)
{
    unsigned long long ticks = 0;
    unsigned long long beats = 0;
    int released = 0;
    if (sscanf(text,
               "lade-claim 1\npid %ld\nstart %llu\nboot %39s\nhost %63s\nreleased %d\nbeats %llu",
               &owner->pid, &ticks, owner->boot, owner->host, &released, &beats) != 6)
        return -1;
    owner->start_ticks = ticks;
    owner->beats = beats;
    owner->released = released != 0;
    return 0;
}

static int write_owner(const struct claim *claim, bool released, struct err *err)
{
    char boot[40];
    char host[64] = "-";
    read_boot_id(boot);
    gethostname(host, sizeof host - 1);
    char text[OWNER_MAX];
    const int len = snprintf(
        text, sizeof text,
        "lade-claim 1\npid %ld\nstart %llu\nboot %s\nhost %s\nreleased %d\nbeats %020llu\n",
        (long)getpid(), (unsigned long long)process_start_ticks(getpid()),
        boot[0] != '\0' ? boot : "-", host, released, (unsigned long long)claim->beats);
    /* Always the same length, so that a reader sees the old or the new text. */
    if (pwrite(claim->fd, text, (size_t)len, 0) != len)
        return err_sys(err, ERR_LOCAL, "write the claim on the job");
    return 0;
}

static int highest_claim(int dir_fd, uint32_t *ret_number, struct err *err)
{
    const int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL)
        return err_sys(err, ERR_LOCAL, "read the claims of the job");
    uint32_t highest = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, "run.g", 5) != 0 || !isdigit((unsigned char)entry->d_name[5]))
            continue;
        const unsigned long number = strtoul(entry->d_name + 5, NULL, 10);
        if (number > highest && number < UINT32_MAX)
            highest = (uint32_t)number;
    }
    closedir(dir);
    *ret_number = highest;
    return 0;
}

static int read_owner(struct claim_owner *owner, int dir_fd, struct err *err)
{
    *owner = (struct claim_owner){ 0 };
    if (highest_claim(dir_fd, &owner->number, err) < 0)
        return -1;
    if (owner->number == 0)
        return 0;
    char name[24];
    claim_name(owner->number, name);
    SCOPED(buf) struct buf text = { 0 };
    if (file_read(dir_fd, name, OWNER_MAX, &text, err) < 0)
        return -1;
    /* Torn or damaged: nobody whom we could name; the counter decides, and it stands still. */
    if (parse_owner(owner, buf_text(&text)) < 0)
        *owner = (struct claim_owner){ .number = owner->number, .host = "?", .boot = "?" };
    return 0;
}

int claim_read(struct claim_owner *ret_owner, int job_fd, struct err *err)
{
    SCOPED_FD int dir_fd = openat(job_fd, CLAIMS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        *ret_owner = (struct claim_owner){ 0 };
        return 0;
    }
    return read_owner(ret_owner, dir_fd, err);
}

bool claim_owner_is_local(const struct claim_owner *owner)
{
    char boot[40];
    read_boot_id(boot);
    return boot[0] != '\0' && strcmp(boot, owner->boot) == 0;
}

bool claim_owner_lives_here(const struct claim_owner *owner)
{
    return claim_owner_is_local(owner) && owner->start_ticks != 0 &&
           process_start_ticks(owner->pid) == owner->start_ticks;
}

/* 0 when the claim is free to be followed by ours. */
static int wait_until_stale(int dir_fd, const struct claim_owner *owner, const struct stop *stop,
                            struct err *err)
{
    if (owner->number == 0 || owner->released)
        return 0;
    if (claim_owner_is_local(owner) && !claim_owner_lives_here(owner))
        return 0;
    const int64_t start_ns = clock_monotonic_ns();
    while (!claim_owner_is_local(owner) && clock_monotonic_ns() - start_ns < CLAIM_EXPIRY_NS) {
        if (stop_sleep(stop, LOOK_NS, err) < 0)
            return -1;
        struct claim_owner now;
        if (read_owner(&now, dir_fd, err) < 0)
            return -1;
        if (now.number != owner->number || now.beats != owner->beats)
            break;
        if (now.released || clock_monotonic_ns() - start_ns + LOOK_NS >= CLAIM_EXPIRY_NS)
            return 0;
    }
    err_set(err, ERR_CONFIG, "another lade works on this job: process %ld on host '%s'", owner->pid,
            owner->host);
    return err_hint(err, "look at it with 'lade status', or give this one its own --job");
}

static int make_file(struct claim *claim, char name[64], struct err *err)
{
    char host[32] = "";
    gethostname(host, sizeof host - 1);
    for (char *c = host; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '-')
            *c = '_';
    snprintf(name, 64, ".%s-%ld-%llx", host, (long)getpid(), (unsigned long long)clock_now_ns());
    claim->fd = openat(claim->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (claim->fd < 0)
        return err_sys(err, ERR_LOCAL, "make a claim on the job");
    return write_owner(claim, false, err);
}

/* link() may have worked although its answer was lost (NFS): the count of links tells. */
static int link_claim(struct claim *claim, const char *unique, struct err *err)
{
    char name[24];
    struct stat st;
    claim_name(claim->number, name);
    const int linked = linkat(claim->dir_fd, unique, claim->dir_fd, name, 0);
    const int sys = errno;
    if (fstat(claim->fd, &st) == 0 && st.st_nlink == 2)
        return 0;
    errno = linked < 0 ? sys : EIO;
    if (errno == EEXIST)
        return err_set(err, ERR_CONFIG, "another lade took this job just now");
    return err_sys(err, ERR_LOCAL, "claim the job");
}

static int take(struct claim *claim, const struct stop *stop, struct err *err)
{
    struct claim_owner owner;
    if (read_owner(&owner, claim->dir_fd, err) < 0 ||
        wait_until_stale(claim->dir_fd, &owner, stop, err) < 0)
        return -1;
    claim->number = owner.number + 1;
    char unique[64];
    if (make_file(claim, unique, err) < 0)
        return -1;
    const int result = link_claim(claim, unique, err);
    unlinkat(claim->dir_fd, unique, 0);
    return result;
}

int claim_take(struct claim *claim, int job_fd, const struct stop *stop, struct err *err)
{
    *claim = (struct claim){ .fd = -1, .dir_fd = -1 };
    if (mkdirat(job_fd, CLAIMS_DIR, 0777) < 0 && errno != EEXIST)
        return err_sys(err, ERR_LOCAL, "make '%s' in the job directory", CLAIMS_DIR);
    claim->dir_fd = openat(job_fd, CLAIMS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (claim->dir_fd < 0)
        return err_sys(err, ERR_LOCAL, "open '%s' in the job directory", CLAIMS_DIR);
    if (take(claim, stop, err) == 0)
        return 0;
    claim->number = 0;
    claim_release(claim);
    return -1;
}

int claim_beat(struct claim *claim, struct err *err)
{
    claim->beats++;
    return write_owner(claim, false, err);
}

int claim_check(const struct claim *claim, struct err *err)
{
    uint32_t highest = 0;
    if (highest_claim(claim->dir_fd, &highest, err) < 0)
        return -1;
    if (highest == claim->number)
        return 0;
    return highest > claim->number
               ? err_set(err, ERR_CONFIG, "another lade took this job over")
               : err_set(err, ERR_CONFIG, "the claim on this job was deleted while it ran");
}

void claim_release(struct claim *claim)
{
    struct err ignored = { 0 }; /* unreleased, it is stale as soon as this process is gone */
    if (claim->fd >= 0) {
        if (claim->number != 0)
            (void)!write_owner(claim, true, &ignored);
        close(claim->fd);
    }
    if (claim->dir_fd >= 0)
        close(claim->dir_fd);
    claim->fd = claim->dir_fd = -1;
}
