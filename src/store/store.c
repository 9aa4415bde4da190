#include "store/store.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/fault/fault.h"
#include "store/file/file.h"
#include "store/null/null.h"
#include "store/s3/s3.h"

#include <stdarg.h>

#define LARGE_MIN_BYTES ((uint64_t)16 * 1024 * 1024) /* smaller objects are not worth cutting */
#define LEAST_PART_BYTES (UINT64_C(8) * 1024 * 1024)
#define PATIENT_TRIES 6
#define PATIENT_FIRST_NS (200 * NS_PER_MS)
#define WANTED_PARTS 9000 /* S3 caps parts at 10,000 */

static const struct store_driver *const drivers[] = { &file_driver, &s3_driver, &null_driver,
                                                      NULL };
static const struct store_driver *const test_drivers[] = { &file_driver, &s3_driver, &null_driver,
                                                           &fault_driver, NULL };

const struct store_driver *const *store_drivers(void)
{
    const char *faults = getenv("LADE_FAULTS");
    return faults != NULL && strcmp(faults, "1") == 0 ? test_drivers : drivers;
}

const struct store_driver *store_driver_by_scheme(const char *scheme)
{
    for (const struct store_driver *const *driver = store_drivers(); *driver != NULL; driver++)
        if (strcmp((*driver)->scheme, scheme) == 0)
            return *driver;
    return NULL;
}

void object_done(struct object *object)
{
    buf_done(&object->key);
    buf_done(&object->xattrs);
    *object = (struct object){ 0 };
}

void store_upload_done(struct store_upload *upload)
{
    buf_done(&upload->key);
    *upload = (struct store_upload){ 0 };
}

void store_findings_done(struct store_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        mem_release(findings->items[i].text);
        mem_release(findings->items[i].todo);
    }
    mem_release(findings->items);
    *findings = (struct store_findings){ 0 };
}

void store_findings_add(struct store_findings *findings, const char *name, enum store_health health,
                        const char *todo, const char *fmt, ...)
{
    char text[640];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    findings->items = mem_resize(findings->items, (findings->count + 1) * sizeof *findings->items);
    findings->items[findings->count++] = (struct store_finding){
        .name = name, .health = health, .text = mem_string(text), .todo = mem_string(todo)
    };
}

void store_findings_add_err(struct store_findings *findings, const char *name,
                            const struct err *err, const char *todo)
{
    store_findings_add(findings, name, STORE_BAD, err->hint[0] != '\0' ? err->hint : todo, "%s",
                       err->text);
}

void store_bucket_key(uint32_t bucket, const char *name, struct buf *ret_key)
{
    buf_clear(ret_key);
    if (bucket > 1 || (bucket == 1 && name[0] == '/'))
        buf_printf(ret_key, "//%u/", bucket);
    buf_add_text(ret_key, name);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t divide_up(uint64_t value, uint64_t by)
{
    return value / by + (value % by != 0);
}

uint64_t store_part_bytes(const struct store_limits *limits, uint64_t size_bytes)
{
    uint64_t part_bytes = larger(LEAST_PART_BYTES, divide_up(size_bytes, WANTED_PARTS));
    part_bytes = larger(part_bytes, larger(limits->min_part_bytes, limits->part_bytes));
    if (limits->max_parts != 0)
        part_bytes = larger(part_bytes, divide_up(size_bytes, limits->max_parts));
    if (limits->max_part_bytes != 0 && part_bytes > limits->max_part_bytes)
        part_bytes = limits->max_part_bytes;
    return part_bytes;
}

int store_wait_patiently(uint32_t tries, const struct stop *stop, struct err *err)
{
    const bool helps = err->kind == ERR_NET || err->kind == ERR_BUSY || err->kind == ERR_SERVER;
    if (!helps || tries >= PATIENT_TRIES)
        return -1;
    const int64_t asked_ns = (int64_t)err->retry_after_ms * NS_PER_MS;
    const int64_t span_ns = PATIENT_FIRST_NS << (tries - 1);
    err_clear(err);
    return stop_sleep(stop, asked_ns > span_ns ? asked_ns : span_ns, err);
}

int store_head_patiently(struct store *store, const char *key, const struct stop *stop,
                         struct object *ret_object, struct err *err)
{
    for (uint32_t tries = 1; store->driver->head(store, key, ret_object, err) < 0; tries++)
        if (store_wait_patiently(tries, stop, err) < 0)
            return -1;
    return 0;
}

uint64_t store_large_bytes(const struct store_limits *limits)
{
    if (limits->min_part_bytes == 0)
        return UINT64_MAX;
    uint64_t bytes = 2 * limits->part_bytes;
    if (bytes < LARGE_MIN_BYTES)
        bytes = LARGE_MIN_BYTES;
    return bytes < limits->max_put_bytes ? bytes : limits->max_put_bytes;
}
