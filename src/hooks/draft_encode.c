#include "hooks/draft.h"
#include "hooks/policy.h"

static const char *const inbound[] = {
    "/stage",  "/action",   "/timestamp", "/protocol",   "/queue",
    "/server", "/envelope", "/message",   "/rawMessage", "/response",
    "/client", "/tls",      "/auth",      "/senderAuth", "/ext/" POLICY_NAMESPACE,
    NULL};
static const char *const outbound[] = {"/stage",      "/action", "/timestamp", "/protocol",
                                       "/queue",      "/server", "/envelope",  "/message",
                                       "/rawMessage", NULL};

const char *const *draft_properties(bool is_outbound)
{
    return is_outbound ? outbound : inbound;
}

bool draft_is_in(const struct pointer *p, const struct str_set *set, struct arena *a)
{
    struct pointer one;

    for (uint32_t i = 0; i < set->count; i++) {
        if (pointer_parse(set->items[i], a, &one) && pointer_is_within(p, &one)) {
            return true;
        }
    }
    return false;
}

static struct draft_wanted parse_wanted(const struct hook_terms *terms, struct arena *a)
{
    struct draft_wanted w = {arena_array(a, terms->properties.count, sizeof(*w.items)), 0};

    for (uint32_t i = 0; i < terms->properties.count; i++) {
        w.count += pointer_parse(terms->properties.items[i], a, &w.items[w.count]);
    }
    return w;
}

bool draft_touches(const struct draft_wanted *w, const char *member, const char *below)
{
    for (uint32_t i = 0; i < w->count; i++) {
        const struct pointer *p = &w->items[i];

        if (p->count == 0 ||
            (str_eq(p->tokens[0], str_of(member)) &&
             (p->count == 1 || below == NULL || str_eq(p->tokens[1], str_of(below))))) {
            return true;
        }
    }
    return false;
}

/* Something of the message that only taking it apart gives. */
static bool wants_parts(const struct draft_wanted *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        const struct pointer *p = &w->items[i];

        if (p->count < 2
                ? draft_touches(w, "message", "")
                : str_eq(p->tokens[0], STR("message")) && !str_eq(p->tokens[1], STR("size")) &&
                      !str_eq(p->tokens[1], STR("headers"))) {
            return true;
        }
    }
    return false;
}

/* Whether `d`, at the path of `depth` tokens, is one of the pointers; *below: part of it may be. */
static bool is_wanted(const struct draft_wanted *w, const struct str *path, uint32_t depth,
                      bool *below)
{
    struct pointer here = {.tokens = NULL, .count = depth};
    struct str tokens[POINTER_TOKENS_MAX];

    for (uint32_t i = 0; i < depth; i++) {
        tokens[i] = path[i];
    }
    here.tokens = tokens;
    *below = false;
    for (uint32_t i = 0; i < w->count; i++) {
        if (pointer_is_within(&here, &w->items[i])) {
            return true;
        }
        *below = *below || pointer_is_within(&w->items[i], &here);
    }
    return false;
}

/* What was agreed on of `d` and no more: a pointer into a list or a text selects nothing of it. */
static bool select_from(const struct doc *d, const struct draft_wanted *w, struct str *path,
                        uint32_t depth, struct arena *a, struct doc *ret)
{
    bool below;

    if (is_wanted(w, path, depth, &below)) {
        *ret = *d;
        return true;
    }
    if (!below || depth == POINTER_TOKENS_MAX) {
        return false;
    }
    if (d->kind == DOC_NULL) {
        *ret = *d;
        return true;
    }
    *ret = doc_object();
    if (d->kind != DOC_OBJECT) {
        return false;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        struct doc value;

        path[depth] = d->members[i].key;
        if (select_from(&d->members[i].value, w, path, depth + 1, a, &value)) {
            doc_put(ret, a, d->members[i].key, value);
        }
    }
    return ret->count > 0 || depth == 0;
}

bool draft_wants_body(const struct hook_terms *terms)
{
    static const char *const of_headers[] = {
        "size",   "headers", "messageId", "inReplyTo", "references", "subject", "sentAt",
        "sender", "from",    "to",        "cc",        "bcc",        "replyTo", NULL};
    struct arena a ARENA_LOCAL = {0};
    struct draft_wanted w = parse_wanted(terms, &a);

    for (uint32_t i = 0; i < w.count; i++) {
        bool is_header = false;

        if (w.items[i].count > 0 && !str_eq(w.items[i].tokens[0], STR("message"))) {
            continue;
        }
        for (int k = 0; w.items[i].count > 1 && of_headers[k] != NULL; k++) {
            is_header = is_header || str_eq(w.items[i].tokens[1], str_of(of_headers[k]));
        }
        if (!is_header) {
            return true;
        }
    }
    return false;
}

/* The head of a byte string whose contents follow. */
static void put_bytes_head(struct buf *out, uint64_t len)
{
    int more = len < 24 ? 0 : len <= 0xff ? 1 : len <= 0xffff ? 2 : len <= 0xffffffff ? 4 : 8;

    buf_byte(out, (char)(0x40 | (more == 0   ? (int)len
                                 : more == 1 ? 24
                                 : more == 2 ? 25
                                 : more == 4 ? 26
                                             : 27)));
    for (int i = more - 1; i >= 0; i--) {
        buf_byte(out, (char)(len >> (8 * i)));
    }
}

void draft_encode(const struct hook_view *view, const struct hook_terms *terms, struct arena *a,
                  struct hook_request *ret)
{
    struct draft_wanted w = parse_wanted(terms, a);
    struct str path[POINTER_TOKENS_MAX];
    bool below, has_raw;
    struct doc whole, d = doc_object();

    path[0] = STR("rawMessage");
    has_raw = is_wanted(&w, path, 1, &below);
    draft_tree(view, wants_parts(&w), &w, a, &whole);
    select_from(&whole, &w, path, 0, a, &d);
    if (d.members == whole.members) {
        d = doc_copy(&whole, a); /* the root itself was agreed on */
    }
    if (has_raw) {
        /* Last, so that what was written after its contents would begin is known. */
        doc_put(&d, a, STR("rawMessage"),
                view->has_message ? (struct doc){.kind = DOC_BYTES, .text = STR_EMPTY}
                                  : doc_null());
    }
    *ret = (struct hook_request){.insert = HOOK_INSERT_NONE};
    if (terms->is_cbor) {
        ret->content_type = "application/cbor";
        doc_write_cbor(&ret->before, &d);
    } else {
        ret->content_type = "application/json";
        doc_write_json(&ret->before, &d);
    }
    if (!has_raw || !view->has_message) {
        return;
    }
    if (terms->is_cbor) {
        ret->before.len -= 1; /* the head of an empty byte string */
        put_bytes_head(&ret->before, view->message_bytes);
        ret->insert = HOOK_INSERT_CBOR_MESSAGE;
    } else {
        ret->before.len -= 2; /* "} */
        buf_put(&ret->after, STR("\"}"));
        ret->insert = HOOK_INSERT_BASE64_MESSAGE;
    }
}
