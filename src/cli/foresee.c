#include "cli/foresee.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"
#include "base/units.h"
#include "cli/site.h"
#include "job/estimate.h"
#include "job/objects.h"
#include "ui/event.h"

#include <stdio.h>

#define GB 1e9

struct outlook {
    const struct settings *settings;
    const struct job *job;
    struct site site;
    struct estimate sum;
    struct store *store; /* that the plan is of */
};

/* At the rate of bytes and of requests that is given; 0: none is. */
static double seconds_of(const struct outlook *outlook)
{
    const struct settings *settings = outlook->settings;
    const double bytes_s = settings->rate_bytes_per_s != 0
                               ? (double)outlook->sum.bytes / (double)settings->rate_bytes_per_s
                               : 0;
    const double requests_s = settings->requests_per_s != 0
                                  ? (double)(outlook->sum.requests + outlook->sum.compares) /
                                        (double)settings->requests_per_s
                                  : 0;
    return bytes_s > requests_s ? bytes_s : requests_s;
}

static double price_once(const struct outlook *outlook)
{
    const struct site *site = &outlook->site;
    return (double)outlook->sum.requests / 1000 * site->per_1000_writes +
           (double)outlook->sum.compares / 1000 * site->per_1000_reads +
           (double)outlook->sum.bytes / GB * site->per_gb_in;
}

static double price_month(const struct outlook *outlook)
{
    return (double)outlook->sum.all_bytes / GB * outlook->site.per_gb_month;
}

static void print_costs(const struct outlook *outlook)
{
    char text[UNITS_TEXT_MAX];
    char rate[UNITS_TEXT_MAX];
    const struct estimate *sum = &outlook->sum;
    if (!outlook->store->limits.is_tree)
        printf("%-10s %14s to write, %llu to look\n", "requests", units_count(sum->requests, text),
               (unsigned long long)sum->compares);
    if (sum->objects != 0)
        printf("%-10s %30s\n", "largest", units_bytes(sum->largest_bytes, text));
    const double seconds = seconds_of(outlook);
    if (seconds > 0) {
        printf("%-10s %14s", "time", units_span((int64_t)(seconds * 1e9), text));
        if (outlook->settings->rate_bytes_per_s != 0)
            printf(" at %s/s", units_bytes(outlook->settings->rate_bytes_per_s, rate));
        printf("\n");
    }
    if (outlook->site.currency != NULL)
        printf("%-10s %14.2f %s once, %.2f %s a month\n", "price", price_once(outlook),
               outlook->site.currency, price_month(outlook), outlook->site.currency);
}

static bool exceeds_quota(const struct outlook *outlook)
{
    return outlook->site.quota_bytes != 0 && outlook->sum.all_bytes > outlook->site.quota_bytes;
}

static bool exceeds_bucket(const struct outlook *outlook)
{
    return outlook->site.bucket_objects != 0 &&
           outlook->sum.most_objects > outlook->site.bucket_objects;
}

/* What whoever gives quotas wants to know. */
static void print_request(const struct outlook *outlook)
{
    char need[UNITS_TEXT_MAX];
    char largest[UNITS_TEXT_MAX];
    char objects[UNITS_TEXT_MAX];
    const char *quota = outlook->site.quota;
    units_bytes(outlook->sum.all_bytes, need);
    printf("\nThe quota of %s is too small for %s. A request for more:\n\n", quota, need);
    if (outlook->site.quota_contact != NULL)
        printf("    To: %s\n", outlook->site.quota_contact);
    printf("    Subject: storage quota\n\n"
           "    Project:            (its name or number)\n"
           "    Space that we need: %s, beside what we have stored already (the quota is %s)\n"
           "    Data:               %s objects, the largest of %s, from %s to %s\n"
           "                        (a short description of what they are)\n\n",
           need, quota, units_count(outlook->sum.all_objects, objects),
           units_bytes(outlook->sum.largest_bytes, largest), outlook->job->spec.sources[0],
           outlook->job->spec.dest);
}

static bool has_buckets(const struct store_driver *driver)
{
    return driver->list_buckets != NULL || driver->locate != NULL;
}

static void print_limits(const struct outlook *outlook)
{
    char count[UNITS_TEXT_MAX];
    char most[UNITS_TEXT_MAX];
    const uint64_t objects = outlook->sum.most_objects;
    const uint64_t limit = outlook->site.bucket_objects;
    if (exceeds_bucket(outlook)) {
        printf("warning: %s objects, and one bucket holds %s: spread them over at least %llu "
               "buckets",
               units_count(objects, count), units_count(limit, most),
               (unsigned long long)((objects + limit - 1) / limit));
        if (has_buckets(outlook->store->driver))
            printf(" with --bucket-objects %llu", (unsigned long long)limit);
        printf("\n");
    }
    if (exceeds_quota(outlook))
        print_request(outlook);
}

static void print_event(const struct outlook *outlook)
{
    SCOPED(buf) struct buf line = { 0 };
    const double seconds = seconds_of(outlook);
    const bool priced = outlook->site.currency != NULL;
    const struct event_estimate estimate = {
        .objects = outlook->sum.objects,
        .bytes = outlook->sum.bytes,
        .requests = outlook->sum.requests,
        .looks = outlook->sum.compares,
        .largest_bytes = outlook->sum.largest_bytes,
        .span_ns = (int64_t)(seconds * 1e9),
        .currency = outlook->site.currency,
        .price_once = priced ? price_once(outlook) : 0,
        .price_month = priced ? price_month(outlook) : 0,
        .exceeds_quota = exceeds_quota(outlook),
        .exceeds_bucket = exceeds_bucket(outlook),
    };
    event_estimate(&line, clock_now_ns(), &estimate);
    fwrite(line.data, 1, line.len, stdout);
}

static int open_store(struct outlook *outlook, struct err *err)
{
    const struct job_spec *spec = &outlook->job->spec;
    const struct store_options opening = { .make_bucket = spec->make_bucket,
                                           .bucket_objects = spec->bucket_objects,
                                           .dry = true,
                                           .access = spec->access };
    return store_open_location(&outlook->store, spec->dest, &opening, err);
}

int foresee(const struct settings *settings, const struct job *job, struct err *err)
{
    struct outlook outlook = { .settings = settings, .job = job };
    uint32_t newest = 0;
    uint32_t finished = 0;
    if (settings->site != NULL && site_read(&outlook.site, settings->site, err) < 0)
        return -1;
    int result = job_generations(job, &newest, &finished, err);
    if (result == 0)
        result = open_store(&outlook, err);
    if (result == 0)
        result = estimate_read(&outlook.sum, job, newest, outlook.store, err);
    if (result == 0 && settings->json) {
        print_event(&outlook);
    } else if (result == 0 && !settings->quiet) {
        print_costs(&outlook);
        print_limits(&outlook);
    }
    if (outlook.store != NULL)
        outlook.store->driver->close(outlook.store);
    site_done(&outlook.site);
    return result;
}
