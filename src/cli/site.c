#include "cli/site.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/units.h"

#include <ini.h>
#include <math.h>
#include <stdio.h>

struct reader {
    struct site *site;
    const char *path;
    struct err *err;
};

static int take_price(struct reader *reader, const char *value, double *ret_price)
{
    char *end = NULL;
    *ret_price = strtod(value, &end);
    if (end != value && *end == '\0' && *ret_price >= 0 && isfinite(*ret_price))
        return 0;
    return err_set(reader->err, ERR_CONFIG, "'%s' is no price", value);
}

static void take_text(const char *value, char **ret_text)
{
    mem_release(*ret_text);
    *ret_text = mem_string(value);
}

static int take(struct reader *reader, const char *section, const char *name, const char *value)
{
    struct site *site = reader->site;
    const struct {
        const char *name;
        double *price;
    } prices[] = { { "per-1000-writes", &site->per_1000_writes },
                   { "per-1000-reads", &site->per_1000_reads },
                   { "per-gb-month", &site->per_gb_month },
                   { "per-gb-in", &site->per_gb_in } };
    if (strcmp(section, "prices") == 0) {
        if (strcmp(name, "currency") == 0) {
            take_text(value, &site->currency);
            return 0;
        }
        for (size_t i = 0; i < sizeof prices / sizeof *prices; i++)
            if (strcmp(name, prices[i].name) == 0)
                return take_price(reader, value, prices[i].price);
    } else if (strcmp(section, "limits") == 0) {
        if (strcmp(name, "quota") == 0) {
            take_text(value, &site->quota);
            return units_parse_bytes(&site->quota_bytes, value, reader->err);
        }
        if (strcmp(name, "bucket-objects") == 0)
            return units_parse_count(&site->bucket_objects, value, 1, UINT64_MAX, reader->err);
        if (strcmp(name, "quota-contact") == 0) {
            take_text(value, &site->quota_contact);
            return 0;
        }
    }
    return err_set(reader->err, ERR_CONFIG, "there is no '%s' in [%s]", name, section);
}

static int on_value(void *arg, const char *section, const char *name, const char *value)
{
    struct reader *reader = arg;
    return reader->err->kind == ERR_NONE && take(reader, section, name, value) == 0;
}

int site_read(struct site *ret_site, const char *path, struct err *err)
{
    *ret_site = (struct site){ 0 };
    struct reader reader = { .site = ret_site, .path = path, .err = err };
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        err_sys(err, ERR_CONFIG, "--site '%s'", path);
        err->kind = ERR_CONFIG;
        return -1;
    }
    const int line = ini_parse_file(file, on_value, &reader);
    fclose(file);
    if (line == 0 && err->kind == ERR_NONE)
        return 0;
    if (err->kind == ERR_NONE)
        err_set(err, ERR_CONFIG, "this line is neither [section] nor name = value");
    err->kind = ERR_CONFIG;
    err_at(err, "%s:%d", path, line > 0 ? line : 1);
    err_hint(err, "'lade help plan' lists the keys");
    site_done(ret_site);
    return -1;
}

void site_done(struct site *site)
{
    mem_release(site->quota);
    mem_release(site->quota_contact);
    mem_release(site->currency);
    *site = (struct site){ 0 };
}
