#include "queue/pause.h"

#include "base/mem.h"
#include "queue/events.h"
#include "runtime/log.h"
#include "store/tlv.h"

/* Tags of the stored form; never given to another fact. */
enum {
    TAG_PAUSE = 1,
    TAG_NAME = 1,
    TAG_QUEUE,
    TAG_SITE,
    TAG_SENDER,
    TAG_RCPT,
    TAG_TEXT,
    TAG_ALL,
    TAG_WHO,
    TAG_WHY,
    TAG_SINCE,
    TAG_UNTIL
};

static const struct {
    uint8_t tag;
    size_t offset;
} texts[] = {
    {TAG_NAME, offsetof(struct pause, name)},
    {TAG_QUEUE, offsetof(struct pause, which.queue)},
    {TAG_SITE, offsetof(struct pause, which.site)},
    {TAG_SENDER, offsetof(struct pause, which.sender)},
    {TAG_RCPT, offsetof(struct pause, which.rcpt)},
    {TAG_TEXT, offsetof(struct pause, which.text)},
    {TAG_WHO, offsetof(struct pause, who)},
    {TAG_WHY, offsetof(struct pause, why)},
};

bool pause_is_wide(const struct pause *p)
{
    const struct selection *s = &p->which;
    bool has_place = (s->queue.len > 0) != (s->site.len > 0);

    return p->all || p->is_broken ||
           (has_place && s->sender.len == 0 && s->rcpt.len == 0 && s->text.len == 0);
}

static bool is_over(const struct pause *p, struct date now)
{
    return p->until.ms <= now.ms;
}

/* ---- stored form ---- */

static void encode(const struct pause *p, struct buf *out)
{
    size_t begun = tlv_begin(out, TAG_PAUSE);

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        const struct str *s = (const void *)((const char *)p + texts[i].offset);

        if (s->len > 0) {
            tlv_put(out, texts[i].tag, *s);
        }
    }
    if (p->all) {
        tlv_put_num(out, TAG_ALL, 1);
    }
    tlv_put_num(out, TAG_SINCE, (uint64_t)p->since.ms);
    if (!date_is_never(p->until)) {
        tlv_put_num(out, TAG_UNTIL, (uint64_t)p->until.ms);
    }
    tlv_end(out, begun);
}

void pauses_encode(const struct pauses *old, struct str without, const struct pause *add,
                   struct date now, struct buf *out)
{
    for (uint32_t i = 0; old != NULL && i < old->count; i++) {
        if (!str_eq(old->items[i].name, without) && !is_over(&old->items[i], now)) {
            encode(&old->items[i], out);
        }
    }
    if (add != NULL) {
        encode(add, out);
    }
}

static bool decode_date(struct str value, struct date *ret)
{
    uint64_t n;

    if (!tlv_num(value, &n) || n > INT64_MAX) {
        return false;
    }
    ret->ms = (int64_t)n;
    return true;
}

static bool decode_member(const struct tlv *item, struct arena *a, struct pause *p)
{
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (texts[i].tag == item->tag) {
            *(struct str *)(void *)((char *)p + texts[i].offset) = arena_dup(a, item->value);
            return true;
        }
    }
    switch (item->tag) {
    case TAG_ALL:
        p->all = true;
        return true;
    case TAG_SINCE:
        return decode_date(item->value, &p->since);
    case TAG_UNTIL:
        return decode_date(item->value, &p->until);
    default:
        return true; /* of a newer version */
    }
}

static bool decode(struct str bytes, struct arena *a, struct pause *p)
{
    struct tlv_reader r = tlv_read(bytes);
    struct buf why BUF_LOCAL = {0};
    struct tlv item;

    *p = (struct pause){.until = DATE_NEVER};
    while (tlv_next(&r, &item)) {
        if (!decode_member(&item, a, p)) {
            return false;
        }
    }
    if (r.bad || p->name.len == 0) {
        return false;
    }
    if (select_compile(&p->which, &why).code != OK) {
        p->is_broken = true;
        event_raise(&ev_pause_broken, f_name(p->name), f_text(buf_str(&why)));
    }
    return true;
}

struct err pauses_decode(struct str bytes, struct pauses **ret)
{
    struct pauses *p = MEM_NEW(struct pauses);
    struct tlv_reader r = tlv_read(bytes);
    struct tlv item;
    bool is_good = true;

    p->items = arena_array(&p->arena, PAUSES_MAX, sizeof *p->items);
    atomic_store(&p->references, 1);
    while (is_good && tlv_next(&r, &item)) {
        is_good = item.tag != TAG_PAUSE ||
                  (p->count < PAUSES_MAX && decode(item.value, &p->arena, &p->items[p->count]));
        if (is_good && item.tag == TAG_PAUSE) {
            p->has_narrow = p->has_narrow || !pause_is_wide(&p->items[p->count]);
            p->count++;
        }
    }
    if (!is_good || r.bad) {
        pauses_give(p);
        return err_of(ERR_CORRUPT);
    }
    *ret = p;
    return ERR_OK;
}

struct pauses *pauses_take(struct pauses *p)
{
    if (p != NULL) {
        atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
    }
    return p;
}

void pauses_give(struct pauses *p)
{
    if (p == NULL || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        select_done(&p->items[i].which);
    }
    arena_done(&p->arena);
    mem_free(p);
}

/* ---- whom they cover ---- */

const struct pause *pauses_find(const struct pauses *p, struct str name)
{
    for (uint32_t i = 0; p != NULL && i < p->count; i++) {
        if (str_eq(p->items[i].name, name)) {
            return &p->items[i];
        }
    }
    return NULL;
}

const struct pause *pauses_queue(const struct pauses *p, struct str queue, struct date now)
{
    for (uint32_t i = 0; p != NULL && i < p->count; i++) {
        const struct pause *each = &p->items[i];
        bool covers = each->all || each->is_broken || str_eq(each->which.queue, queue);

        if (pause_is_wide(each) && covers && !is_over(each, now)) {
            return each;
        }
    }
    return NULL;
}

const struct pause *pauses_site(const struct pauses *p, struct str site, struct date now)
{
    for (uint32_t i = 0; p != NULL && i < p->count; i++) {
        const struct pause *each = &p->items[i];

        if (pause_is_wide(each) && each->which.site.len > 0 && !is_over(each, now) &&
            select_site(each->which.site, site)) {
            return each;
        }
    }
    return NULL;
}

const struct pause *pauses_match(const struct pauses *p, const struct message *m,
                                 const struct recipient *r, struct date now, struct arena *a)
{
    for (uint32_t i = 0; p != NULL && i < p->count; i++) {
        const struct pause *each = &p->items[i];
        const char *failed = NULL;

        /* Where it cannot be told whether mail is meant, it waits. */
        if (!pause_is_wide(each) && !is_over(each, now) &&
            (select_match(&each->which, m, r, now, a, &failed) || failed != NULL)) {
            return each;
        }
    }
    return NULL;
}

struct date pauses_end(const struct pauses *p)
{
    struct date end = DATE_NEVER;

    for (uint32_t i = 0; p != NULL && i < p->count; i++) {
        end = date_earlier(end, p->items[i].until);
    }
    return end;
}

struct str pause_text(const struct pause *p, struct arena *a)
{
    if (p->is_broken) {
        return arena_printf(a, "pause %.*s, whose expression cannot be read any more: resume it",
                            STR_ARG(p->name));
    }
    return p->why.len > 0 ? arena_printf(a, "pause %.*s: %.*s", STR_ARG(p->name), STR_ARG(p->why))
                          : arena_printf(a, "pause %.*s", STR_ARG(p->name));
}
