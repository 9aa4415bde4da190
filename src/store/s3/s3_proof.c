/* What a put may rely on: which digest the server is known to verify. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/s3/s3_internal.h"

static void save(struct s3_store *store, const struct s3_facts *facts, const char *endpoint)
{
    struct err err = { 0 };
    if (s3_facts_save(facts, endpoint, store->place.bucket, &err) < 0)
        log_line(LOG_DEBUG, "s3", store->place.bucket, "what was learnt is not kept: %s", err.text);
}

enum s3_proof s3_proof_of(const struct s3_facts *facts)
{
    if (facts->seen[S3_FACT_CRC64NVME] != S3_YES || facts->seen[S3_FACT_CRC64NVME_PART] != S3_YES)
        return S3_PROOF_SHA256;
    return facts->seen[S3_FACT_TRAILER] == S3_YES ? S3_PROOF_TRAILER : S3_PROOF_HEADER;
}

void s3_proof_recall(struct s3_store *store)
{
    struct s3_facts facts;
    if (!s3_is_tls(store)) {
        atomic_store(&store->proof, S3_PROOF_SHA256);
        return;
    }
    char *endpoint = s3_place_endpoint(&store->place);
    if (s3_facts_load(&facts, endpoint, store->place.bucket, clock_now_ns()) &&
        facts.seen[S3_FACT_CRC64NVME] != S3_UNSEEN)
        atomic_store(&store->proof, s3_proof_of(&facts));
    mem_release(endpoint);
}

static enum s3_proof find_proof(struct s3_store *store)
{
    struct s3_facts facts = { 0 };
    struct err ignored = { 0 }; /* what stops the probe stops the put too, and is told there */
    (void)!s3_probe_clean(store, &ignored);
    err_clear(&ignored);
    s3_probe_crc64(store, &facts, &ignored);
    if (facts.seen[S3_FACT_CRC64NVME] != S3_UNSEEN) {
        char *endpoint = s3_place_endpoint(&store->place);
        save(store, &facts, endpoint);
        mem_release(endpoint);
    }
    return s3_proof_of(&facts);
}

enum s3_proof s3_proof(struct s3_store *store)
{
    int proof = S3_PROOF_UNKNOWN;
    if (atomic_compare_exchange_strong(&store->proof, &proof, S3_PROOF_ASKING)) {
        proof = find_proof(store);
        atomic_store(&store->proof, proof);
    }
    return proof == S3_PROOF_ASKING ? S3_PROOF_SHA256 : (enum s3_proof)proof;
}

bool s3_doubts(struct s3_store *store, enum s3_proof proof, const struct err *err)
{
    const bool is_other = err->kind == ERR_CORRUPT || err->kind == ERR_NET ||
                          err->kind == ERR_BUSY || err->kind == ERR_AUTH;
    if (is_other || (err->http != 400 && err->http != 501))
        return false;
    char *endpoint = s3_place_endpoint(&store->place);
    /* Not above what another worker came to meanwhile. */
    int now = atomic_load(&store->proof);
    while (now >= (int)proof && !atomic_compare_exchange_weak(&store->proof, &now, (int)proof - 1))
        ;
    s3_facts_forget(endpoint, store->place.bucket);
    mem_release(endpoint);
    return true;
}
