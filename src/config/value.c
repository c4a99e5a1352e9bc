#include "config/value.h"

#include "base/check.h"
#include "config/hint.h"
#include "config/units.h"
#include "config/value_kinds.h"

struct kind {
    const char *called;
    size_t size;
    value_reader *read;
};

bool value_wrong(struct value_reading *v, const struct yaml *node, enum setting_type type)
{
    fault_error(v->faults, node->at, "%.*s must be %s, not \"%.*s\"", STR_ARG(v->key),
                value_called(type), STR_ARG(str_head(node->text, 80)));
    if (str_find_str(node->text, STR("%{")) != STR_NONE) {
        fault_hint(v->faults, "values are written here; secrets may be { env: NAME } or "
                              "{ file: PATH }");
    }
    return false;
}

bool value_has_bounds(const struct setting *row)
{
    return row->min != 0 || row->max != 0;
}

/* A least value alone. */
bool value_is_open(const struct setting *row)
{
    return row->min > 0 && row->max == 0;
}

void value_print_number(const struct setting *row, int64_t n, struct buf *out)
{
    if (row->type == SETTING_DURATION) {
        duration_print(n, out);
    } else if (row->type == SETTING_SIZE) {
        size_print((uint64_t)n, out);
    } else {
        buf_printf(out, "%lld", (long long)n);
    }
}

/* "1 to 100", "at least 16MiB" */
void value_print_bounds(const struct setting *row, struct buf *out)
{
    buf_put(out, value_is_open(row) ? STR("at least ") : STR(""));
    value_print_number(row, row->min, out);
    if (!value_is_open(row)) {
        buf_put(out, STR(" to "));
        value_print_number(row, row->max, out);
    }
}

static bool within(struct value_reading *v, const struct setting *row, const struct yaml *node,
                   int64_t n)
{
    struct buf bounds BUF_LOCAL = {0};

    if (!value_has_bounds(row) || (n >= row->min && (n <= row->max || value_is_open(row)))) {
        return true;
    }
    value_print_bounds(row, &bounds);
    fault_error(v->faults, node->at, "%.*s must be %.*s, not %.*s", STR_ARG(v->key),
                STR_ARG(buf_str(&bounds)), STR_ARG(node->text));
    return false;
}

/* What other programs, and older YAML, take for true and false. */
static void hint_truth(struct value_reading *v, struct str text)
{
    static const struct str yes[] = {STR_INIT("yes"), STR_INIT("on"), STR_INIT("1"),
                                     STR_INIT("true")};
    static const struct str no[] = {STR_INIT("no"), STR_INIT("off"), STR_INIT("0"),
                                    STR_INIT("false")};

    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        if (str_eq_nocase(text, yes[i]) || str_eq_nocase(text, no[i])) {
            fault_hint(v->faults, "write %s", str_eq_nocase(text, yes[i]) ? "true" : "false");
        }
    }
}

static bool read_bool(struct value_reading *v, const struct setting *row, const struct yaml *node,
                      void *member)
{
    bool yes = str_eq(node->text, STR("true"));

    (void)row;
    if (!yes && !str_eq(node->text, STR("false"))) {
        value_wrong(v, node, SETTING_BOOL);
        hint_truth(v, node->text);
        return false;
    }
    memcpy(member, &yes, sizeof yes);
    return true;
}

static bool read_number(struct value_reading *v, const struct setting *row, const struct yaml *node,
                        void *member)
{
    int64_t n;

    if (!str_to_i64(node->text, &n) || (n < 0 && row->type != SETTING_I64)) {
        struct str head = str_head(node->text, node->text.len > 0 ? node->text.len - 1 : 0);

        value_wrong(v, node, row->type);
        if (str_to_i64(head, &n)) { /* 50% */
            fault_hint(v->faults, "write %.*s", STR_ARG(head));
        }
        return false;
    }
    if (!within(v, row, node, n)) {
        return false;
    }
    if (row->type == SETTING_U32) {
        uint32_t small = (uint32_t)n;

        if (n > UINT32_MAX) {
            return value_wrong(v, node, row->type);
        }
        memcpy(member, &small, sizeof small);
    } else { /* int64_t and uint64_t: the same bytes for what is not negative */
        memcpy(member, &n, sizeof n);
    }
    return true;
}

static bool units_wrong(struct value_reading *v, const struct yaml *node, enum setting_type type,
                        enum units_result why)
{
    const char *like = type == SETTING_DURATION ? "s, m, h or d" : "B, KiB, MB or GiB";

