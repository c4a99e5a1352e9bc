#include "mail/params.h"

#include "base/check.h"
#include "mail/params_part.h"
#include "mail/xtext.h"

struct param {
    struct str name;
    unsigned needs; /* OFFER_* */
    enum refusal (*take)(struct target *t, struct str value, bool has_value);
};

enum { PARAMS_MAX = 16 };

static enum refusal take_size(struct target *t, struct str value, bool has_value)
{
    (void)has_value;
    if (value.len == 0 || value.len > 20) {
        return REFUSAL_PARAM_VALUE;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (!byte_is_digit(value.ptr[i])) {
            return REFUSAL_PARAM_VALUE;
        }
    }
    t->mail->has_size = true;
    if (!str_to_u64(value, &t->mail->size)) {
        t->mail->size = UINT64_MAX; /* 20 digits may be too many for us: then it is too large */
    }
    return REFUSAL_NONE;
}

static enum refusal take_body(struct target *t, struct str value, bool has_value)
{
    (void)has_value;
    t->mail->has_body = true;
    if (str_eq_nocase(value, STR("7BIT"))) {
        t->mail->body = BODY_7BIT;
    } else if (str_eq_nocase(value, STR("8BITMIME"))) {
        t->mail->body = BODY_8BIT;
    } else if (str_eq_nocase(value, STR("BINARYMIME")) && (t->offered & OFFER_BINARYMIME)) {
        t->mail->body = BODY_BINARY;
    } else {
        return REFUSAL_PARAM_VALUE;
    }
    return REFUSAL_NONE;
}

static enum refusal take_smtputf8(struct target *t, struct str value, bool has_value)
{
    (void)value;
    t->mail->smtputf8 = true;
    return has_value ? REFUSAL_PARAM_VALUE : REFUSAL_NONE;
}

static enum refusal take_ret(struct target *t, struct str value, bool has_value)
{
    (void)has_value;
    if (str_eq_nocase(value, STR("FULL"))) {
        t->mail->ret = RET_FULL;
    } else if (str_eq_nocase(value, STR("HDRS"))) {
        t->mail->ret = RET_HDRS;
    } else {
        return REFUSAL_PARAM_VALUE;
    }
    return REFUSAL_NONE;
}

static enum refusal take_envid(struct target *t, struct str value, bool has_value)
{
    struct str *envid = &t->mail->envid;

    (void)has_value;
    if (!xtext_decode(value, t->arena, envid) || envid->len == 0 || envid->len > ENVID_BYTES_MAX ||
        !text_is_printable(*envid, false)) {
        return REFUSAL_PARAM_VALUE;
    }
    return REFUSAL_NONE;
}

/* Taken and kept, for the server that offers AUTH must; who trusts it is not decided here. */
static enum refusal take_auth(struct target *t, struct str value, bool has_value)
{
    (void)has_value;
    t->mail->has_auth = true;
    if (str_eq(value, STR("<>"))) {
        return REFUSAL_NONE;
    }
    if (!xtext_decode(value, t->arena, &t->mail->auth) || t->mail->auth.len == 0 ||
        !text_is_printable(t->mail->auth, false)) {
        return REFUSAL_PARAM_VALUE;
    }
    return REFUSAL_NONE;
}

static const struct {
    struct str name;
    uint8_t bit;
} notify_words[] = {
    {STR_INIT("SUCCESS"), NOTIFY_SUCCESS},
    {STR_INIT("FAILURE"), NOTIFY_FAILURE},
    {STR_INIT("DELAY"), NOTIFY_DELAY},
    {STR_INIT("NEVER"), NOTIFY_NEVER},
};

static enum refusal take_notify(struct target *t, struct str value, bool has_value)
{
    uint8_t set = 0;
    bool more;

    (void)has_value;
    do {
        struct str word;
        uint8_t bit = 0;

        more = str_cut(&value, ',', &word);
        for (size_t i = 0; i < COUNT_OF(notify_words); i++) {
            if (str_eq_nocase(word, notify_words[i].name)) {
                bit = notify_words[i].bit;
            }
        }
        if (bit == 0 || (set & bit)) {
            return REFUSAL_PARAM_VALUE;
        }
        set |= bit;
    } while (more);
    if ((set & NOTIFY_NEVER) && set != NOTIFY_NEVER) {
        return REFUSAL_PARAM_VALUE;
    }
    t->rcpt->notify = set;
    return REFUSAL_NONE;
}

/* addr-type is an atom; of those in use (rfc822, utf-8, x400, unknown) none has other characters.
 */
static bool orcpt_type_is_valid(struct str type)
{
    for (size_t i = 0; i < type.len; i++) {
        if (!byte_is_alnum(type.ptr[i]) && type.ptr[i] != '-') {
            return false;
        }
    }
    return type.len > 0;
}

static bool orcpt_is_utf8(struct str type)
{
    return str_eq_nocase(type, STR("utf-8"));
}

static enum refusal take_orcpt(struct target *t, struct str value, bool has_value)
{
    struct str type, address, whole = value;
    bool utf8;

    (void)has_value;
    if (whole.len > ORCPT_BYTES_MAX || !str_cut(&value, ';', &type) || !orcpt_type_is_valid(type)) {
        return REFUSAL_PARAM_VALUE;
    }
    utf8 = orcpt_is_utf8(type);
    if (utf8 ? !utf8_addr_decode(value, t->raw, t->arena, &address)
             : !xtext_decode(value, t->arena, &address)) {
        return REFUSAL_PARAM_VALUE;
    }
    if (address.len == 0 || !text_is_printable(address, utf8)) {
        return REFUSAL_PARAM_VALUE;
    }
    t->rcpt->orcpt = arena_printf(t->arena, "%.*s;%.*s", STR_ARG(type), STR_ARG(address));
    return REFUSAL_NONE;
}

