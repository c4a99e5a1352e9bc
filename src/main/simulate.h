/*
 * simulate: `postyard simulate [-c FILE] --scenario FILE`: the real queue and delivery, with the
 * operator's configuration, in a simulated world.
 */
#pragma once

int simulate_command(int argc, char **argv);
