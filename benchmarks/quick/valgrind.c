/* Count the instructions of a piece of a program that runs in valgrind. */
#include <valgrind/callgrind.h>

void start(void) { CALLGRIND_START_INSTRUMENTATION; }

void begin(void) { CALLGRIND_ZERO_STATS; }

void end(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
