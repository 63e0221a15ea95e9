/* The front end on a host: int16 samples from standard input, in pieces of many lengths, to codes and features. */
#include <stdio.h>
#include <stdlib.h>

#include "potstill_own.h"

#define MOST_SAMPLES 1500

int main(void)
{
    static int16_t samples[MOST_SAMPLES];
    potstill_front_end state;
    const potstill_front_end_settings *settings = &potstill_own.front_end;
    if (!potstill_front_end_open(&state, settings)) {
        return EXIT_FAILURE;
    }
    size_t piece = 1, count;
    while ((count = fread(samples, sizeof *samples, piece, stdin)) > 0) {
        for (size_t at = 0; at < count;) {
            bool complete;
            at += potstill_front_end_take(&state, samples + at, count - at, &complete);
            if (complete) {
                fwrite(state.codes, 1, settings->values, stdout);
            }
            if (complete && state.features) {
                fwrite(state.features, sizeof *state.features, settings->values, stdout);
            }
        }
        piece = 1 + piece * 7 % MOST_SAMPLES;
    }
    potstill_front_end_close(&state);
    return EXIT_SUCCESS;
}
