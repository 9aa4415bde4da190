/* `lade doctor s3://…`: from the credentials to what the server does with a wrong checksum. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/units.h"
#include "store/s3/s3_internal.h"

#define ROUNDS 5
#define MIDDLE 2 /* the median's index */
#define SKEW_FINE_S 30
#define SKEW_FATAL_S 900 /* S3 takes 15 minutes */

/* ---- what is set ---- */

static void tell_credentials(const struct s3_config *config, struct store_findings *findings)
{
    const struct s3_credentials *credentials = &config->credentials;
    const size_t len = strlen(credentials->access_key);
    const char *end = credentials->access_key + (len > 4 ? len - 4 : 0);
    const int64_t left_ns = credentials->expires_ns - clock_now_ns();
    const char *kind = credentials->session_token != NULL ? ", with a session token" : "";
    if (credentials->expires_ns != 0 && left_ns <= 0)
        store_findings_add(findings, "credentials", STORE_BAD, "get new credentials",
                           "key ...%s from %s%s, expired", end, config->credentials_from, kind);
    else
        store_findings_add(findings, "credentials", STORE_OK, "", "key ...%s from %s%s", end,
                           config->credentials_from, kind);
}

static void tell_endpoint(const struct s3_store *store, const struct s3_config *config,
                          struct store_findings *findings)
{
    const struct s3_place *place = &store->place;
    SCOPED(buf) struct buf host = { 0 };
    s3_place_host(place, config->region != NULL ? config->region : "", &host);
    if (config->endpoint_url != NULL)
        store_findings_add(findings, "endpoint", STORE_OK, "", "%s, from %s", config->endpoint_url,
                           config->endpoint_from);
    else
        store_findings_add(findings, "endpoint", STORE_OK, "",
                           "%s://%s, Amazon's own: no other one is set", place->scheme, host.data);
    store_findings_add(findings, "addressing", STORE_OK, "", "the bucket is in the %s",
                       place->in_host ? "name of the host" : "path");
    if (strcmp(place->scheme, "https") == 0)
        store_findings_add(findings, "tls", STORE_OK, "", "certificates are verified against %s",
                           config->ca_file != NULL ? config->ca_file : "the system's authorities");
    else
        store_findings_add(findings, "tls", STORE_WARN,
                           "use https:// in the endpoint if it is there",
                           "plain http: anyone on the way can read what is moved");
}

static void tell_region(struct s3_store *store, const struct s3_config *config,
                        struct store_findings *findings)
{
    char region[S3_REGION_MAX];
    {
        SCOPED_LOCK(&store->lock);
        memcpy(region, store->region, sizeof region);
    }
    const char *set = config->region != NULL ? config->region : "";
    if (strcmp(region, set) != 0)
        store_findings_add(findings, "region", STORE_OK, "", "%s, named by the server%s%s", region,
                           set[0] != '\0' ? "; set is " : "", set);
    else if (set[0] != '\0')
        store_findings_add(findings, "region", STORE_OK, "", "%s, from %s", set,
                           config->region_from);
    else
        store_findings_add(
            findings, "region", STORE_OK, "",
            "none is set; requests are signed for us-east-1, which the server takes");
}

/* ---- the server ---- */

