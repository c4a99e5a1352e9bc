#include "cli/inject.h"
#include "cli/snapshot.h"
#include "inbound/settings.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool read_all(const char *command, struct str path, struct buf *out)
{
    bool is_standard = path.len == 0 || str_eq(path, STR("-"));
    struct arena a ARENA_LOCAL = {0};
    FILE *f = is_standard ? stdin : fopen(arena_z(&a, path), "re");
    bool good;

    if (f == NULL) {
        cli_say(command, "cannot read %.*s: %s", STR_ARG(path), strerror(errno));
        return false;
    }
    for (size_t got = 1; got > 0;) {
        char *room = buf_room(out, 65536);

        got = room == NULL ? 0 : fread(room, 1, 65536, f);
        out->len += got;
    }
    good = ferror(f) == 0;
    if (!good) {
        cli_say(command, "cannot read %.*s: %s",
                STR_ARG(is_standard ? STR("standard input") : path), strerror(errno));
    }
    if (!is_standard) {
        (void)fclose(f);
    }
    return good;
}

struct str local_user(const struct config *cfg, struct arena *a, struct str *host)
{
    const struct server_settings *server = config_settings(cfg, &server_table);
    const struct passwd *user = getpwuid(getuid());

    *host = server->hostname.len > 0 ? server->hostname : system_hostname();
    return user != NULL ? arena_printf(a, "%s@%.*s", user->pw_name, STR_ARG(*host))
                        : arena_printf(a, "uid-%u@%.*s", (unsigned)getuid(), STR_ARG(*host));
}
