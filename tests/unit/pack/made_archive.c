#include "made_archive.h"

#include "base/ban.h"

#define BLOCK 512u

static int read_made(void *from, uint64_t offset_bytes, void *bytes, size_t len, size_t *ret_len,
                     struct err *err)
{
    const struct made_source *made = from;
    if (offset_bytes >= made->fails_from)
        return err_set(err, ERR_NET, "no answer");
    const uint64_t left = offset_bytes < made->bytes->len ? made->bytes->len - offset_bytes : 0;
    *ret_len = len < left ? len : (size_t)left;
    if (*ret_len != 0)
        memcpy(bytes, made->bytes->data + offset_bytes, *ret_len);
    return 0;
}

void made_source_of(struct made_source *made, const struct buf *bytes)
{
    *made = (struct made_source){
        .source = { .from = made, .size_bytes = bytes->len, .read = read_made },
        .bytes = bytes,
        .fails_from = UINT64_MAX,
    };
}

static void put_text(char *head, size_t at, size_t most, const char *text)
{
    const size_t len = strlen(text);
    memcpy(head + at, text, len < most ? len : most);
}

void made_member(struct buf *tar, const char *name, char type, const char *data, const char *target)
{
    char head[BLOCK] = { 0 };
    char size[24];
    const size_t len = strlen(data);
    snprintf(size, sizeof size, "%011zo", len);
    put_text(head, 0, 100, name);
    put_text(head, 100, 8, "0000644");
    put_text(head, 108, 8, "0000000");
    put_text(head, 116, 8, "0000000");
    put_text(head, 124, 12, size);
    put_text(head, 136, 12, "13132210000");
    put_text(head, 148, 8, "        ");
    head[156] = type;
    put_text(head, 157, 100, target);
    memcpy(head + 257,
           "ustar\0"
           "00",
           8);
    unsigned sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)head[i];
    char text[16];
    snprintf(text, sizeof text, "%06o", sum);
    memcpy(head + 148, text, 7);
    buf_add(tar, head, sizeof head);
    if (len == 0)
        return;
    char block[BLOCK] = { 0 };
    buf_add(tar, data, len);
    buf_add(tar, block, (BLOCK - len % BLOCK) % BLOCK);
}

void made_end(struct buf *tar)
{
    const char block[2 * BLOCK] = { 0 };
    buf_add(tar, block, sizeof block);
}
