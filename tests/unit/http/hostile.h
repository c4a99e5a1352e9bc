/* Starts tests/peers/hostile_http.py, and knows its doors. */
#pragma once

#include "base/check.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct hostile {
    char folder[64];
    pid_t pid;
    int in;
    unsigned count;
    struct {
        char name[32], value[128];
    } doors[32];
};

static const char *hostile_door(const struct hostile *h, const char *name)
{
    for (unsigned i = 0; i < h->count; i++) {
        if (str_eq(str_of(h->doors[i].name), str_of(name))) {
            return h->doors[i].value;
        }
    }
    fail_msg("no door %s", name);
    return NULL;
}

static void hostile_start(struct hostile *h, const char *server)
{
    int in[2], out[2];
    char line[256];
    FILE *f;

    *h = (struct hostile){.folder = "/tmp/postyard-hostile-XXXXXX"};
    assert_non_null(mkdtemp(h->folder));
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    h->pid = fork();
    if (h->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execlp("python3", "python3", server, h->folder, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    h->in = in[1];
    f = fdopen(out[0], "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL && h->count < COUNT_OF(h->doors)) {
        if (sscanf(line, "%31s %127s", h->doors[h->count].name, h->doors[h->count].value) == 2) {
            h->count++;
        } else if (str_starts(str_of(line), STR("ready"))) {
            (void)fclose(f);
            return;
        }
    }
    fail_msg("%s did not start", server);
}

static void hostile_stop(struct hostile *h)
{
    char command[128];

    close(h->in);
    (void)waitpid(h->pid, NULL, 0);
    (void)snprintf(command, sizeof command, "rm -rf %s", h->folder);
    assert_int_equal(system(command), 0);
}
