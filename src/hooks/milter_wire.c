#include "hooks/milter_wire.h"

#include "base/check.h"
#include "mail/text.h"

enum { REPLY_TEXT_MAX = 1000, REPLY_LINES = 64 };

enum shape {
    SHAPE_NOTHING,
    SHAPE_TEXT,
    SHAPE_BYTES,
    SHAPE_FIELD,
    SHAPE_INDEXED,
    SHAPE_ADDRESS,
    SHAPE_PARAMS
};

static const struct word {
    enum milter_word word;
    enum shape shape;
    uint32_t right;
    const char *text;
} words[] = {
#define MILTER_WORD(name, shape, right, text) {MILTER_##name, SHAPE_##shape, right, text},
#include "hooks/milter_words.def"
#undef MILTER_WORD
};

static const struct word *word_find(unsigned char letter)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (words[i].word == (enum milter_word)letter) {
            return &words[i];
        }
    }
    return NULL;
}

const char *milter_word_name(enum milter_word word)
{
    const struct word *w = word_find((unsigned char)word);

    return w != NULL ? w->text : word == MILTER_TERMS ? "terms" : "?";
}

bool milter_word_is_edit(enum milter_word word, enum milter_right *right)
{
    const struct word *w = word_find((unsigned char)word);

    if (w == NULL || w->right == 0) {
        return false;
    }
    *right = (enum milter_right)w->right;
    return true;
}

struct milter_terms milter_offer(uint32_t version)
{
    bool is_old = version < MILTER_VERSION;

    return (struct milter_terms){.version = version,
                                 .rights = is_old ? MILTER_RIGHTS_2 : MILTER_RIGHTS,
                                 .steps = is_old ? MILTER_STEPS_2 : MILTER_STEPS,
                                 .data_bytes_max = MILTER_DATA_BYTES};
}

/* ---- commands ---- */

static void put_u32(struct buf *out, uint32_t n)
{
    char at[4] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};

    buf_put(out, str_make(at, sizeof at));
}

/* The length is filled in once it is known. */
static size_t packet_begin(struct buf *out, enum milter_command command)
{
    size_t at = out->len;

    put_u32(out, 0);
    buf_byte(out, (char)command);
    return at;
}

static void packet_end(struct buf *out, size_t at)
{
    if (!out->failed) {
        uint32_t n = (uint32_t)(out->len - at - MILTER_HEAD_BYTES);

        for (unsigned i = 0; i < MILTER_HEAD_BYTES; i++) {
            out->ptr[at + i] = (char)(n >> (24 - 8 * i));
        }
    }
}

static void put_text(struct buf *out, struct str s)
{
    char *at = buf_room(out, s.len + 1);

    if (at != NULL) {
        for (size_t i = 0; i < s.len; i++) {
            at[i] = s.ptr[i] != '\0' ? s.ptr[i] : '?';
        }
        at[s.len] = '\0';
        out->len += s.len + 1;
    }
}

void milter_put_offer(struct buf *out, const struct milter_terms *offer)
{
    size_t at = packet_begin(out, MILTER_NEGOTIATE);

    put_u32(out, offer->version);
    put_u32(out, offer->rights);
    put_u32(out, offer->steps);
    packet_end(out, at);
}

void milter_put_macros(struct buf *out, enum milter_command before,
                       const struct milter_macro *macros, size_t count)
{
    size_t at;

    if (count == 0) {
        return;
    }
    at = packet_begin(out, MILTER_MACRO);
    buf_byte(out, (char)before);
    for (size_t i = 0; i < count; i++) {
        put_text(out, macros[i].name);
        put_text(out, macros[i].value);
    }
    packet_end(out, at);
}

void milter_put_connect(struct buf *out, struct str host, const struct addr *from)
{
    size_t at = packet_begin(out, MILTER_CONNECT);
    char text[ADDR_BYTES];

    put_text(out, host);
    if (from->family == 0) {
        buf_byte(out, 'U');
    } else {
        buf_byte(out, from->family == 6 ? '6' : '4');
        buf_byte(out, (char)(from->port >> 8));
        buf_byte(out, (char)from->port);
        put_text(out, addr_print_ip(from, text));
    }
    packet_end(out, at);
}

