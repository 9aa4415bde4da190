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
#define HELPER_PREFIX "with-" /* of the file of a process; the lead's has a name more */
#define LOOK_NS (250 * NS_PER_MS)

static void claim_name(uint32_t number, char text[24])
{
    snprintf(text, 24, "run.g%u", number);
}

/* The kernel, and the pid namespace, since the pids of two containers are not comparable. */
static void read_boot_id(char boot[64])
{
    boot[0] = '\0';
    struct err ignored = { 0 };
    SCOPED_FD int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    struct stat st;
    char text[37] = "";
    if (fd < 0 || file_read_at(fd, 0, text, 36, &ignored) < 0 ||
        stat("/proc/self/ns/pid", &st) != 0)
        return;
    snprintf(boot, 64, "%s:%llu", text, (unsigned long long)st.st_ino);
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
               "lade-claim 1\npid %ld\nstart %llu\nboot %63s\nhost %63s\nreleased %d\nbeats %llu",
               &owner->pid, &ticks, owner->boot, owner->host, &released, &beats) != 6)
        return -1;
    owner->start_ticks = ticks;
    owner->beats = beats;
    owner->released = released != 0;
    return 0;
}

static int write_owner(const struct claim *claim, bool released, struct err *err)
{
    char boot[64];
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

static DIR *open_claims(int dir_fd, struct err *err)
{
    const int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL)
        err_sys(err, ERR_LOCAL, "read the claims of the job");
    return dir;
}

