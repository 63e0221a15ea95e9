#include "potstill_profiler.h"

#include <inttypes.h>
#include <stdio.h>

#define MOST_LINE 96

uint32_t potstill_profiler_begin(potstill_profiler *profiler, const char *tag, uint32_t now_us)
{
    if (profiler->count == profiler->capacity) {
        profiler->lost++;
        return profiler->capacity;
    }
    profiler->events[profiler->count] = (potstill_timed){.tag = tag, .began_us = now_us};
    return profiler->count++;
}

void potstill_profiler_end(potstill_profiler *profiler, uint32_t event, uint32_t now_us)
{
    if (event < profiler->count) {
        profiler->events[event].took_us = now_us - profiler->events[event].began_us;
    }
}

void potstill_profiler_clear(potstill_profiler *profiler)
{
    profiler->count = 0;
    profiler->lost = 0;
}

void potstill_profiler_print(potstill_profiler *profiler, void (*print)(const char *line))
{
    char line[MOST_LINE];
    if (profiler->lost) {
        snprintf(line, sizeof line, "potstill profiler: %" PRIu32 " events had no room", profiler->lost);
        print(line);
    }
    for (uint32_t i = 0; i < profiler->count && !profiler->lost; i++) {
        const potstill_timed *event = &profiler->events[i];
        snprintf(line, sizeof line, "%s took %" PRIu32 " microseconds", event->tag, event->took_us);
        print(line);
    }
    potstill_profiler_clear(profiler);
}