void milter_put_texts(struct buf *out, enum milter_command command, const struct str *texts,
                      size_t count)
{
    size_t at = packet_begin(out, command);

    for (size_t i = 0; i < count; i++) {
        put_text(out, texts[i]);
    }
    packet_end(out, at);
}

void milter_put_bare(struct buf *out, enum milter_command command)
{
    packet_end(out, packet_begin(out, command));
}

void milter_put_body_head(struct buf *out, uint32_t bytes)
{
    put_u32(out, bytes + 1);
    buf_byte(out, (char)MILTER_BODY);
}

/* ---- replies ---- */

static uint32_t get_u32(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

bool milter_packet_bytes(const char head[MILTER_HEAD_BYTES], uint32_t *ret)
{
    uint32_t n = get_u32(head);

    if (n < 1 || n > MILTER_PACKET_BYTES_MAX) {
        return false;
    }
    *ret = n;
    return true;
}

static struct err bad(const char **why, const char *text)
{
    *why = text;
    return err_of(ERR_PROTOCOL);
}

static bool take_u32(struct str *in, uint32_t *ret)
{
    if (in->len < 4) {
        return false;
    }
    *ret = get_u32(in->ptr);
    *in = str_skip(*in, 4);
    return true;
}

static bool take_text(struct str *in, struct str *ret)
{
    return str_cut(in, '\0', ret);
}

static bool take_shape(enum shape shape, struct str *in, struct milter_reply *r)
{
    switch (shape) {
    case SHAPE_NOTHING:
        return true;
    case SHAPE_TEXT:
        return take_text(in, &r->value);
    case SHAPE_BYTES:
        r->value = *in;
        *in = str_skip(*in, in->len);
        return true;
    case SHAPE_INDEXED:
        return take_u32(in, &r->index) && take_text(in, &r->name) && take_text(in, &r->value);
    case SHAPE_FIELD:
        return take_text(in, &r->name) && take_text(in, &r->value);
    case SHAPE_ADDRESS:
        return take_text(in, &r->name);
    case SHAPE_PARAMS:
        return take_text(in, &r->name) && (in->len == 0 || take_text(in, &r->value));
    }
    never("all shapes were named");
}

struct err milter_decode(struct str packet, struct milter_reply *ret, const char **why)
{
    struct milter_reply r = {.name = STR_EMPTY, .value = STR_EMPTY};
    const struct word *w = packet.len > 0 ? word_find((unsigned char)packet.ptr[0]) : NULL;
    struct str in = str_skip(packet, 1);

    if (w == NULL) {
        return bad(why, "a reply of no known kind");
    }
    r.word = w->word;
    if (!take_shape(w->shape, &in, &r)) {
        return bad(why, "a reply that ends early");
    }
    if (in.len > 0) {
        return bad(why, "a reply with bytes behind its end");
    }
    *ret = r;
    return ERR_OK;
}

static struct err take_symbols(struct str in, struct arena *a, struct milter_terms *t,
                               const char **why)
{
    while (in.len > 0) {
        uint32_t place;
        struct str names;

        if (!take_u32(&in, &place) || !take_text(&in, &names)) {
            return bad(why, "a list of symbols that ends early");
        }
        if (place >= MILTER_PLACES) {
            return bad(why, "a list of symbols for no known place");
        }
        t->symbols[place] = arena_dup(a, names);
        t->has_symbols |= 1u << place;
    }
    return ERR_OK;
}

struct err milter_decode_terms(struct str packet, const struct milter_terms *offer, struct arena *a,
                               struct milter_terms *ret, const char **why)
{
    struct milter_terms t = {.data_bytes_max = MILTER_DATA_BYTES};
    struct str in = str_skip(packet, 1);
    struct err e;

    if (packet.len == 0 || packet.ptr[0] != MILTER_TERMS) {
        return bad(why, "something else than the answer to the negotiation");
    }
    if (!take_u32(&in, &t.version) || !take_u32(&in, &t.rights) || !take_u32(&in, &t.steps)) {
        return bad(why, "an answer to the negotiation that ends early");
    }
    if (t.version < MILTER_VERSION_MIN || t.version > offer->version) {
        return bad(why, "a version that was not offered");
    }
    if ((t.rights & ~offer->rights) != 0) {
        return bad(why, "rights that were not offered");
    }
    if ((t.steps & ~offer->steps) != 0) {
        return bad(why, "steps that were not offered");
    }
    if ((t.steps & MILTER_DATA_1M) != 0) {
        t.data_bytes_max = 1024 * 1024 - 1;
    } else if ((t.steps & MILTER_DATA_256K) != 0) {
        t.data_bytes_max = 256 * 1024 - 1;
    }
    e = take_symbols(in, a, &t, why);
    if (e.code == OK) {
        *ret = t;
    }
    return e;
}

static bool take_code(struct str *line, uint16_t *ret)
{
    if (line->len < 3 || (line->ptr[0] != '4' && line->ptr[0] != '5') ||
        !byte_is_digit(line->ptr[1]) || !byte_is_digit(line->ptr[2]) ||
        (line->len > 3 && line->ptr[3] != ' ' && line->ptr[3] != '-')) {
        return false;
    }
    *ret = (uint16_t)((line->ptr[0] - '0') * 100 + (line->ptr[1] - '0') * 10 + line->ptr[2] - '0');
    *line = str_skip(*line, 4);
    return true;
}

static bool take_number(struct str *in, char end, uint16_t *ret)
{
    uint64_t n;
    size_t len = 0;

    while (len < in->len && len < 4 && byte_is_digit(in->ptr[len])) {
        len++;
    }
    if (len == 0 || len > 3 || !str_to_u64(str_head(*in, len), &n) ||
        (end != '\0' ? len == in->len || in->ptr[len] != end
                     : len < in->len && in->ptr[len] != ' ')) {
        return false;
    }
    *ret = (uint16_t)n;
    *in = str_skip(*in, len + 1);
    return true;
}

/* "5.7.1 " at the start, of the code's own class. */
static void take_enhanced(struct str *line, uint16_t code, struct enhanced *ret)
{
    struct str in = *line;
    uint16_t class, subject, detail;

    if (take_number(&in, '.', &class) && take_number(&in, '.', &subject) &&
        take_number(&in, '\0', &detail) && class == code / 100) {
        *ret = (struct enhanced){(uint8_t) class, subject, detail};
        *line = in;
    }
}

/* Who writes the text of a reply for this protocol doubles its percent signs. */
static void put_line(struct buf *out, struct str line)
{
    struct buf plain BUF_LOCAL = {0};

    line = str_trim_ws(line);
    for (size_t i = 0; i < line.len; i++) {
        buf_byte(&plain, line.ptr[i]);
        i += line.ptr[i] == '%' && i + 1 < line.len && line.ptr[i + 1] == '%';
    }
    if (out->len > 0 && plain.len > 0) {
        buf_byte(out, ' ');
    }
    text_put(out, buf_str(&plain), true);
}

struct err milter_decode_reply(struct str text, struct arena *a, struct hook_reply *ret,
                               const char **why)
{
    struct buf joined BUF_LOCAL = {0};
    struct hook_reply r = {.code = 0};
    struct str rest = str_trim_ws(text);
    unsigned lines = 0;

    do {
        struct enhanced esc = {0};
        struct str line;
        uint16_t code;

        str_cut(&rest, '\n', &line);
        line = str_trim_ws(line);
        if (!take_code(&line, &code) || (r.code != 0 && code != r.code)) {
            return bad(why, "a reply without a code of 4xx or 5xx, or with two");
        }
        if (++lines > REPLY_LINES) {
            return bad(why, "a reply of too many lines");
        }
        take_enhanced(&line, code, &esc);
        if (r.code == 0) {
            r.esc = esc;
        }
        r.code = code;
        put_line(&joined, line);
    } while (rest.len > 0);
    r.text = arena_dup(a, str_head(buf_str(&joined), REPLY_TEXT_MAX));
    *ret = r;
    return ERR_OK;
}
