#include "runtime/interfaces.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

static bool read_address(const struct sockaddr *from, struct addr *ret)
{
    *ret = (struct addr){0};
    if (from != NULL && from->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;

        ret->family = 4;
        memcpy(ret->ip, &v4->sin_addr, 4);
    } else if (from != NULL && from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;

        ret->family = 6;
        memcpy(ret->ip, &v6->sin6_addr, 16);
    }
    return ret->family != 0;
}

size_t interfaces_list(struct arena *a, struct addr **ret)
{
    struct ifaddrs *all = NULL;
    size_t count = 0, size = 0;

    *ret = NULL;
    if (getifaddrs(&all) != 0) {
        return 0;
    }
    for (const struct ifaddrs *each = all; each != NULL; each = each->ifa_next) {
        size++;
    }
    *ret = arena_array(a, size, sizeof **ret);
    for (const struct ifaddrs *each = all; each != NULL; each = each->ifa_next) {
        count += read_address(each->ifa_addr, &(*ret)[count]);
    }
    freeifaddrs(all);
    return count;
}