static const struct param mail_table[] = {
    {STR_INIT("SIZE"), OFFER_SIZE, take_size},
    {STR_INIT("BODY"), OFFER_8BITMIME, take_body},
    {STR_INIT("SMTPUTF8"), OFFER_SMTPUTF8, take_smtputf8},
    {STR_INIT("RET"), OFFER_DSN, take_ret},
    {STR_INIT("ENVID"), OFFER_DSN, take_envid},
    {STR_INIT("AUTH"), OFFER_AUTH, take_auth},
    {STR_INIT("HOLDFOR"), OFFER_FUTURERELEASE, param_hold_for},
    {STR_INIT("HOLDUNTIL"), OFFER_FUTURERELEASE, param_hold_until},
    {STR_INIT("BY"), OFFER_DELIVERBY, param_by},
    {STR_INIT("MT-PRIORITY"), OFFER_MT_PRIORITY, param_priority},
};

static const struct param rcpt_table[] = {
    {STR_INIT("NOTIFY"), OFFER_DSN, take_notify},
    {STR_INIT("ORCPT"), OFFER_DSN, take_orcpt},
};

static bool keyword_is_valid(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!byte_is_alnum(name.ptr[i]) && (name.ptr[i] != '-' || i == 0)) {
            return false;
        }
    }
    return name.len > 0;
}

static bool value_is_valid(struct str value, bool raw)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if (c <= 0x20 || c == '=' || c == 0x7f || (c >= 0x80 && !raw)) {
            return false;
        }
    }
    return value.len > 0;
}

static enum refusal take_param(struct target *t, const struct param *table, size_t count,
                               struct str word, unsigned *seen)
{
    struct str name, value = word;
    bool has_value = str_cut(&value, '=', &name);

    if (!keyword_is_valid(name) || (has_value && !value_is_valid(value, t->raw))) {
        return REFUSAL_PARAM_SYNTAX;
    }
    for (size_t i = 0; i < count; i++) {
        if (!str_eq_nocase(name, table[i].name)) {
            continue;
        }
        if (!(t->offered & table[i].needs)) {
            break;
        }
        if (*seen & 1u << i) {
            return REFUSAL_PARAM_TWICE;
        }
        *seen |= 1u << i;
        return table[i].take(t, value, has_value);
    }
    return REFUSAL_PARAM_UNKNOWN;
}

/* The parameters in `rest`, which starts after the path. */
static enum refusal take_all(struct target *t, const struct param *table, size_t count,
                             struct str rest, struct str *culprit)
{
    unsigned seen = 0;

    must(count <= PARAMS_MAX);
    if (rest.len > 0 && rest.ptr[0] != ' ') {
        return REFUSAL_PATH_SYNTAX;
    }
    while (rest.len > 0) {
        struct str word;
        enum refusal why;

        str_cut(&rest, ' ', &word);
        if (word.len == 0) {
            continue;
        }
        why = take_param(t, table, count, word, &seen);
        if (why != REFUSAL_NONE) {
            str_cut(&word, '=', culprit);
            return why;
        }
    }
    return REFUSAL_NONE;
}

enum refusal mail_args_parse(struct str arg, unsigned offered, struct arena *a,
                             struct mail_args *ret)
{
    struct target t = {.arena = a, .mail = ret, .offered = offered};
    struct str rest;
    enum refusal why;

    *ret = (struct mail_args){.envid = STR_EMPTY, .auth = STR_EMPTY, .culprit = STR_EMPTY};
    why = path_parse(arg, PATH_REVERSE, true, a, &ret->from, &rest);
    if (why == REFUSAL_NONE) {
        why = take_all(&t, mail_table, COUNT_OF(mail_table), rest, &ret->culprit);
    }
    if (why == REFUSAL_NONE && ret->from.is_utf8 && !ret->smtputf8) {
        why = REFUSAL_UTF8_NOT_ASKED;
    }
    return why;
}

enum refusal rcpt_args_parse(struct str arg, unsigned offered, bool smtputf8, struct arena *a,
                             struct rcpt_args *ret)
{
    struct target t = {.arena = a, .rcpt = ret, .offered = offered, .raw = smtputf8};
    struct str rest;
    enum refusal why;

    *ret = (struct rcpt_args){.orcpt = STR_EMPTY, .culprit = STR_EMPTY};
    why = path_parse(arg, PATH_FORWARD, smtputf8, a, &ret->to, &rest);
    if (why == REFUSAL_NONE) {
        why = take_all(&t, rcpt_table, COUNT_OF(rcpt_table), rest, &ret->culprit);
    }
    return why;
}

void orcpt_write(struct buf *out, struct str orcpt, bool raw)
{
    struct str type;

    must(str_cut(&orcpt, ';', &type));
    buf_put(out, type);
    buf_byte(out, ';');
    if (orcpt_is_utf8(type)) {
        utf8_addr_encode(out, orcpt, raw);
    } else {
        xtext_encode(out, orcpt);
    }
}

void notify_write(struct buf *out, uint8_t notify)
{
    bool first = true;

    must(notify != 0);
    for (size_t i = 0; i < COUNT_OF(notify_words); i++) {
        if (notify & notify_words[i].bit) {
            buf_put(out, first ? STR_EMPTY : STR(","));
            buf_put(out, notify_words[i].name);
            first = false;
        }
    }
}
