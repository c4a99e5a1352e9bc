#include "play/behaviour.h"

#include "base/check.h"
#include "config/units.h"

enum behaviour {
#define BEHAVIOUR(name, key, argument, text) BEHAVE_##key,
#include "play/behaviours.def"
#undef BEHAVIOUR
    BEHAVIOUR_COUNT
};

static const struct {
    struct str name;
    const char *argument, *text;
} behaviours[BEHAVIOUR_COUNT] = {
#define BEHAVIOUR(name, key, argument, text) {STR_INIT(name), argument, text},
#include "play/behaviours.def"
#undef BEHAVIOUR
};

static const struct str stages[PLAY_STAGES] = {
#define STAGE(name, key) STR_INIT(name),
#include "play/stages.def"
#undef STAGE
};

static const struct {
    struct str name, bytes;
} breakages[PLAY_BREAK_ANY] = {
#define BREAKAGE(name, key, bytes) {STR_INIT(name), STR_INIT(bytes)},
#include "play/breakages.def"
#undef BREAKAGE
};

static const struct str offers[PLAY_OFFERS] = {
#define OFFER(keyword, key, argument) STR_INIT(keyword),
#include "play/offers.def"
#undef OFFER
};

static const struct {
    uint16_t code;
    const char *text;
} refusal_texts[] = {
    {421, "4.3.2 Closing the connection"},
    {450, "4.2.1 Mailbox busy"},
    {451, "4.3.0 Try again later"},
    {452, "4.5.3 Too many"},
    {454, "4.7.0 Not available now"},
    {550, "5.1.1 No such mailbox here"},
    {552, "5.2.2 Mailbox full"},
    {553, "5.1.3 No such name allowed"},
    {554, "5.7.1 Refused"},
};

struct str play_breakage_bytes(enum play_breakage b)
{
    must(b < PLAY_BREAK_ANY);
    return str_eq(breakages[b].bytes, STR("%")) ? STR_EMPTY : breakages[b].bytes;
}

struct str play_offer_keyword(enum play_offer o)
{
    must(o < PLAY_OFFERS);
    return offers[o];
}

const char *play_refusal_text(uint16_t code)
{
    for (size_t i = 0; i < COUNT_OF(refusal_texts); i++) {
        if (refusal_texts[i].code == code) {
            return refusal_texts[i].text;
        }
    }
    return code < 500 ? "4.0.0 Not now" : "5.0.0 Refused";
}

/* ---- reading one behaviour ---- */

/* "0.3", "0", "1", ".05": in a million. */
static bool chance_parse(struct str s, uint32_t *ret)
{
    struct str whole;
    uint64_t ones = 0, million = 0, scale = PLAY_CHANCE_ALWAYS;

    str_cut(&s, '.', &whole);
    if ((whole.len > 0 && !str_to_u64(whole, &ones)) || whole.len + s.len == 0 || s.len > 6) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (!byte_is_digit(s.ptr[i])) {
            return false;
        }
        scale /= 10;
        million += (uint64_t)(s.ptr[i] - '0') * scale;
    }
    if (ones > 1 || ones * PLAY_CHANCE_ALWAYS + million > PLAY_CHANCE_ALWAYS) {
        return false;
    }
    *ret = (uint32_t)(ones * PLAY_CHANCE_ALWAYS + million);
    return true;
}

bool play_chance_cut(struct str *s, uint32_t *ret)
{
    size_t at = str_rfind(*s, '@');

    *ret = PLAY_CHANCE_ALWAYS;
    if (at == STR_NONE) {
        return true;
    }
    if (!chance_parse(str_skip(*s, at + 1), ret)) {
        return false;
    }
    *s = str_head(*s, at);
    return true;
}

static bool find(const struct str *names, size_t count, struct str name, unsigned *ret)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq_nocase(names[i], name)) {
            *ret = (unsigned)i;
            return true;
        }
    }
    return false;
}

static bool stage_parse(struct str s, unsigned *set)
{
    unsigned i;

    if (!find(stages, PLAY_STAGES, s, &i)) {
        return false;
    }
    *set = 1u << i;
    return true;
}

static bool breakage_parse(struct str s, enum play_breakage *ret)
{
    if (s.len == 0 || str_eq(s, STR("any"))) {
        *ret = PLAY_BREAK_ANY;
        return true;
    }
    for (unsigned i = 0; i < PLAY_BREAK_ANY; i++) {
        if (str_eq(breakages[i].name, s)) {
            *ret = (enum play_breakage)i;
            return true;
        }
    }
    return false;
}

/* "STAGE:CODE[:TEXT]" */
static bool refuse_parse(struct str s, struct play_rule *r)
{
    struct str stage, code;
    uint64_t number;

    str_cut(&s, ':', &stage);
    str_cut(&s, ':', &code);
    if (!stage_parse(stage, &r->stages) || !str_to_u64(code, &number) || number < 400 ||
        number > 599 || str_find(s, '\n') != STR_NONE || str_find(s, '\r') != STR_NONE) {
        return false;
    }
    r->code = (uint16_t)number;
    r->text = s;
    return true;
}

/* "P[:STAGE]" */
static bool flaky_parse(struct str s, struct play_rule *r)
{
    struct str chance;

    r->code = 451;
    r->stages = 1u << PLAY_AT_RCPT;
    if (str_cut(&s, ':', &chance) && !stage_parse(s, &r->stages)) {
        return false;
    }
    return chance_parse(chance, &r->chance);
}

/* "[KIND[:STAGE]]" */
static bool broken_parse(struct str s, struct play_rule *r)
{
    struct str kind;

    r->stages = ~(1u << PLAY_AT_STARTTLS);
    if (str_cut(&s, ':', &kind) && !stage_parse(s, &r->stages)) {
        return false;
    }
    return breakage_parse(kind, &r->breakage);
}

