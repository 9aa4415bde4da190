#include "job/outcome.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/scope.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <unistd.h>

#define FILE_NAME "outcome"
#define FILE_MAX 4096

void outcome_of(struct outcome *ret_outcome, int64_t started_ns, int exit_status, const char *text)
{
    *ret_outcome = (struct outcome){ .pid = getpid(),
                                     .host = "-",
                                     .started_ns = started_ns,
                                     .ended_ns = clock_now_ns(),
                                     .exit_status = exit_status };
    gethostname(ret_outcome->host, sizeof ret_outcome->host - 1);
    SCOPED(buf) struct buf shown = { 0 };
    utf8_show(&shown, text, strlen(text));
    snprintf(ret_outcome->text, sizeof ret_outcome->text, "%s", buf_text(&shown));
}

int outcome_write(const struct outcome *outcome, const struct job *job, struct err *err)
{
    SCOPED(buf) struct buf text = { 0 };
    buf_printf(&text,
               "lade-outcome 1\npid %ld\nhost %s\nstarted %" PRId64 "\nended %" PRId64
               "\nstatus %d\ntext %s\n",
               outcome->pid, outcome->host, outcome->started_ns, outcome->ended_ns,
               outcome->exit_status, outcome->text);
    return file_replace(job->dir_fd, FILE_NAME, text.data, text.len, err);
}

int outcome_read(struct outcome *ret_outcome, const struct job *job, struct err *err)
{
    SCOPED(buf) struct buf text = { 0 };
    struct outcome read = { 0 };
    if (file_read(job->dir_fd, FILE_NAME, FILE_MAX, &text, err) < 0)
        return -1;
    if (sscanf(buf_text(&text),
               "lade-outcome 1\npid %ld\nhost %63s\nstarted %" SCNd64 "\nended %" SCNd64
               "\nstatus %d\ntext %335[^\n]",
               &read.pid, read.host, &read.started_ns, &read.ended_ns, &read.exit_status,
               read.text) != 6)
        return err_set(err, ERR_CORRUPT, "'%s' of the job is damaged", FILE_NAME);
    *ret_outcome = read;
    return 0;
}
