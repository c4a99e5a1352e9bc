/*
 * memory: how the C library's allocator is set, and giving back what a load that has ended left.
 *
 * Mail is allocated on one thread and freed on another all the time, so arenas hold pages that
 * nobody uses; they grow in moderate steps, and are few. Handing pages back costs faults when load
 * comes again, so it is never done while mail is flowing as before: a watch looks now and then at
 * the processor time that was used, and acts once, after that has fallen.
 *
 * Errors    None.
 */
#pragma once

enum { MEMORY_WATCH_MS = 5000 };

void memory_tune(void); /* first thing in the process, before there are threads */
/* A fiber's function, for the home loop of a real world; arg is unused. Ends when cancelled. */
void memory_watch(void *arg);
