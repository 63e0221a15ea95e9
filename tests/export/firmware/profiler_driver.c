/* Two rounds of three operators, then one that has no room, as the profiler prints them. */
#include "potstill_profiler.h"

#include <stdio.h>
#include <stdlib.h>

static void print(const char *line)
{
    puts(line);
}

static void round_of(potstill_profiler *profiler, const char *const *tags, int count, uint32_t start_us)
{
    for (int i = 0; i < count; i++) {
        const uint32_t event = potstill_profiler_begin(profiler, tags[i], start_us);
        start_us += 100u * ((uint32_t)i + 1u);
        potstill_profiler_end(profiler, event, start_us);
    }
    potstill_profiler_print(profiler, print);
}

int main(int argc, char **argv)
{
    const int count = argc - 1;
    potstill_timed *events = malloc((size_t)count * sizeof *events);
    potstill_profiler profiler = {.events = events, .capacity = (uint32_t)count};
    if (!events) {
        return EXIT_FAILURE;
    }
    round_of(&profiler, (const char *const *)argv + 1, count, 1000);
    /* Over the clock's end. */
    round_of(&profiler, (const char *const *)argv + 1, count, UINT32_MAX - 150u);
    profiler.capacity--;
    round_of(&profiler, (const char *const *)argv + 1, count, 0);
    free(events);
    return EXIT_SUCCESS;
}