    if (why == UNITS_MISSING) {
        fault_error(v->faults, node->at, "%.*s: %.*s has no unit", STR_ARG(v->key),
                    STR_ARG(node->text));
        fault_hint(v->faults, "write %.*s%s (or another of %s)", STR_ARG(node->text),
                   type == SETTING_DURATION ? "s" : "B", like);
    } else if (why == UNITS_TOO_LARGE) {
        fault_error(v->faults, node->at, "%.*s: %.*s is too large", STR_ARG(v->key),
                    STR_ARG(node->text));
    } else {
        value_wrong(v, node, type);
        if (why == UNITS_UNKNOWN) {
            fault_hint(v->faults, "the units are %s",
                       type == SETTING_DURATION ? "ms, s, m, h, d and w"
                                                : "B, KiB, MiB, GiB, TiB, and kB, MB, GB, TB");
        }
    }
    return false;
}

static bool read_duration(struct value_reading *v, const struct setting *row,
                          const struct yaml *node, void *member)
{
    int64_t ms;
    enum units_result r = duration_parse(node->text, &ms);

    if (r != UNITS_OK) {
        return units_wrong(v, node, SETTING_DURATION, r);
    }
    if (!within(v, row, node, ms)) {
        return false;
    }
    memcpy(member, &ms, sizeof ms);
    return true;
}

static bool read_size(struct value_reading *v, const struct setting *row, const struct yaml *node,
                      void *member)
{
    uint64_t bytes;
    enum units_result r = size_parse(node->text, &bytes);

    if (r != UNITS_OK || bytes > INT64_MAX) {
        return units_wrong(v, node, SETTING_SIZE, r == UNITS_OK ? UNITS_TOO_LARGE : r);
    }
    if (!within(v, row, node, (int64_t)bytes)) {
        return false;
    }
    memcpy(member, &bytes, sizeof bytes);
    return true;
}

static bool read_rate(struct value_reading *v, const struct setting *row, const struct yaml *node,
                      void *member)
{
    struct rate rate;

    (void)row;
    if (rate_parse(node->text, &rate.count, &rate.period_ms) != UNITS_OK) {
        uint64_t n;

        value_wrong(v, node, SETTING_RATE);
        if (str_to_u64(node->text, &n)) {
            fault_hint(v->faults, "with a period: %.*s/1m", STR_ARG(node->text));
        }
        return false;
    }
    memcpy(member, &rate, sizeof rate);
    return true;
}

static bool read_choice(struct value_reading *v, const struct setting *row, const struct yaml *node,
                        void *member)
{
    struct hint_words words = {.given = node->text};
    struct buf list BUF_LOCAL = {0};

    for (const struct setting_choice *c = row->choices; c->word != NULL; c++) {
        if (str_eq(node->text, str_of(c->word))) {
            memcpy(member, &c->value, sizeof c->value);
            return true;
        }
        hint_word_try(&words, str_of(c->word));
        buf_printf(&list, "%s%s", list.len > 0 ? ", " : "", c->word);
    }
    fault_error(v->faults, node->at, "%.*s must be one of %.*s, not \"%.*s\"", STR_ARG(v->key),
                STR_ARG(buf_str(&list)), STR_ARG(str_head(node->text, 80)));
    if (hint_word_found(&words)) {
        fault_hint(v->faults, "did you mean %.*s?", STR_ARG(words.best));
    }
    return false;
}

static bool read_address(struct value_reading *v, const struct setting *row,
                         const struct yaml *node, void *member)
{
    struct addr a;
    bool ok = row->type == SETTING_IP ? addr_parse_ip(node->text, &a) : addr_parse(node->text, &a);

    if (!ok) {
        value_wrong(v, node, row->type);
        if (row->type == SETTING_ADDRESS && addr_parse_ip(node->text, &a)) {
            fault_hint(v->faults, a.family == 6 ? "with a port: [%.*s]:25" : "with a port: %.*s:25",
                       STR_ARG(node->text));
        }
        return false;
    }
    memcpy(member, &a, sizeof a);
    return true;
}

static bool read_cidr(struct value_reading *v, const struct setting *row, const struct yaml *node,
                      void *member)
{
    struct cidr c;

    if (!cidr_parse(node->text, &c)) {
        return value_wrong(v, node, row->type);
    }
    memcpy(member, &c, sizeof c);
    return true;
}

static bool read_expression(struct value_reading *v, const struct setting *row,
                            const struct yaml *node, void *member)
{
    struct expression e;

    (void)row;
    if (!expression_read(v, node, &e)) {
        return false;
    }
    memcpy(member, &e, sizeof e);
    return true;
}

