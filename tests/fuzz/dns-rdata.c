/* The first byte chooses the type of record, the rest is its data. */
#include "base/check.h"
#include "dns/rdata.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const enum dns_type types[] = {DNS_A,   DNS_CNAME, DNS_PTR, DNS_MX,
                                          DNS_TXT, DNS_AAAA,  DNS_TLSA};
    struct arena a ARENA_LOCAL = {0};
    struct dns_record r;

    if (len > 0 && rdata_parse(types[bytes[0] % COUNT_OF(types)],
                               str_make((const char *)bytes + 1, len - 1), &a, &r)) {
        must(r.name.len <= DNS_NAME_MAX);
        must(r.bytes.len <= DNS_TEXT_MAX);
        must(r.name.len == 0 || str_eq(r.name, STR(".")) || dns_name_is_valid(r.name));
    }
    return 0;
}
