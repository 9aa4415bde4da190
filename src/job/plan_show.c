/* A dry run: what would happen, as lines for people or as JSON. */
#include "base/ban.h"
#include "base/json.h"
#include "base/scope.h"
#include "job/plan_internal.h"

/* Where an object really is; false: just below the location that was given. */
static bool show_stored(struct store *store, uint32_t bucket, const char *name, struct buf *out)
{
    SCOPED(buf) struct buf key = { 0 };
    if (store == NULL || store->driver->locate == NULL)
        return false;
    store_bucket_key(bucket, name, &key);
    return store->driver->locate(store, key.data, out);
}

static void show_target(const struct planner *planner, const struct stream_item *from,
                        const struct plan_entry *entry, struct buf *out)
{
    const struct job_spec *spec = planner->options->spec;
    if (spec->direction == JOB_PUT && entry->reason != REASON_NAME && planner->mapped.len != 0 &&
        show_stored(planner->options->store, entry->bucket, buf_text(&planner->mapped), out))
        return;
    buf_clear(out);
    buf_add_text(out, spec->dest);
    if (out->len != 0 && out->data[out->len - 1] != '/')
        buf_add_char(out, '/');
    if (entry->pack == NULL)
        buf_add_text(out, from->key);
    else
        buf_printf(out, "%s!/%s", entry->pack, entry->name);
}

static void show_source(const struct planner *planner, const struct plan_entry *entry,
                        struct buf *out)
{
    const char *inner = "";
    if (planner->options->spec->direction == JOB_GET) {
        const struct object_root *root =
            object_set_find(planner->options->objects, entry->name, &inner);
        if (show_stored(root->store, entry->bucket, inner, out))
            return;
        buf_add_text(out, root->location);
        if (root->key != NULL)
            return;
    } else {
        const struct source_root *root =
            source_set_find(planner->options->sources, entry->name, &inner);
        buf_add_text(out, root->path);
        if (root->inner[0] != '\0')
            return;
    }
    if (out->len != 0 && out->data[out->len - 1] != '/')
        buf_add_char(out, '/');
    buf_add_text(out, inner);
}

static const char *const action_names[PLAN_ACTION_COUNT] = {
    [PLAN_NEW] = "new",         [PLAN_REPLACE] = "replace",
    [PLAN_COMPARE] = "compare", [PLAN_UNCHANGED] = "unchanged",
    [PLAN_SKIP] = "skip",       [PLAN_FAIL] = "fail",
};

static void print_json(const struct planner *planner, const struct buf *source,
                       const struct buf *target, const struct plan_entry *entry)
{
    SCOPED(buf) struct buf line = { 0 };
    struct json json = json_into(&line);
    json_object(&json, NULL);
    json_text(&json, "event", "dryrun");
    json_text(&json, "action", action_names[entry->action]);
    json_bytes(&json, "source", buf_text(source), source->len);
    json_bytes(&json, "destination", buf_text(target), target->len);
    json_u64(&json, "size", entry->size_bytes);
    if (entry->reason != REASON_NONE)
        json_text(&json, "reason", plan_reason_text(entry->reason));
    json_object_end(&json);
    json_line_end(&json);
    fwrite(line.data, 1, line.len, planner->out);
}

void plan_show_entry(const struct planner *planner, const struct stream_item *from,
                     const struct plan_entry *entry)
{
    if (entry->action == PLAN_UNCHANGED || planner->out == NULL)
        return;
    /* Directories come with what is in them. */
    if (entry->kind == ENTRY_DIR && !entry->empty && entry->reason == REASON_NONE)
        return;
    const struct job_spec *spec = planner->options->spec;
    SCOPED(buf) struct buf source = { 0 };
    SCOPED(buf) struct buf target = { 0 };
    show_source(planner, entry, &source);
    show_target(planner, from, entry, &target);
    if (planner->json) {
        print_json(planner, &source, &target, entry);
        return;
    }
    SCOPED(buf) struct buf line = { 0 };
    path_show(&line, buf_text(&source));
    if (entry->reason != REASON_NONE) {
        struct err why;
        plan_explain(planner, entry, &why);
        fprintf(planner->out, "(dryrun) %s: %s: %s\n", entry->action == PLAN_SKIP ? "skip" : "fail",
                buf_text(&line), why.text);
        return;
    }
    const char *verb = spec->direction == JOB_GET      ? "download"
                       : entry->action == PLAN_COMPARE ? "compare"
                                                       : "upload";
    buf_add_text(&line, " to ");
    path_show(&line, buf_text(&target));
    fprintf(planner->out, "(dryrun) %s: %s\n", verb, buf_text(&line));
}

void plan_show_excluded(const struct planner *planner, const struct stream_item *from)
{
    SCOPED(buf) struct buf line = { 0 };
    path_show(&line, from->name);
    fprintf(planner->out, "(dryrun) exclude: %s: %s\n", buf_text(&line),
            from->rule != NULL ? from->rule : "no rule includes it");
}