static int highest_claim(int dir_fd, uint32_t *ret_number, struct err *err)
{
    DIR *dir = open_claims(dir_fd, err);
    if (dir == NULL)
        return -1;
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

int claim_read_file(struct claim_owner *owner, int dir_fd, const char *name, uint32_t number,
                    struct err *err)
{
    SCOPED(buf) struct buf text = { 0 };
    if (file_read(dir_fd, name, OWNER_MAX, &text, err) < 0)
        return -1;
    *owner = (struct claim_owner){ 0 };
    /* Torn or damaged: nobody whom we could name; the counter decides, and it stands still. */
    if (parse_owner(owner, buf_text(&text)) < 0)
        *owner = (struct claim_owner){ .host = "?", .boot = "?" };
    owner->number = number;
    return 0;
}

static int read_owner(struct claim_owner *owner, int dir_fd, struct err *err)
{
    *owner = (struct claim_owner){ 0 };
    uint32_t number = 0;
    if (highest_claim(dir_fd, &number, err) < 0)
        return -1;
    char name[24];
    claim_name(number, name);
    return number == 0 ? 0 : claim_read_file(owner, dir_fd, name, number, err);
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

/* Gone, so that nothing needs to be waited for. */
static bool is_gone(const struct claim_owner *owner)
{
    return owner->number == 0 || owner->released ||
           (claim_owner_is_local(owner) && !claim_owner_lives_here(owner));
}

bool claim_owner_is_local(const struct claim_owner *owner)
{
    char boot[64];
    read_boot_id(boot);
    return boot[0] != '\0' && strcmp(boot, owner->boot) == 0;
}

bool claim_owner_lives_here(const struct claim_owner *owner)
{
    return claim_owner_is_local(owner) && owner->start_ticks != 0 &&
           process_start_ticks(owner->pid) == owner->start_ticks;
}

/* ---- whose counter stands still ---- */

static bool is_same(const struct claim_seen *seen, const struct claim_owner *owner)
{
    return seen->pid == owner->pid && seen->start_ticks == owner->start_ticks &&
           strcmp(seen->boot, owner->boot) == 0;
}

/* Has the counter stood still for too long? The first look only begins to count. */
static bool has_expired(struct claim *claim, const struct claim_owner *owner)
{
    const int64_t now_ns = clock_monotonic_ns();
    struct claim_seen *seen = NULL;
    for (uint32_t i = 0; seen == NULL && i < claim->seen_count; i++)
        if (is_same(&claim->seen[i], owner))
            seen = &claim->seen[i];
    if (seen != NULL && seen->beats == owner->beats)
        return now_ns - seen->moved_ns >= CLAIM_EXPIRY_NS;
    if (seen == NULL) {
        /* Too many at once: the one that moved longest ago is looked at anew. */
        seen = &claim->seen[0];
        for (uint32_t i = 1; i < claim->seen_count; i++)
            if (claim->seen[i].moved_ns < seen->moved_ns)
                seen = &claim->seen[i];
        if (claim->seen_count < CLAIM_SEEN_MAX)
            seen = &claim->seen[claim->seen_count++];
    }
    *seen = (struct claim_seen){ .pid = owner->pid,
                                 .start_ticks = owner->start_ticks,
                                 .beats = owner->beats,
                                 .moved_ns = now_ns };
    memcpy(seen->boot, owner->boot, sizeof seen->boot);
    return false;
}

static bool is_stale(struct claim *claim, const struct claim_owner *owner)
{
    return is_gone(owner) || has_expired(claim, owner);
}

/* ---- taking ---- */

static int open_dir(struct claim *claim, int job_fd, struct err *err)
{
    if (mkdirat(job_fd, CLAIMS_DIR, 0777) < 0 && errno != EEXIST)
        return err_sys(err, ERR_LOCAL, "make '%s' in the job directory", CLAIMS_DIR);
    claim->dir_fd = openat(job_fd, CLAIMS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (claim->dir_fd < 0)
        return err_sys(err, ERR_LOCAL, "open '%s' in the job directory", CLAIMS_DIR);
    return 0;
}

static int make_file(struct claim *claim, struct err *err)
{
    char host[24] = "";
    gethostname(host, sizeof host - 1);
    for (char *c = host; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '-')
            *c = '_';
    char hidden[sizeof claim->name];
    snprintf(claim->name, sizeof claim->name, HELPER_PREFIX "%s-%ld-%llx", host, (long)getpid(),
             (unsigned long long)clock_now_ns());
    snprintf(hidden, sizeof hidden, ".%.60s", claim->name);
    claim->fd = openat(claim->dir_fd, hidden, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    struct stat st;
    if (claim->fd < 0 || fstat(claim->fd, &st) != 0)
        return err_sys(err, ERR_LOCAL, "make a claim on the job");
    claim->inode = st.st_ino;
    /* Seen only with its content. */
    if (write_owner(claim, false, err) < 0)
        return -1;
    if (renameat(claim->dir_fd, hidden, claim->dir_fd, claim->name) < 0)
        return err_sys(err, ERR_LOCAL, "make a claim on the job");
    return 0;
}

int claim_join(struct claim *claim, int job_fd, struct err *err)
{
    *claim = (struct claim){ .fd = -1, .dir_fd = -1 };
    lock_init(&claim->lock);
    if (open_dir(claim, job_fd, err) == 0 && make_file(claim, err) == 0)
        return 0;
    claim_release(claim);
    return -1;
}

/* A link to our file: 1 when it is there, 0 when somebody else's is. link() may have worked
 * although its answer was lost (NFS): whose file the name is tells. */
static int link_claim(const struct claim *claim, int dir_fd, const char *name, struct err *err)
{
    struct stat st;
    char lead[24];
    claim_name(claim->number, lead);
    const int linked =
        linkat(claim->dir_fd, claim->number != 0 ? lead : claim->name, dir_fd, name, 0);
    const int sys = errno;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return st.st_ino == claim->inode;
    errno = linked < 0 && sys != EEXIST ? sys : EIO;
    return err_sys(err, ERR_LOCAL, "claim '%s'", name);
}

/* Files of processes that were killed; claims that they had on batches keep what is in them. */
static void sweep(const struct claim *claim)
{
    struct err ignored = { 0 };
    DIR *dir = open_claims(claim->dir_fd, &ignored);
    if (dir == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct claim_owner owner;
        err_clear(&ignored);
        if (strncmp(entry->d_name, HELPER_PREFIX, strlen(HELPER_PREFIX)) == 0 &&
            strcmp(entry->d_name, claim->name) != 0 &&
            claim_read_file(&owner, claim->dir_fd, entry->d_name, 1, &ignored) == 0 &&
            is_gone(&owner))
            unlinkat(claim->dir_fd, entry->d_name, 0);
    }
    closedir(dir);
}

int claim_lead(struct claim *claim, struct claim_owner *ret_owner, struct err *err)
{
    SCOPED_LOCK(&claim->lock);
    struct claim_owner owner;
    if (read_owner(&owner, claim->dir_fd, err) < 0)
        return -1;
    if (ret_owner != NULL)
        *ret_owner = owner;
    if (!is_stale(claim, &owner))
        return 0;
    char name[24];
    claim_name(owner.number + 1, name);
    const int won = link_claim(claim, claim->dir_fd, name, err);
    if (won == 1) {
        claim->number = owner.number + 1;
        unlinkat(claim->dir_fd, claim->name, 0);
        claim->name[0] = '\0';
        sweep(claim);
    } else if (won == 0 && ret_owner != NULL) {
        return read_owner(ret_owner, claim->dir_fd, err);
    }
    return won;
}

int claim_take(struct claim *claim, int job_fd, const struct stop *stop, struct err *err)
{
    if (claim_join(claim, job_fd, err) < 0)
        return -1;
    struct claim_owner first = { 0 };
    struct claim_owner owner;
    int result = 0;
    for (;;) {
        result = claim_lead(claim, &owner, err);
        if (result != 0)
            break;
        /* Alive here, or seen to be alive elsewhere. */
        if (claim_owner_is_local(&owner) ||
            (first.number != 0 && (first.number != owner.number || first.beats != owner.beats)))
            break;
        first = owner;
        if (stop_sleep(stop, LOOK_NS, err) < 0) {
            result = -1;
            break;
        }
    }
    if (result == 1)
        return 0;
    if (result == 0) {
        err_set(err, ERR_CONFIG, "another lade works on this job: process %ld on host '%s'",
                owner.pid, owner.host);
        err_hint(err,
                 "help it with 'lade run JOB', look at it with 'lade status', or give this one "
                 "its own --job");
    }
    claim_release(claim);
    return -1;
}

int claim_beat(struct claim *claim, struct err *err)
{
    claim->beats++;
    return write_owner(claim, false, err);
}

bool claim_leads(struct claim *claim)
{
    SCOPED_LOCK(&claim->lock);
    return claim->number != 0;
}

int claim_check(struct claim *claim, struct err *err)
{
    SCOPED_LOCK(&claim->lock);
    uint32_t highest = 0;
    if (claim->number == 0)
        return 0;
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
        (void)!write_owner(claim, true, &ignored);
        close(claim->fd);
    }
    if (claim->dir_fd >= 0) {
        if (claim->name[0] != '\0')
            unlinkat(claim->dir_fd, claim->name, 0);
        close(claim->dir_fd);
    }
    claim->fd = claim->dir_fd = -1;
    claim->number = 0;
}

/* ---- batches ---- */

static void batch_name(uint32_t batch, uint32_t number, char text[32])
{
    snprintf(text, 32, "%06u.g%u", batch, number);
}

int claim_batch(struct claim *claim, int dir_fd, uint32_t batch, uint32_t *ret_number,
                struct err *err)
{
    SCOPED_LOCK(&claim->lock);
    char name[32];
    struct stat st;
    uint64_t inode = 0; /* of the highest */
    *ret_number = 1;
    for (batch_name(batch, 1, name); fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
         batch_name(batch, *ret_number, name)) {
        inode = st.st_ino;
        ++*ret_number;
    }
    if (*ret_number > 1) {
        if (inode == claim->inode) {
            --*ret_number;
            return 1;
        }
        struct claim_owner owner;
        struct err gone = { 0 };
        batch_name(batch, *ret_number - 1, name);
        /* Deleted just now: it is sealed, which whoever wins looks for. */
        if (claim_read_file(&owner, dir_fd, name, *ret_number - 1, &gone) == 0 &&
            !is_stale(claim, &owner))
            return 0;
        batch_name(batch, *ret_number, name);
    }
    return link_claim(claim, dir_fd, name, err);
}

bool claim_batch_holds(int dir_fd, uint32_t batch, uint32_t number)
{
    char name[32];
    batch_name(batch, number + 1, name);
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
}

void claim_batch_done(int dir_fd, uint32_t batch)
{
    char name[32];
    uint32_t count = 0;
    do
        batch_name(batch, ++count, name);
    while (faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
    for (uint32_t number = 1; number < count; number++) {
        batch_name(batch, number, name);
        unlinkat(dir_fd, name, 0);
    }
}
