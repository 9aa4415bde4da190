#include "http/sigv4_chunks.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"

#include <assert.h>

/* ";chunk-signature=" + 64 digits */
#define SIGNATURE_BYTES (sizeof ";chunk-signature=" - 1 + SIGV4_SIGNATURE_BYTES - 1)
/* ":" + the CRC + CR LF */
#define TRAILER_BYTES (sizeof SIGV4_CRC64_TRAILER - 1 + 1 + DIGEST_CRC64_TEXT - 1 + 2)

/* "10000" + what is behind it + CR LF, data, CR LF */
static uint64_t frame_bytes(uint64_t data_bytes, size_t behind_bytes)
{
    uint64_t digits = 1;
    for (uint64_t rest = data_bytes >> 4; rest != 0; rest >>= 4)
        digits++;
    return digits + behind_bytes + 2 + data_bytes + 2;
}

static uint64_t frames_bytes(uint64_t inner_bytes, size_t chunk_bytes, size_t behind_bytes)
{
    const uint64_t rest = inner_bytes % chunk_bytes;
    return inner_bytes / chunk_bytes * frame_bytes(chunk_bytes, behind_bytes) +
           (rest != 0 ? frame_bytes(rest, behind_bytes) : 0) + frame_bytes(0, behind_bytes);
}

uint64_t sigv4_chunks_size(uint64_t inner_bytes, size_t chunk_bytes)
{
    return frames_bytes(inner_bytes, chunk_bytes, SIGNATURE_BYTES);
}

uint64_t sigv4_chunks_unsigned_size(uint64_t inner_bytes, size_t chunk_bytes)
{
    return frames_bytes(inner_bytes, chunk_bytes, 0) + TRAILER_BYTES;
}

static void start_over(struct sigv4_chunks *chunks)
{
    memcpy(chunks->signature, chunks->seed, sizeof chunks->signature);
    chunks->piece_bytes = 0;
    chunks->left_bytes = chunks->inner->size_bytes;
    chunks->next = SIGV4_CHUNKS_HEAD;
    chunks->is_first = true;
}

void sigv4_chunks_init(struct sigv4_chunks *chunks, struct body *inner, size_t chunk_bytes,
                       const struct sigv4_key *key, const struct sigv4_scope *scope,
                       const char *stamp)
{
    assert(chunk_bytes >= SIGV4_CHUNK_BYTES_MIN);
    *chunks = (struct sigv4_chunks){ .inner = inner, .key = key, .chunk_bytes = chunk_bytes };
    memcpy(chunks->stamp, stamp, sizeof chunks->stamp);
    SCOPED(buf) struct buf text = { 0 };
    buf_printf(&text, "%s/%s/%s/aws4_request", key->day, scope->region, scope->service);
    chunks->scope = buf_take(&text);
    start_over(chunks);
}

void sigv4_chunks_init_unsigned(struct sigv4_chunks *chunks, struct body *inner, size_t chunk_bytes,
                                const struct digest *trailer)
{
    assert(chunk_bytes >= SIGV4_CHUNK_BYTES_MIN);
    *chunks =
        (struct sigv4_chunks){ .inner = inner, .trailer = trailer, .chunk_bytes = chunk_bytes };
    start_over(chunks);
}

void sigv4_chunks_seed(struct sigv4_chunks *chunks, const char *seed)
{
    memcpy(chunks->seed, seed, sizeof chunks->seed);
    start_over(chunks);
}

/* The signature of a chunk; it covers that of the chunk before. */
static void sign_chunk(struct sigv4_chunks *chunks, const void *data, size_t len)
{
    char hash[SIGV4_SIGNATURE_BYTES];
    digest_sha256_hex(data, len, hash);
    SCOPED(buf) struct buf text = { 0 };
    buf_printf(&text, "AWS4-HMAC-SHA256-PAYLOAD\n%s\n%s\n%s\n" SIGV4_EMPTY "\n%s", chunks->stamp,
               chunks->scope, chunks->signature, hash);
    unsigned char signature[DIGEST_SHA256_BYTES];
    digest_hmac_sha256(chunks->key->bytes, sizeof chunks->key->bytes, text.data, text.len,
                       signature);
    digest_hex(signature, sizeof signature, chunks->signature);
}

static int next_piece(struct sigv4_chunks *chunks, struct err *err)
{
    const void *bytes = NULL;
    if (body_next(chunks->inner, &bytes, &chunks->piece_bytes, err) < 0)
        return -1;
    chunks->piece = bytes;
    return 0;
}

static size_t next_size(const struct sigv4_chunks *chunks)
{
    return chunks->left_bytes < chunks->chunk_bytes ? (size_t)chunks->left_bytes
                                                    : chunks->chunk_bytes;
}

/* Fill `want` bytes from pieces. The inner body is as long as it says, or fails. */
static int gather(struct sigv4_chunks *chunks, size_t want, struct err *err)
{
    if (chunks->chunk == NULL)
        chunks->chunk = mem_alloc(chunks->chunk_bytes);
    for (size_t done = 0; done < want;) {
        if (chunks->piece_bytes == 0 && next_piece(chunks, err) < 0)
            return -1;
        const size_t room = want - done;
        const size_t len = chunks->piece_bytes < room ? chunks->piece_bytes : room;
        memcpy(chunks->chunk + done, chunks->piece, len);
        chunks->piece += len;
        chunks->piece_bytes -= len;
        done += len;
    }
    chunks->data = chunks->chunk;
    return 0;
}

