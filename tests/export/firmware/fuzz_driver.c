/* A student with a network of noise hears extreme sound in pieces of random lengths, for a number of pieces. */
#include "piped_network.c"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "potstill_own.h"
#include "potstill_runner.h"

#define MOST_SAMPLES 3000

static uint32_t noise = 1;

static uint32_t next(void)
{
    noise ^= noise << 13;
    noise ^= noise >> 17;
    noise ^= noise << 5;
    return noise;
}

static bool run_noise(void *context)
{
    (void)context;
    for (uint32_t i = 0; i < tensors; i++) {
        for (uint32_t at = 0; at < input_bytes[i]; at++) {
            inputs[i][at] = (int8_t)((int32_t)(next() >> 24) + INT8_MIN);
        }
        for (uint32_t at = 0; at < output_bytes[i]; at++) {
            outputs[i][at] = (int8_t)((int32_t)(next() >> 24) + INT8_MIN);
        }
    }
    return next() % 50 != 0;
}

/* Silence, one value, both extremes in turn, noise, single clicks. */
static int16_t sample_of(uint32_t kind, size_t at)
{
    static const int16_t extremes[] = {INT16_MIN, INT16_MAX, 0, 1, -1};
    switch (kind % 5) {
    case 0:
        return 0;
    case 1:
        return extremes[kind / 5 % 5];
    case 2:
        return at % 2 ? INT16_MIN : INT16_MAX;
    case 3:
        return (int16_t)((int32_t)(next() >> 16) + INT16_MIN);
    default:
        return at % 997 ? 0 : INT16_MAX;
    }
}

static void check_numbers(const potstill_front_end *front_end)
{
    for (uint32_t i = 0; front_end->features && i < front_end->settings->values; i++) {
        if (!isfinite(front_end->features[i])) {
            fprintf(stderr, "feature %u is not finite\n", (unsigned)i);
            exit(EXIT_FAILURE);
        }
    }
}

int main(int argc, char **argv)
{
    static int16_t samples[MOST_SAMPLES];
    potstill_runner runner;
    potstill_network network = piped_network_open(&potstill_own);
    network.run = run_noise;
    const unsigned long pieces = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    noise = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
    if (!potstill_runner_open(&runner, &potstill_own, network)) {
        return EXIT_FAILURE;
    }
    unsigned long runs = 0, decisions = 0, failures = 0;
    for (unsigned long piece = 0; piece < pieces; piece++) {
        const size_t count = next() % (next() % 8 ? 40 : MOST_SAMPLES);
        const uint32_t kind = next();
        for (size_t i = 0; i < count; i++) {
            samples[i] = sample_of(kind, i);
        }
        for (size_t at = 0; at < count;) {
            potstill_heard heard;
            const size_t taken = potstill_runner_hear(&runner, samples + at, count - at, &heard);
            if (!taken) {
                fprintf(stderr, "nothing was taken\n");
                return EXIT_FAILURE;
            }
            at += taken;
            runs += heard.run;
            decisions += heard.decided;
            failures += heard.failed;
            check_numbers(&runner.front_end);
        }
        if (next() % 300 == 0) {
            potstill_runner_reset(&runner);
        }
    }
    potstill_runner_close(&runner);
    piped_network_close();
    printf("%lu %lu %lu\n", runs, decisions, failures);
    return EXIT_SUCCESS;
}
