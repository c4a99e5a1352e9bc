#include "dns/idn.h"

#include "runtime/fiber.h"

#include <idn2.h>

struct conversion {
    const char *domain;
    char *ascii;
    int result;
};

static void convert(void *arg)
{
    struct conversion *c = arg;

    c->result = idn2_to_ascii_8z(c->domain, &c->ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
}

bool idn_to_ascii(struct str domain, struct arena *a, struct str *ret)
{
    struct conversion c = {0};

    if (str_is_ascii(domain)) {
        *ret = domain;
        return true;
    }
    c.domain = arena_z(a, domain);
    on_big_stack(convert, &c);
    if (c.result != IDN2_OK) {
        return false;
    }
    *ret = arena_dup(a, str_of(c.ascii));
    idn2_free(c.ascii);
    return true;
}
