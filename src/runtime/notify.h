/*
 * notify: tells the service manager how we are (sd_notify(3): READY=1, STOPPING=1, RELOADING=1).
 * Without NOTIFY_SOCKET in the environment it does nothing. Never waits.
 */
#pragma once

void notify_manager(const char *state);
