/* What a path parser takes, it takes again in its own writing, and within the limits. */
#include "base/check.h"
#include "mail/address.h"
#include "mail/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str in = {(const char *)bytes, len}, rest;
    struct arena arena ARENA_LOCAL = {0};
    struct path path, again;

    helo_is_valid(in);
    for (int i = 0; i < 4; i++) {
        enum path_kind kind = i & 1 ? PATH_FORWARD : PATH_REVERSE;

        if (path_parse(in, kind, i & 2, &arena, &path, &rest) != REFUSAL_NONE) {
            continue;
        }
        must(path.address.len + 2 <= ADDRESS_PATH_BYTES_MAX);
        must(path.local.len <= ADDRESS_LOCAL_BYTES_MAX);
        must(rest.ptr + rest.len == in.ptr + in.len);
        must((i & 2) || !path.is_utf8);
        must(str_find(path.address, '\n') == STR_NONE);
        if (path.domain.len > 0) {
            must(path_parse_address(path.address, i & 2, &arena, &again) == REFUSAL_NONE);
            must(str_eq(again.address, path.address));
        }
    }
    return 0;
}