static int compare_spans(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void tell_clock(const struct http_reply *reply, struct store_findings *findings)
{
    const int64_t date = http_reply_date(reply);
    if (date < 0) {
        store_findings_add(findings, "clock", STORE_WARN,
                           "set this machine's clock if requests are refused",
                           "the server does not tell its time");
        return;
    }
    const int64_t off_s = clock_now_ns() / NS_PER_S - date;
    const int64_t size_s = off_s < 0 ? -off_s : off_s;
    if (size_s <= SKEW_FINE_S)
        store_findings_add(findings, "clock", STORE_OK, "", "within %lld s of the server's",
                           (long long)size_s + 1);
    else
        store_findings_add(
            findings, "clock", STORE_WARN, "set this machine's clock", "%lld s %s the server's%s",
            (long long)size_s, off_s > 0 ? "ahead of" : "behind",
            size_s > SKEW_FATAL_S ? ", more than S3 takes; lade uses the server's" : "");
}

static int tell_trouble(const struct s3_store *store, const struct http_reply *reply,
                        struct err *err, struct store_findings *findings)
{
    /* The answer to HEAD has no body that could say so. */
    if (reply->status == 404 && err->kind == ERR_ABSENT) {
        err_clear(err);
        err_set(err, ERR_CONFIG, "there is no bucket '%s'", store->place.bucket);
        err_hint(err, "lade mb s3://%.60s makes it", store->place.bucket);
    }
    const char *name = reply->status == 0 ? "reach" : err->kind == ERR_AUTH ? "access" : "bucket";
    store_findings_add_err(findings, name, err,
                           reply->status == 0 ? "check the endpoint and the network"
                                              : "check the endpoint, or ask who runs the server");
    return -1;
}

/* HEAD of the bucket, a few times. */
static int knock(struct s3_store *store, struct store_findings *findings)
{
    SCOPED(http_reply) struct http_reply reply = { 0 };
    const struct s3_call call = { .method = "HEAD" };
    int64_t spans[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        struct err err = { 0 };
        const bool good = s3_do(store, &call, &reply, &err) == 0;
        if (i == 0 && reply.status != 0)
            tell_clock(&reply, findings);
        if (!good && err.kind != ERR_DENIED)
            return tell_trouble(store, &reply, &err, findings);
        spans[i] = reply.round_trip_ns;
    }
    qsort(spans, ROUNDS, sizeof *spans, compare_spans);
    store_findings_add(findings, "reach", STORE_OK, "", "round trip %.1f ms (median of %d)",
                       (double)spans[MIDDLE] / (double)NS_PER_MS, ROUNDS);
    return 0;
}

/* ---- rights ---- */

static void tell_right(struct store_findings *findings, const char *name, const struct err *err,
                       const char *fine, const char *todo, bool *ret_has)
{
    *ret_has = err->kind == ERR_NONE;
    if (*ret_has)
        store_findings_add(findings, name, STORE_OK, "", "%s", fine);
    else
        store_findings_add(findings, name, STORE_WARN, err->hint[0] != '\0' ? err->hint : todo,
                           "%s", err->text);
}

/* Can anything be written? */
static bool tell_access(struct s3_store *store, struct store_findings *findings)
{
    struct err list = { 0 };
    struct s3_access access = { 0 };
    bool lists = false;
    bool writes = false;
    bool reads = false;
    bool removes = false;
    (void)!s3_probe_clean(store, &list);
    s3_probe_access(store, &access);
    tell_right(findings, "list", &list, "keys and unfinished uploads can be listed",
               "ask the owner of the bucket for s3:ListBucket", &lists);
    tell_right(findings, "write", &access.write, "objects can be stored",
               "ask the owner of the bucket for s3:PutObject, if you want to put", &writes);
    if (writes) {
        tell_right(findings, "read", &access.read, "objects can be read",
                   "ask the owner of the bucket for s3:GetObject", &reads);
        tell_right(findings, "delete", &access.remove, "objects can be removed",
                   "ask the owner of the bucket for s3:DeleteObject; the object "
                   ".lade-probe-... stays until then",
                   &removes);
    }
    if (!lists && !writes)
        store_findings_add(findings, "bucket", STORE_BAD, "ask its owner, or choose another one",
                           "'%s' can neither be listed nor written", store->place.bucket);
    else
        store_findings_add(findings, "bucket", STORE_OK, "", "'%s' is there", store->place.bucket);
    return writes;
}

/* ---- what it does ---- */

static void tell_fact(const struct s3_facts *facts, enum s3_fact_kind kind, const char *yes,
                      const char *ignored, struct store_findings *findings)
{
    const enum s3_fact seen = facts->seen[kind];
    store_findings_add(findings, s3_fact_name(kind), STORE_OK, "", "%s",
                       seen == S3_YES       ? yes
                       : seen == S3_IGNORED ? ignored
                       : seen == S3_NO      ? "not supported"
                                            : "could not be told");
}

static void tell_proof(const struct s3_store *store, const struct s3_facts *facts,
                       struct store_findings *findings)
{
    const enum s3_proof proof = s3_is_tls(store) ? s3_proof_of(facts) : S3_PROOF_SHA256;
    if (proof >= S3_PROOF_HEADER)
        store_findings_add(findings, "proof", STORE_OK, "",
                           "uploads carry their CRC64NVME, which the server verifies%s",
                           proof == S3_PROOF_TRAILER ? "; parts are read once" : "");
    else if (facts->seen[S3_FACT_SHA256] == S3_YES)
        store_findings_add(findings, "proof", STORE_OK, "",
                           "uploads are signed with their SHA-256, which the server verifies");
    else
        store_findings_add(findings, "proof", STORE_WARN,
                           "run lade check --download after a put; lade doctor --again looks anew",
                           "the server was not seen to verify any digest that lade sends");
}

static bool is_whole(const struct s3_facts *facts)
{
    for (size_t i = 0; i < S3_FACT_COUNT; i++)
        if (facts->seen[i] == S3_UNSEEN)
            return false;
    return true;
}

static void learn(struct s3_store *store, bool again, struct s3_facts *facts,
                  struct store_findings *findings)
{
    char *endpoint = s3_place_endpoint(&store->place);
    struct err err = { 0 };
    if (!again && s3_facts_load(facts, endpoint, store->place.bucket, clock_now_ns()) &&
        is_whole(facts)) {
        findings->probed_ns = facts->probed_ns;
    } else {
        struct err ignored = { 0 };
        s3_probe_all(store, facts, &ignored);
        if (s3_facts_save(facts, endpoint, store->place.bucket, &err) < 0)
            store_findings_add(findings, "cache", STORE_WARN,
                               "set XDG_CACHE_HOME to a directory that can be written",
                               "what was learnt is not kept: %s", err.text);
    }
    mem_release(endpoint);
}

static void tell_facts(struct s3_store *store, bool again, struct store_findings *findings)
{
    struct s3_facts facts = { 0 };
    learn(store, again, &facts, findings);
    static const char verifies[] = "a wrong one is refused";
    static const char ignores[] = "a wrong one is taken: it proves nothing here";
    tell_fact(&facts, S3_FACT_LIST_V2, "supported", "the first version is answered instead",
              findings);
    tell_fact(&facts, S3_FACT_MULTIPART, "supported", "not supported", findings);
    tell_fact(&facts, S3_FACT_IF_NONE_MATCH, "supported: two writers cannot both win",
              "not obeyed: lade looks before it stores", findings);
    tell_fact(&facts, S3_FACT_CRC64NVME, verifies, ignores, findings);
    tell_fact(&facts, S3_FACT_CRC64NVME_PART, verifies, ignores, findings);
    tell_fact(&facts, S3_FACT_TRAILER, verifies, ignores, findings);
    tell_fact(&facts, S3_FACT_CRC32C, verifies, ignores, findings);
    tell_fact(&facts, S3_FACT_CONTENT_MD5, verifies, ignores, findings);
    tell_fact(&facts, S3_FACT_SHA256, verifies, ignores, findings);
    tell_proof(store, &facts, findings);
}

static void tell_limits(const struct s3_store *store, struct store_findings *findings)
{
    const struct store_limits *limits = &store->base.limits;
    char least[UNITS_TEXT_MAX];
    char most[UNITS_TEXT_MAX];
    char whole[UNITS_TEXT_MAX];
    char parts[UNITS_TEXT_MAX];
    store_findings_add(
        findings, "limits", STORE_OK, "",
        "parts %s to %s, at most %s of them; objects %s; keys %u bytes below the "
        "location; metadata %u bytes beside lade's own",
        units_bytes(limits->min_part_bytes, least), units_bytes(limits->max_part_bytes, most),
        units_count(limits->max_parts, parts), units_bytes(limits->max_object_bytes, whole),
        limits->max_key_bytes, limits->max_meta_bytes);
}

/* ---- the whole ---- */

static void look(struct s3_store *store, const struct s3_config *config, bool again,
                 struct store_findings *findings)
{
    tell_credentials(config, findings);
    tell_endpoint(store, config, findings);
    const int reached = knock(store, findings);
    tell_region(store, config, findings);
    if (reached < 0)
        return;
    if (tell_access(store, findings))
        tell_facts(store, again, findings);
    tell_limits(store, findings);
}

void s3_diagnose(const char *path, const struct store_options *options, bool again,
                 struct store_findings *findings)
{
    struct s3_config config = { 0 };
    struct err err = { 0 };
    if (s3_config_load(&config, &options->access, &err) < 0) {
        store_findings_add_err(findings, "credentials", &err, "look into ~/.aws/config");
        return;
    }
    struct store *base = NULL;
    if (s3_driver.open(&base, path, options, &err) < 0) {
        store_findings_add_err(findings, "endpoint", &err, "see lade help doctor");
    } else {
        look(s3_store_of(base), &config, again, findings);
        s3_driver.close(base);
    }
    s3_config_done(&config);
}
