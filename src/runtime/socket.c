#include "runtime/socket.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128 };

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
};

struct addr socket_addr(const void *sockaddr)
{
    const union any_address *from = sockaddr;
    struct addr ret = {0};

    if (from != NULL && from->any.sa_family == AF_INET) {
        ret.family = 4;
        ret.port = ntohs(from->v4.sin_port);
        memcpy(ret.ip, &from->v4.sin_addr, 4);
    } else if (from != NULL && from->any.sa_family == AF_INET6) {
        ret.family = 6;
        ret.port = ntohs(from->v6.sin6_port);
        memcpy(ret.ip, &from->v6.sin6_addr, 16);
    }
    return ret;
}

static socklen_t to_system(struct addr a, union any_address *ret)
{
    memset(ret, 0, sizeof *ret);
    if (a.family == 4) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(a.port);
        memcpy(&ret->v4.sin_addr, a.ip, 4);
        return sizeof ret->v4;
    }
    ret->v6.sin6_family = AF_INET6;
    ret->v6.sin6_port = htons(a.port);
    memcpy(&ret->v6.sin6_addr, a.ip, 16);
    return sizeof ret->v6;
}

/* Closes, and says why as it was before. */
static struct err failed(int fd)
{
    struct err e = err_sys(errno == EMFILE || errno == ENFILE ? ERR_LIMIT : ERR_NETWORK, errno);

    if (fd >= 0) {
        (void)close(fd);
    }
    return e;
}

struct err socket_listen(struct addr at, int *ret, struct addr *bound)
{
    union any_address here;
    socklen_t size = to_system(at, &here);
    int fd = socket(here.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0) {
        return failed(fd);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at.family == 6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(fd, &here.any, size) != 0 || listen(fd, BACKLOG) != 0) {
        return failed(fd);
    }
    size = sizeof here;
    if (getsockname(fd, &here.any, &size) != 0) {
        return failed(fd);
    }
    *bound = socket_addr(&here);
    *ret = fd;
    return ERR_OK;
}

/* Removes a socket nobody listens on; OK when there is nothing (any more). */
static struct err clear_path(const union any_address *at)
{
    struct stat st;
    struct err e = ERR_OK;
    int fd;

    if (lstat(at->path.sun_path, &st) != 0) {
        return errno == ENOENT ? ERR_OK : err_sys(ERR_NETWORK, errno);
    }
    if (!S_ISSOCK(st.st_mode)) {
        return err_of(ERR_EXISTS);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return failed(fd);
    }
    if (connect(fd, &at->any, sizeof at->path) == 0 || errno == EAGAIN || errno == EINPROGRESS) {
        e = err_of(ERR_BUSY);
    } else if (errno != ECONNREFUSED) {
        e = err_sys(ERR_NETWORK, errno);
    } else if (unlink(at->path.sun_path) != 0 && errno != ENOENT) {
        e = err_sys(ERR_NETWORK, errno);
    }
    (void)close(fd);
    return e;
}

struct err socket_listen_path(struct str path, unsigned mode, int *ret)
{
    union any_address here = {.path.sun_family = AF_UNIX};
    struct err e;
    int fd;

    if (path.len == 0 || path.len >= sizeof here.path.sun_path ||
        str_find(path, '\0') != STR_NONE) {
        return err_sys(ERR_NETWORK, ENAMETOOLONG);
    }
    memcpy(here.path.sun_path, path.ptr, path.len);
    e = clear_path(&here);
    if (e.code != OK) {
        return e;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return failed(fd);
    }
    /* On the descriptor the mode holds when the name appears, less what umask forbids; the second
     * call gives that back. */
    if (fchmod(fd, (mode_t)mode) != 0 || bind(fd, &here.any, sizeof here.path) != 0 ||
        chmod(here.path.sun_path, (mode_t)mode) != 0 || listen(fd, BACKLOG) != 0) {
        return failed(fd);
    }
    *ret = fd;
    return ERR_OK;
}

void socket_remove_path(struct str path)
{
    union any_address here = {.path.sun_family = AF_UNIX};

    must(path.len < sizeof here.path.sun_path);
    memcpy(here.path.sun_path, path.ptr, path.len);
    (void)unlink(here.path.sun_path);
}
