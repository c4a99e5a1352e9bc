#include "hooks/retry.h"

static bool may_pass(const struct retry_said *said)
{
    if (said->code != OK) {
        return said->code == ERR_NETWORK || said->code == ERR_CLOSED || said->code == ERR_DNS;
    }
    return said->status == 429 || said->status >= 500;
}

bool retry_is_due(const struct retry_said *said, unsigned sent, struct when now, struct when by,
                  uint64_t chance, int64_t *ms)
{
    uint64_t wished_s;
    int64_t pause = (int64_t)RETRY_MS_FIRST << (sent - 1);

    if (sent > RETRIES_MAX || !may_pass(said)) {
        return false;
    }
    pause += (int64_t)(chance % RETRY_MS_CHANCE);
    if (str_to_u64(said->retry_after, &wished_s)) {
        int64_t wished = wished_s > RETRY_MS_MAX / 1000 ? RETRY_MS_MAX : (int64_t)wished_s * 1000;

        pause = pause > wished ? pause : wished;
    }
    *ms = pause;
    return when_is_never(by) || when_add(now, pause * NS_PER_MS).ns < by.ns;
}