static bool rule_parse(struct play_behaviour *b, enum behaviour kind, struct str s)
{
    struct play_rule r = {.chance = PLAY_CHANCE_ALWAYS};
    bool good = kind == BEHAVE_FLAKY || play_chance_cut(&s, &r.chance);

    if (!good || b->rule_count == PLAY_RULES_MAX) {
        return false;
    }
    if (kind == BEHAVE_REFUSE) {
        r.act = PLAY_REFUSE;
        good = refuse_parse(s, &r);
    } else if (kind == BEHAVE_FLAKY) {
        r.act = PLAY_REFUSE;
        good = flaky_parse(s, &r);
    } else if (kind == BEHAVE_BROKEN_REPLIES) {
        r.act = PLAY_BREAK;
        good = broken_parse(s, &r);
    } else {
        r.act = kind == BEHAVE_SILENT ? PLAY_SILENT : PLAY_DROP;
        good = stage_parse(s, &r.stages);
    }
    if (good) {
        b->rules[b->rule_count++] = r;
    }
    return good;
}

static bool number_parse(struct str s, uint32_t *ret)
{
    uint64_t n;

    if (!str_to_u64(s, &n) || n > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)n;
    return true;
}

static bool without_parse(struct play_behaviour *b, struct str s)
{
    unsigned i;

    if (!find(offers, PLAY_OFFERS, s, &i)) {
        return false;
    }
    b->withheld |= 1u << i;
    return true;
}

static bool behave(struct play_behaviour *b, enum behaviour kind, struct str arg)
{
    static const int64_t drip_ms = 10000;

    switch (kind) {
    case BEHAVE_FAST:
        return arg.len == 0;
    case BEHAVE_SLOW:
        return duration_parse(arg, &b->slow_ms) == UNITS_OK;
    case BEHAVE_TARPIT:
        b->drip_ms = drip_ms;
        return arg.len == 0 || duration_parse(arg, &b->drip_ms) == UNITS_OK;
    case BEHAVE_DROP_AFTER_DOT:
        return arg.len == 0 && rule_parse(b, BEHAVE_DROP, STR("dot"));
    case BEHAVE_DROP_IN_CONTENT:
        return play_chance_cut(&arg, &b->content_drop_chance) &&
               size_parse(arg, &b->content_drop_bytes) == UNITS_OK;
    case BEHAVE_SILENT:
    case BEHAVE_REFUSE:
    case BEHAVE_FLAKY:
    case BEHAVE_DROP:
    case BEHAVE_BROKEN_REPLIES:
        return rule_parse(b, kind, arg);
    case BEHAVE_BROKEN_TLS:
        b->broken_tls = true;
        return arg.len == 0;
    case BEHAVE_GREYLIST:
        return duration_parse(arg, &b->greylist_ms) == UNITS_OK;
    case BEHAVE_RCPT_LIMIT:
        return number_parse(arg, &b->rcpts_max);
    case BEHAVE_MESSAGE_LIMIT:
        return number_parse(arg, &b->messages_max);
    case BEHAVE_CONNECTION_LIMIT:
        return number_parse(arg, &b->connections_max);
    case BEHAVE_BY_RECIPIENT:
        b->by_recipient = true;
        return arg.len == 0;
    case BEHAVE_WITHOUT:
        return without_parse(b, arg);
    case BEHAVE_SIZE_LIMIT:
        return size_parse(arg, &b->size_max) == UNITS_OK;
    case BEHAVIOUR_COUNT:
        break;
    }
    never("a behaviour is one of the table");
}

bool play_behave(struct play_behaviour *b, struct str word, struct buf *why)
{
    struct str name, arg = word;

    str_cut(&arg, ':', &name);
    for (unsigned i = 0; i < BEHAVIOUR_COUNT; i++) {
        if (!str_eq(behaviours[i].name, name)) {
            continue;
        }
        if (behave(b, (enum behaviour)i, arg)) {
            return true;
        }
        buf_printf(why, "\"%.*s\": write %.*s%s", STR_ARG(word), STR_ARG(name),
                   behaviours[i].argument);
        return false;
    }
    buf_printf(why, "\"%.*s\" is no behaviour", STR_ARG(name));
    return false;
}

const struct play_rule *play_rule_at(const struct play_behaviour *b, enum play_stage stage,
                                     uint32_t (*dice)(void))
{
    for (unsigned i = 0; i < b->rule_count; i++) {
        const struct play_rule *r = &b->rules[i];

        if ((r->stages & (1u << stage)) &&
            (r->chance == PLAY_CHANCE_ALWAYS || dice() < r->chance)) {
            return r;
        }
    }
    return NULL;
}

static void print_names(struct buf *out, const char *what, const struct str *names, size_t count)
{
    buf_printf(out, "%s:", what);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, " %.*s", STR_ARG(names[i]));
    }
    buf_byte(out, '\n');
}

void play_behaviours_print(struct buf *out)
{
    struct str kinds[PLAY_BREAK_ANY];

    for (unsigned i = 0; i < BEHAVIOUR_COUNT; i++) {
        int width = 40 - (int)behaviours[i].name.len;

        buf_printf(out, "  %.*s%-*s %s\n", STR_ARG(behaviours[i].name), width,
                   behaviours[i].argument, behaviours[i].text);
    }
    for (unsigned i = 0; i < PLAY_BREAK_ANY; i++) {
        kinds[i] = breakages[i].name;
    }
    print_names(out, "Stages", stages, PLAY_STAGES);
    print_names(out, "Kinds of broken replies", kinds, PLAY_BREAK_ANY);
    print_names(out, "Extensions", offers, PLAY_OFFERS);
}
