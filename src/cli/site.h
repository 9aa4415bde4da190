/* cli/site.h: what a place charges and allows, from an INI file that the user keeps (--site).
 * contrib/sites/ has examples, docs/man/plan.md the keys.
 * Owner: the caller; site_done(). */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct site {
    uint64_t quota_bytes;    /* 0: none is known */
    char *quota;             /* as it is written there */
    uint64_t bucket_objects; /* at most so many in one bucket, 0: no limit */
    char *quota_contact;     /* who is asked for more, NULL: nobody is named */
    char *currency;          /* NULL: no prices are known */
    double per_1000_writes, per_1000_reads;
    double per_gb_month, per_gb_in; /* GB of 10^9 bytes */
};
/* ERR_CONFIG names the file and the line. */
CHECKED int site_read(struct site *ret_site, const char *path, struct err *err);
void site_done(struct site *site);
