#include "cli/detach.h"

#include "base/ban.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* One write, smaller than PIPE_BUF: all of it arrives, or nothing. */
struct message {
    long pid;
    struct err err; /* ERR_NONE: begun */
};

static int open_log(const struct job *job, struct err *err)
{
    const int fd = openat(job->dir_fd, DETACH_LOG,
                          O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666);
    return fd >= 0 ? fd : err_sys(err, ERR_LOCAL, "open '%s/%s'", job->path, DETACH_LOG);
}

/* Lose all that is the terminal's. dup2() clears close-on-exec of the copies only. */
static int leave(int log_fd)
{
    SCOPED_FD int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
        dup2(log_fd, STDERR_FILENO) < 0)
        return -1;
    signal(SIGHUP, SIG_IGN);
    /* A shell that starts it in the background ignores these for it; `lade stop` must get through.
     */
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_IGN);
    return 0;
}

static void tell(struct detach *detach, const struct err *err)
{
    struct message message;
    memset(&message, 0, sizeof message);
    message.pid = getpid();
    message.err = *err;
    /* A parent that was interrupted does not hear it, and the run goes on. */
    signal(SIGPIPE, SIG_IGN);
    (void)!write(detach->to_parent, &message, sizeof message);
    close(detach->to_parent);
    detach->to_parent = -1;
}

static void be_child(struct detach *detach, int log_fd)
{
    detach->is_child = true;
    if (leave(log_fd) == 0)
        return;
    struct err err = { 0 };
    err_sys(&err, ERR_LOCAL, "leave the terminal");
    detach_failed(detach, &err);
}

/* The child in the middle: its own child leads no session, so no terminal can become its own. */
static void fork_again(void)
{
    if (setsid() < 0)
        _exit(1);
    const pid_t pid = fork();
    if (pid != 0)
        _exit(pid < 0);
}

static int wait_for_begin(struct detach *detach, int fd, const struct job *job, struct err *err)
{
    struct message message;
    ssize_t got;
    do
        got = read(fd, &message, sizeof message);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof message) {
        err_set(err, ERR_LOCAL, "the process in the background ended before it began");
        return err_hint(err, "look into '%.80s/%s'", job->path, DETACH_LOG);
    }
    detach->pid = message.pid;
    if (message.err.kind == ERR_NONE)
        return 0;
    *err = message.err;
    return -1;
}

int detach_start(struct detach *detach, const struct job *job, struct err *err)
{
    *detach = (struct detach)DETACH_NONE;
    int ends[2];
    SCOPED_FD int log_fd = open_log(job, err);
    if (log_fd < 0)
        return -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, ERR_LOCAL, "make a pipe");
    SCOPED_FD int read_fd = ends[0];
    fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0) {
        close(ends[1]);
        return err_sys(err, ERR_LOCAL, "fork");
    }
    if (pid == 0) {
        fork_again();
        detach->to_parent = ends[1];
        be_child(detach, log_fd);
        return 0;
    }
    close(ends[1]);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return wait_for_begin(detach, read_fd, job, err);
}

void detach_begun(struct detach *detach)
{
    const struct err none = { 0 };
    if (detach->to_parent >= 0)
        tell(detach, &none);
}

void detach_failed(struct detach *detach, const struct err *err)
{
    if (detach->to_parent < 0)
        return;
    tell(detach, err);
    _exit(err_trait(err->kind)->exit_status);
}
