/* The address of a call, which a scanner may name, and a field of its head. */
#include "base/check.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str all = str_make((const char *)bytes, len), value = all, name;
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_target t, again;
    struct fetch_field f;

    if (fetch_target_parse(all, &a, &t, &why).code == OK) {
        must(t.port > 0);
        must(t.host.len > 0);
        must(str_starts(t.path, STR("/")));
        must(strpbrk(t.url, " \r\n#@\\\"<>") == NULL || str_find(t.path, '@') != STR_NONE);
        /* What was understood is understood the same way again, unless the port made it too long.
         */
        if (strlen(t.url) <= FETCH_URL_MAX) {
            must(fetch_target_parse(str_of(t.url), &a, &again, &why).code == OK);
            must(fetch_target_is_near(&t, &again));
            must(str_eq(t.path, again.path));
        }
    } else {
        must(why.len > 0);
    }
    (void)str_cut(&value, ':', &name);
    f = (struct fetch_field){name, value};
    if (fetch_field_check(&f, &why).code == OK) {
        must(str_find(f.name, '\n') == STR_NONE);
        must(str_find(f.value, '\n') == STR_NONE);
        must(str_find(f.value, '\r') == STR_NONE);
    }
    return 0;
}
