/* The front end on a host: int16 samples from standard input to codes and features.
 * Sound comes in pieces of the lengths that the arguments name, over and over; without any, of many lengths. */
#include <stdio.h>
#include <stdlib.h>

#include "potstill_own.h"

#define MOST_SAMPLES 1500

static size_t next_piece(size_t piece, int turn, int argc, char **argv)
{
    const size_t wanted = argc > 1 ? strtoul(argv[1 + turn % (argc - 1)], NULL, 10) : piece * 7;
    return 1 + wanted % MOST_SAMPLES;
}

int main(int argc, char **argv)
{
    static int16_t samples[MOST_SAMPLES];
    potstill_front_end state;
    const potstill_front_end_settings *settings = &potstill_own.front_end;
    if (!potstill_front_end_open(&state, settings)) {
        return EXIT_FAILURE;
    }
    size_t piece = next_piece(0, 0, argc, argv), count;
    for (int turn = 1; (count = fread(samples, sizeof *samples, piece, stdin)) > 0; turn++) {
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
        piece = next_piece(piece, turn, argc, argv);
    }
    potstill_front_end_close(&state);
    return EXIT_SUCCESS;
}
