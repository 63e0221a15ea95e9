/* Times of a network's operators, printed as `python -m export calibrate` reads them. */
#ifndef POTSTILL_PROFILER_H
#define POTSTILL_PROFILER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *tag; /* outlives the profiler */
    uint32_t began_us;
    uint32_t took_us;
} potstill_timed;

typedef struct {
    potstill_timed *events;
    uint32_t capacity;
    uint32_t count;
    uint32_t lost; /* events beyond the capacity */
} potstill_profiler;

/* Begin an event; the number is for its end. */
uint32_t potstill_profiler_begin(potstill_profiler *profiler, const char *tag, uint32_t now_us);

void potstill_profiler_end(potstill_profiler *profiler, uint32_t event, uint32_t now_us);

/* Forget all events. */
void potstill_profiler_clear(potstill_profiler *profiler);

/* Print a line for each event in order, such as `CONV_2D took 168 microseconds`, then forget them. A log of operators
 * with some missing would be read as one of another model: events that were lost are told instead of printed. */
void potstill_profiler_print(potstill_profiler *profiler, void (*print)(const char *line));

#ifdef __cplusplus
}
#endif
#endif
