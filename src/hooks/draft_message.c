/*
 * The message taken apart, in the shape of RFC 8621 section 4, with contents in place of blob ids:
 * text parts as bodyValues, all others as `blob`.
 */
#include "hooks/draft.h"
#include "mime/mime.h"

static void put(struct doc *to, struct arena *a, const char *key, struct doc value)
{
    doc_put(to, a, str_of(key), value);
}

static struct doc text_or_null(struct str s)
{
    return s.len > 0 ? doc_text(s) : doc_null();
}

static struct doc texts_or_null(const struct mime_texts *t, struct arena *a)
{
    struct doc list = doc_list();

    for (uint32_t i = 0; i < t->count; i++) {
        doc_insert(&list, a, i, doc_text(t->items[i]));
    }
    return t->count > 0 ? list : doc_null();
}

static struct doc addresses_or_null(const struct mime_addresses *t, struct arena *a)
{
    struct doc list = doc_list();

    for (uint32_t i = 0; i < t->count; i++) {
        struct doc d = doc_object();

        put(&d, a, "name", text_or_null(t->items[i].name));
        put(&d, a, "email", doc_text(t->items[i].email));
        doc_insert(&list, a, i, d);
    }
    return t->count > 0 ? list : doc_null();
}

static struct doc make_headers(const struct mime_part *p, struct arena *a)
{
    struct doc list = doc_list();

    doc_reserve(&list, a, p->header_count);
    for (uint32_t i = 0; i < p->header_count; i++) {
        struct doc d = doc_object();

        put(&d, a, "name", doc_text(p->headers[i].name));
        put(&d, a, "value", doc_text(p->headers[i].value));
        doc_insert(&list, a, i, d);
    }
    return list;
}

enum { PART_MEMBERS = 11 };

/* EmailBodyPart; with its sub-parts where it stands in bodyStructure. */
static struct doc make_part(const struct mime_part *p, bool is_whole, struct arena *a)
{
    bool is_leaf = p->id.len > 0;
    struct doc d = doc_object();

    doc_reserve(&d, a, PART_MEMBERS);
    put(&d, a, "partId", text_or_null(p->id));
    put(&d, a, "size", doc_int((int64_t)p->content.len));
    put(&d, a, "headers", make_headers(p, a));
    put(&d, a, "name", text_or_null(p->name));
    put(&d, a, "type", doc_text(p->type));
    put(&d, a, "charset",
        p->charset.len > 0 ? doc_text(p->charset)
        : p->is_text       ? doc_text(STR("us-ascii"))
                           : doc_null());
    put(&d, a, "disposition", text_or_null(p->disposition));
    put(&d, a, "cid", text_or_null(p->cid));
    put(&d, a, "language", texts_or_null(&p->language, a));
    put(&d, a, "location", text_or_null(p->location));
    if (is_whole && is_leaf && !p->is_text) {
        put(&d, a, "blob", (struct doc){.kind = DOC_BYTES, .text = p->content});
    }
    if (is_whole && !is_leaf) {
        struct doc parts = doc_list();

        for (uint32_t i = 0; i < p->part_count; i++) {
            doc_insert(&parts, a, i, make_part(&p->parts[i], true, a));
        }
        put(&d, a, "subParts", parts);
    }
    return d;
}

static void put_values(struct doc *values, const struct mime_part *p, struct arena *a)
{
    if (p->id.len > 0 && p->is_text) {
        struct doc d = doc_object();

        put(&d, a, "value", doc_text(p->text));
        put(&d, a, "isEncodingProblem", doc_bool(p->has_problem));
        put(&d, a, "isTruncated", doc_bool(false));
        doc_put(values, a, p->id, d);
    }
    for (uint32_t i = 0; i < p->part_count; i++) {
        put_values(values, &p->parts[i], a);
    }
}

/* RFC 8621 section 4.1.4: which parts are shown as the body, and which hang on it. */
struct views {
    struct arena *a;
    struct doc text, html, attachments;
};

struct place {
    struct str multipart; /* "mixed" for the root */
    bool in_alternative;
    bool no_text, no_html; /* here that view is not added to any more */
};

static struct str subtype(struct str type)
{
    size_t at = str_find(type, '/');

    return at == STR_NONE ? STR_EMPTY : str_skip(type, at + 1);
}

static bool is_inline_media(struct str type)
{
    return str_starts_nocase(type, STR("image/")) || str_starts_nocase(type, STR("audio/")) ||
           str_starts_nocase(type, STR("video/"));
}

static void add(struct views *v, struct doc *to, const struct mime_part *p)
{
    doc_insert(to, v->a, to->count, make_part(p, false, v->a));
}