/* Point `data` at the next chunk: in the inner body's own piece where it holds one whole. */
static int take_chunk(struct sigv4_chunks *chunks, struct err *err)
{
    const size_t want = next_size(chunks);
    chunks->data_bytes = want;
    if (want == 0)
        return 0;
    if (chunks->piece_bytes == 0 && next_piece(chunks, err) < 0)
        return -1;
    if (chunks->piece_bytes >= want) {
        chunks->data = chunks->piece;
        chunks->piece += want;
        chunks->piece_bytes -= want;
    } else if (gather(chunks, want, err) < 0) {
        return -1;
    }
    chunks->left_bytes -= want;
    return 0;
}

/* The end of the chunk before and the head of the next; after the last, empty one also its end. */
static int make_head(struct sigv4_chunks *chunks, struct err *err)
{
    assert(chunks->signature[0] != '\0'); /* the seed was given */
    if (take_chunk(chunks, err) < 0)
        return -1;
    sign_chunk(chunks, chunks->data, chunks->data_bytes);
    snprintf(chunks->head, sizeof chunks->head, "%s%zx;chunk-signature=%s\r\n%s",
             chunks->is_first ? "" : "\r\n", chunks->data_bytes, chunks->signature,
             chunks->data_bytes == 0 ? "\r\n" : "");
    chunks->is_first = false;
    chunks->next = chunks->data_bytes == 0 ? SIGV4_CHUNKS_OVER : SIGV4_CHUNKS_DATA;
    return 0;
}

/* The same without signatures: a head says no more than the size, so the data passes through. */
static void make_unsigned_head(struct sigv4_chunks *chunks)
{
    const char *end = chunks->is_first ? "" : "\r\n";
    chunks->data_bytes = next_size(chunks);
    chunks->left_bytes -= chunks->data_bytes;
    chunks->is_first = false;
    chunks->next = SIGV4_CHUNKS_DATA;
    if (chunks->data_bytes != 0) {
        snprintf(chunks->head, sizeof chunks->head, "%s%zx\r\n", end, chunks->data_bytes);
        return;
    }
    char crc[DIGEST_CRC64_TEXT];
    digest_crc64_base64(chunks->trailer->crc64, crc);
    snprintf(chunks->head, sizeof chunks->head, "%s0\r\n" SIGV4_CRC64_TRAILER ":%s\r\n\r\n", end,
             crc);
    chunks->next = SIGV4_CHUNKS_OVER;
}

static int pass_piece(struct sigv4_chunks *chunks, const void **ret_bytes, size_t *ret_len,
                      struct err *err)
{
    if (chunks->piece_bytes == 0 && next_piece(chunks, err) < 0)
        return -1;
    const size_t len =
        chunks->piece_bytes < chunks->data_bytes ? chunks->piece_bytes : chunks->data_bytes;
    *ret_bytes = chunks->piece;
    *ret_len = len;
    chunks->piece += len;
    chunks->piece_bytes -= len;
    chunks->data_bytes -= len;
    chunks->next = chunks->data_bytes == 0 ? SIGV4_CHUNKS_HEAD : SIGV4_CHUNKS_DATA;
    return 0;
}

static int chunks_next(void *from, const void **ret_bytes, size_t *ret_len, struct err *err)
{
    struct sigv4_chunks *chunks = from;
    switch (chunks->next) {
    case SIGV4_CHUNKS_HEAD:
        if (chunks->trailer != NULL)
            make_unsigned_head(chunks);
        else if (make_head(chunks, err) < 0)
            return -1;
        *ret_bytes = chunks->head;
        *ret_len = strlen(chunks->head);
        break;
    case SIGV4_CHUNKS_DATA:
        if (chunks->trailer != NULL)
            return pass_piece(chunks, ret_bytes, ret_len, err);
        *ret_bytes = chunks->data;
        *ret_len = chunks->data_bytes;
        chunks->next = SIGV4_CHUNKS_HEAD;
        break;
    case SIGV4_CHUNKS_OVER:
        *ret_len = 0;
        break;
    }
    return 0;
}

static void chunks_rewind(void *from)
{
    struct sigv4_chunks *chunks = from;
    body_rewind(chunks->inner);
    start_over(chunks);
}

static const struct body_maker maker = { chunks_next, chunks_rewind };

struct body sigv4_chunks_body(struct sigv4_chunks *chunks)
{
    const uint64_t inner_bytes = chunks->inner->size_bytes;
    return body_of_maker(&maker, chunks,
                         chunks->trailer != NULL
                             ? sigv4_chunks_unsigned_size(inner_bytes, chunks->chunk_bytes)
                             : sigv4_chunks_size(inner_bytes, chunks->chunk_bytes));
}

void sigv4_chunks_done(struct sigv4_chunks *chunks)
{
    mem_free(chunks->scope);
    mem_free(chunks->chunk);
}
