#include "base/check.h"
#include "base/version.h"
#include "hooks/milter_part.h"

/* What a certificate says may be long; a macro is one line of a log. */
enum { VALUE_BYTES_MAX = 1000 };

static struct str ip_of(const struct addr *addr, struct arena *a)
{
    char at[ADDR_BYTES];

    return arena_dup(a, addr_print_ip(addr, at));
}

static struct str number(uint32_t n, struct arena *a)
{
    return n > 0 ? arena_printf(a, "%u", n) : STR_EMPTY;
}

static struct str port_of(const struct addr *addr, struct arena *a)
{
    return addr->family != 0 ? arena_printf(a, "%u", addr->port) : STR_EMPTY;
}

static struct str client_name(const struct hook_view *v)
{
    return v->client.ptr.len > 0 ? v->client.ptr : STR("unknown");
}

static struct str name_and_address(const struct hook_view *v, struct arena *a)
{
    char at[ADDR_BYTES];

    return arena_printf(a, "%.*s [%.*s]", STR_ARG(client_name(v)),
                        STR_ARG(addr_print_ip(&v->client.addr, at)));
}

static struct str of_tls(const struct hook_view *v, struct str s)
{
    return v->tls.active ? s : STR_EMPTY;
}

static struct str queue_id(const struct hook_view *v, struct arena *a)
{
    return v->queue_id != 0 ? arena_printf(a, "%016llx", (unsigned long long)v->queue_id)
                            : STR_EMPTY;
}

/* On whose behalf: AUTH= of MAIL. */
static struct str author(const struct hook_view *v)
{
    for (uint32_t i = 0; i < v->sender_params.count; i++) {
        if (v->login.len > 0 && str_eq_nocase(v->sender_params.items[i].key, STR("AUTH"))) {
            return v->sender_params.items[i].value;
        }
    }
    return STR_EMPTY;
}

static struct str mailer(struct str address)
{
    return address.len > 0 ? STR("smtp") : STR_EMPTY;
}

static const struct hook_rcpt *rcpt(const struct hook_view *v)
{
    static const struct hook_rcpt nobody = {.address = {"", 0}};

    return v->to_count > 0 ? &v->to[v->to_count - 1] : &nobody;
}

typedef struct str value_fn(const struct hook_view *v, struct arena *a);

#define AT(place) (1u << MILTER_AT_##place)
#define MACRO(name, places, value)                                                                 \
    static struct str MACRO_FN(__LINE__)(const struct hook_view *v, struct arena *a)               \
    {                                                                                              \
        (void)v;                                                                                   \
        (void)a;                                                                                   \
        return value;                                                                              \
    }
#define MACRO_FN(line)   MACRO_FN_2(line)
#define MACRO_FN_2(line) value_##line
#include "hooks/milter_macros.def"
#undef MACRO

static const struct {
    struct str name;
    unsigned places;
    value_fn *value;
} macros[] = {
#define MACRO(name, places, value) {STR_INIT(name), places, MACRO_FN(__LINE__)},
#include "hooks/milter_macros.def"
#undef MACRO
};
_Static_assert(COUNT_OF(macros) <= (size_t)MILTER_MACROS_MAX, "room for all");

static bool is_listed(struct str list, struct str name)
{
    for (size_t i = 0; i < list.len;) {
        size_t n = 0;

        while (i + n < list.len && strchr(" \t,", list.ptr[i + n]) == NULL) {
            n++;
        }
        if (str_eq(str_make(list.ptr + i, n), name)) {
            return true;
        }
        /* "client_addr" asks for "{client_addr}". */
        if (n > 1 && name.len == n + 2 &&
            str_eq(str_make(name.ptr + 1, n), str_make(list.ptr + i, n))) {
            return true;
        }
        i += n + 1;
    }
    return false;
}

size_t milter_macros(const struct hook_view *view, enum milter_place place,
                     const struct milter_terms *terms, struct arena *a,
                     struct milter_macro ret[MILTER_MACROS_MAX])
{
    bool is_chosen = (terms->has_symbols >> place & 1) != 0;
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(macros); i++) {
        struct str value;

        if (is_chosen ? !is_listed(terms->symbols[place], macros[i].name)
                      : (macros[i].places >> place & 1) == 0) {
            continue;
        }
        value = macros[i].value(view, a);
        if (value.len > 0) {
            ret[count++] = (struct milter_macro){macros[i].name, str_head(value, VALUE_BYTES_MAX)};
        }
    }
    return count;
}