static void sort_leaf(struct views *v, const struct mime_part *p, uint32_t index, struct place *at)
{
    bool is_plain = str_eq_nocase(p->type, STR("text/plain"));
    bool is_html = str_eq_nocase(p->type, STR("text/html"));
    bool is_inline = !str_eq_nocase(p->disposition, STR("attachment")) &&
                     (is_plain || is_html || is_inline_media(p->type)) &&
                     (index == 0 || (!str_eq_nocase(at->multipart, STR("related")) &&
                                     (is_inline_media(p->type) || p->name.len == 0)));

    if (!is_inline) {
        add(v, &v->attachments, p);
        return;
    }
    if (str_eq_nocase(at->multipart, STR("alternative"))) {
        add(v, is_plain ? &v->text : is_html ? &v->html : &v->attachments, p);
        return;
    }
    at->no_html = at->no_html || (at->in_alternative && is_plain);
    at->no_text = at->no_text || (at->in_alternative && is_html);
    if (!at->no_text) {
        add(v, &v->text, p);
    }
    if (!at->no_html) {
        add(v, &v->html, p);
    }
    if ((at->no_text || at->no_html) && is_inline_media(p->type)) {
        add(v, &v->attachments, p);
    }
}

/* Appends to `to` what `from` has from `start` on. */
static void share(struct views *v, struct doc *to, const struct doc *from, uint32_t start)
{
    for (uint32_t i = start; i < from->count; i++) {
        doc_insert(to, v->a, to->count, from->members[i].value);
    }
}

static void sort_parts(struct views *v, const struct mime_part *parts, uint32_t count,
                       struct place at)
{
    uint32_t texts = v->text.count, htmls = v->html.count;

    for (uint32_t i = 0; i < count; i++) {
        const struct mime_part *p = &parts[i];

        if (p->id.len > 0) {
            sort_leaf(v, p, i, &at);
        } else {
            struct place below = at;

            below.multipart = subtype(p->type);
            below.in_alternative = at.in_alternative ||
                                   str_eq_nocase(below.multipart, STR("alternative"));
            sort_parts(v, p->parts, p->part_count, below);
        }
    }
    /* An alternative that had only one of the two is shown in both. */
    if (str_eq_nocase(at.multipart, STR("alternative")) && !at.no_text && !at.no_html) {
        if (v->text.count == texts) {
            share(v, &v->text, &v->html, htmls);
        } else if (v->html.count == htmls) {
            share(v, &v->html, &v->text, texts);
        }
    }
}

static void put_body(struct doc *to, const struct mime_message *m, struct arena *a)
{
    struct views v = {.a = a, .text = doc_list(), .html = doc_list(), .attachments = doc_list()};
    struct doc values = doc_object();

    put_values(&values, &m->root, a);
    sort_parts(&v, &m->root, 1, (struct place){.multipart = STR("mixed")});
    put(to, a, "bodyStructure", make_part(&m->root, true, a));
    put(to, a, "bodyValues", values);
    put(to, a, "hasAttachment", doc_bool(v.attachments.count > 0));
    put(to, a, "textBody", v.text);
    put(to, a, "htmlBody", v.html);
    put(to, a, "attachments", v.attachments);
}

static void put_fields(struct doc *to, const struct mime_message *m, struct arena *a)
{
    put(to, a, "messageId", texts_or_null(&m->message_id, a));
    put(to, a, "inReplyTo", texts_or_null(&m->in_reply_to, a));
    put(to, a, "references", texts_or_null(&m->references, a));
    put(to, a, "subject", m->has_subject ? doc_text(m->subject) : doc_null());
    put(to, a, "sentAt", text_or_null(m->sent_at));
    put(to, a, "sender", addresses_or_null(&m->sender, a));
    put(to, a, "from", addresses_or_null(&m->from, a));
    put(to, a, "to", addresses_or_null(&m->to, a));
    put(to, a, "cc", addresses_or_null(&m->cc, a));
    put(to, a, "bcc", addresses_or_null(&m->bcc, a));
    put(to, a, "replyTo", addresses_or_null(&m->reply_to, a));
}

void draft_put_message(struct doc *to, const struct hook_view *view, struct arena *a)
{
    bool has_body = view->body.read == NULL;
    struct buf all BUF_LOCAL = {.max = MIME_BYTES_MAX};
    struct mime_message m;

    draft_put_headers(&all, view);
    if (has_body) {
        buf_put(&all, view->body.whole);
    }
    /* Too large or of too many parts: headers and size, which stand there already, are all. */
    if (all.failed || mime_parse(buf_str(&all), a, &m).code != OK) {
        return;
    }
    put_fields(to, &m, a);
    if (has_body) {
        put_body(to, &m, a);
    }
}
