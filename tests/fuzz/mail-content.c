/* Content byte by byte, whole, and cut where the first byte says: always the same. */
#include "base/check.h"
#include "mail/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct seen {
    struct buf plain, wire;
    struct unstuff in;
    struct stuff out;
    struct content content;
    size_t used;
};

static void look(struct seen *s, struct str in, size_t chunk)
{
    struct str rest = in;

    while (rest.len > 0) {
        struct str head = str_head(rest, chunk);
        size_t used;

        unstuff(&s->in, head, &s->plain, &used);
        s->used += used;
        content_add(&s->content, head);
        stuff(&s->out, head, &s->wire);
        rest = str_skip(rest, head.len);
    }
    stuff_end(&s->out, &s->wire);
}

static void must_agree(const struct seen *a, const struct seen *b)
{
    must(a->used == b->used);
    must(a->in.state == b->in.state);
    must(str_eq(buf_str(&a->plain), buf_str(&b->plain)));
    must(str_eq(buf_str(&a->wire), buf_str(&b->wire)));
    must(content_class(&a->content) == content_class(&b->content));
    must(a->content.ends_line == b->content.ends_line);
    must(a->content.bytes == b->content.bytes);
}

/* What was sent comes back as it was. */
static void must_return(const struct seen *s, struct str in)
{
    struct unstuff u = {0};
    struct buf back BUF_LOCAL = {0};
    size_t used;

    must(unstuff(&u, buf_str(&s->wire), &back, &used));
    must(used == s->wire.len);
    must(str_starts(buf_str(&back), in));
    must(back.len == in.len + (s->out.final_crlf_added ? 2 : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct seen whole = {0}, single = {0}, cut = {0};
    struct str in = {(const char *)bytes, len};

    look(&whole, in, len);
    look(&single, in, 1);
    look(&cut, in, len > 0 ? bytes[0] % 37 + 2u : 1);
    must_agree(&whole, &single);
    must_agree(&whole, &cut);
    must_return(&whole, in);
    buf_done(&whole.plain);
    buf_done(&whole.wire);
    buf_done(&single.plain);
    buf_done(&single.wire);
    buf_done(&cut.plain);
    buf_done(&cut.wire);
    return 0;
}
