/* ui/survey.h: what a crawl found, for people and as JSON (docs/events.md, "crawl"). Pure; nothing
 * to release. */
#pragma once

#include "base/buf.h"
#include "job/survey.h"

#include <stdint.h>

void survey_show(struct buf *out, const struct survey *survey);
void survey_event(struct buf *out, int64_t time_ns, const struct survey *survey, int64_t elapsed_ns,
                  int exit_status);
