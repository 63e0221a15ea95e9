/* A student listens to a file of int16 samples in pieces of given lengths; its network is behind pipes. */
#include "piped_network.c"

#include <stdio.h>
#include <stdlib.h>

#include "potstill_own.h"
#include "potstill_runner.h"

#define MOST_SAMPLES 4000

static void tell(const potstill_heard *heard, uint32_t frames)
{
    struct {
        uint32_t frames;
        int16_t score, event;
    } decision = {frames, heard->score_steps, (int16_t)heard->event};
    if (heard->decided) {
        piped_send('d', &decision, 8, heard->outputs, potstill_own.outputs);
    }
    if (heard->sound) {
        piped_send('s', heard->sound, heard->sound_samples * (uint32_t)sizeof *heard->sound, NULL, 0);
    }
}

int main(int argc, char **argv)
{
    static int16_t samples[MOST_SAMPLES];
    potstill_runner runner;
    FILE *file = argc > 2 ? fopen(argv[1], "rb") : NULL;
    if (!file || !potstill_runner_open(&runner, &potstill_own, piped_network_open(&potstill_own))) {
        return EXIT_FAILURE;
    }
    for (int turn = 0;; turn++) {
        const size_t piece = 1 + strtoul(argv[2 + turn % (argc - 2)], NULL, 10) % MOST_SAMPLES;
        const size_t count = fread(samples, sizeof *samples, piece, file);
        if (!count) {
            break;
        }
        for (size_t at = 0; at < count;) {
            potstill_heard heard;
            at += potstill_runner_hear(&runner, samples + at, count - at, &heard);
            if (heard.failed) {
                return EXIT_FAILURE;
            }
            tell(&heard, runner.heard_frames);
        }
    }
    fclose(file);
    potstill_runner_close(&runner);
    piped_network_close();
    return EXIT_SUCCESS;
}