static bool read_rules(struct value_reading *v, const struct setting *row, const struct yaml *node,
                       void *member)
{
    struct rules rules;

    (void)row;
    if (!rules_read(v, node, &rules)) {
        return false;
    }
    memcpy(member, &rules, sizeof rules);
    return true;
}

static const struct kind kinds[] = {
    [SETTING_BOOL] = {"true or false", sizeof(bool), read_bool},
    [SETTING_U32] = {"a whole number", sizeof(uint32_t), read_number},
    [SETTING_U64] = {"a whole number", sizeof(uint64_t), read_number},
    [SETTING_I64] = {"a whole number", sizeof(int64_t), read_number},
    [SETTING_DURATION] = {"a duration such as 90s, 5m or 1d12h", sizeof(int64_t), read_duration},
    [SETTING_SIZE] = {"a size such as 64KiB or 25MB", sizeof(uint64_t), read_size},
    [SETTING_RATE] = {"a rate such as 100/1m: a number and 1s to 366d; or none",
                      sizeof(struct rate), read_rate},
    [SETTING_STRING] = {"a text", sizeof(struct str), value_read_text},
    [SETTING_NAME] = {"a name (1 to 32 letters, digits, \".\", \"_\", \"-\")", sizeof(struct str),
                      value_read_name},
    [SETTING_HOSTNAME] = {"a host name such as mx.example.org", sizeof(struct str),
                          value_read_hostname},
    [SETTING_DOMAIN] = {"a domain such as example.org", sizeof(struct str), value_read_hostname},
    [SETTING_HOST] = {"a host name or an IP address", sizeof(struct str), value_read_hostname},
    [SETTING_MAILBOX] = {"a mail address such as admin@example.org", sizeof(struct str),
                         value_read_mailbox},
    [SETTING_CHOICE] = {"one of its words", sizeof(int), read_choice},
    [SETTING_ADDRESS] = {"an IP address with a port such as 127.0.0.1:2525 or \"[::1]:2525\"",
                         sizeof(struct addr), read_address},
    [SETTING_IP] = {"an IP address such as 127.0.0.1 or \"::1\"", sizeof(struct addr),
                    read_address},
    [SETTING_CIDR] = {"a network such as 10.0.0.0/8 or \"::1/128\"", sizeof(struct cidr),
                      read_cidr},
    [SETTING_FILE] = {"a file to read", sizeof(struct str), value_read_path},
    [SETTING_PATH] = {"a path", sizeof(struct str), value_read_path},
    [SETTING_TARGET] = {"a host or {address, port, priority, weight}", sizeof(struct target),
                        value_read_target},
    [SETTING_SECRET] = {"a text, {file: PATH} or {env: NAME}", sizeof(struct secret),
                        value_read_secret},
    [SETTING_EXPRESSION] = {"an expression", sizeof(struct expression), read_expression},
    [SETTING_RULES] = {"a list of rules", sizeof(struct rules), read_rules},
    [SETTING_IS_ALIAS] = {"", 0, NULL},
    [SETTING_IS_RESERVED] = {"", 0, NULL},
};

const char *value_called(enum setting_type type)
{
    return kinds[type].called;
}

size_t value_size(const struct setting *row)
{
    return row->is_list ? sizeof(struct str_list) : kinds[row->type].size;
}

/* What no type wants: a tag, nothing at all, a kind of node it cannot read, hidden bytes. */
static bool node_is_good(struct value_reading *v, const struct setting *row,
                         const struct yaml *node)
{
    bool is_rule = row->type == SETTING_EXPRESSION || row->type == SETTING_RULES;

    if (is_rule ||
        ((row->type == SETTING_SECRET || row->type == SETTING_TARGET) && node->kind == YAML_MAP)) {
        return true; /* they say it better themselves */
    }
    if (node->tag.len > 0) {
        fault_error(v->faults, node->at, "%.*s: tags such as %.*s are not read here",
                    STR_ARG(v->key), STR_ARG(node->tag));
        return false;
    }
    if (node->kind != YAML_TEXT) {
        fault_error(v->faults, node->at, "%.*s must be %s, not %s", STR_ARG(v->key),
                    kinds[row->type].called, yaml_kind_name(node));
        return false;
    }
    if (yaml_is_null(node)) {
        fault_error(v->faults, node->at, "%.*s has no value: it must be %s", STR_ARG(v->key),
                    kinds[row->type].called);
        return false;
    }
    for (size_t i = 0; i < node->text.len; i++) {
        unsigned char c = (unsigned char)node->text.ptr[i];

        if (c == 0 || (c < 0x20 && row->type != SETTING_STRING && row->type != SETTING_SECRET)) {
            fault_error(v->faults, node->at, "%.*s holds a control character", STR_ARG(v->key));
            return false;
        }
    }
    return true;
}

static bool read_list(struct value_reading *v, const struct setting *row, const struct yaml *node,
                      void *member)
{
    size_t size = kinds[row->type].size;
    size_t count = node->kind == YAML_LIST ? node->count : yaml_is_null(node) ? 0 : 1;
    bool ok = true;

    if (count > SETTING_ITEMS_MAX) {
        fault_error(v->faults, node->at, "%.*s: more than %d items", STR_ARG(v->key),
                    SETTING_ITEMS_MAX);
        return false;
    }
    char *at = arena_array(v->arena, count == 0 ? 1 : count, size);

    for (size_t i = 0; i < count; i++) {
        const struct yaml *item = node->kind == YAML_LIST ? node->items[i] : node;

        ok = node_is_good(v, row, item) && kinds[row->type].read(v, row, item, at + i * size) && ok;
    }
    if (ok) {
        struct str_list list = {(const void *)at, count}; /* all lists look alike */

        memcpy(member, &list, sizeof list);
    }
    return ok;
}

/* Fields one by one: what fills the gaps between them is nobody's value. */
static bool item_eq(enum setting_type type, const void *a, const void *b)
{
    const struct str *sa = a, *sb = b;
    const struct cidr *ca = a, *cb = b;
    const struct secret *ta = a, *tb = b;
    const struct expression *ea = a, *eb = b;
    const struct target *ha = a, *hb = b;

    switch (type) {
    case SETTING_STRING:
    case SETTING_NAME:
    case SETTING_HOSTNAME:
    case SETTING_DOMAIN:
    case SETTING_HOST:
    case SETTING_MAILBOX:
    case SETTING_FILE:
    case SETTING_PATH:
        return str_eq(*sa, *sb);
    case SETTING_ADDRESS:
    case SETTING_IP:
        return addr_eq(a, b);
    case SETTING_CIDR:
        return ca->bits == cb->bits && addr_eq(&ca->net, &cb->net);
    case SETTING_TARGET:
        return str_eq(ha->host, hb->host) && ha->port == hb->port && ha->priority == hb->priority &&
               ha->weight == hb->weight;
    case SETTING_SECRET:
        return ta->is_given == tb->is_given && str_eq(ta->text, tb->text);
    case SETTING_EXPRESSION:
        return str_eq(ea->text, eb->text);
    case SETTING_BOOL:
    case SETTING_U32:
    case SETTING_U64:
    case SETTING_I64:
    case SETTING_DURATION:
    case SETTING_SIZE:
    case SETTING_RATE:
    case SETTING_CHOICE:
        return memcmp(a, b, kinds[type].size) == 0;
    case SETTING_RULES:
    case SETTING_IS_ALIAS:
    case SETTING_IS_RESERVED:
        break;
    }
    never("a type that is compared");
}

static bool rules_eq(const struct rules *a, const struct rules *b)
{
    for (size_t i = 0; a->count == b->count && i < a->count; i++) {
        if (!str_eq(a->items[i].condition.text, b->items[i].condition.text) ||
            !str_eq(a->items[i].use, b->items[i].use) ||
            !str_eq(a->items[i].value.text, b->items[i].value.text)) {
            return false;
        }
    }
    return a->count == b->count;
}

bool value_same(const struct setting *row, const void *a, const void *b)
{
    const struct str_list *la = a, *lb = b;
    size_t size = kinds[row->type].size;

    if (row->type == SETTING_RULES) {
        return rules_eq(a, b);
    }
    if (!row->is_list) {
        return item_eq(row->type, a, b);
    }
    for (size_t i = 0; la->count == lb->count && i < la->count; i++) {
        if (!item_eq(row->type, (const char *)la->items + i * size,
                     (const char *)lb->items + i * size)) {
            return false;
        }
    }
    return la->count == lb->count;
}

bool value_read(struct value_reading *v, const struct setting *row, const struct yaml *node,
                void *member)
{
    must(kinds[row->type].read != NULL);
    if (row->is_list) {
        return read_list(v, row, node, member);
    }
    return node_is_good(v, row, node) && kinds[row->type].read(v, row, node, member);
}
