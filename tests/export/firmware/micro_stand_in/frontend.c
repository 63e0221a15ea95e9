/* Takes samples as the library does: until a window is full, never beyond, and the next one overlaps it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend_util.h"
#include "piped_network.h"

void FrontendFillConfigWithDefaults(struct FrontendConfig *config)
{
    memset(config, 0, sizeof *config);
}

/* The settings go to the other side, which knows what it computes with. */
static void tell(const struct FrontendConfig *config, int sample_rate)
{
    char said[256];
    const int length = snprintf(
        said, sizeof said, "%d %d %d %d %g %g %d %g %g %g %d %g %g %d %d %d", sample_rate, (int)config->window.size_ms,
        (int)config->window.step_size_ms, config->filterbank.num_channels, (double)config->filterbank.lower_band_limit,
        (double)config->filterbank.upper_band_limit, config->noise_reduction.smoothing_bits,
        (double)config->noise_reduction.even_smoothing, (double)config->noise_reduction.odd_smoothing,
        (double)config->noise_reduction.min_signal_remaining, config->pcan_gain_control.enable_pcan,
        (double)config->pcan_gain_control.strength, (double)config->pcan_gain_control.offset,
        config->pcan_gain_control.gain_bits, config->log_scale.enable_log, config->log_scale.scale_shift);
    piped_send('c', said, (uint32_t)length, NULL, 0);
}

int FrontendPopulateState(const struct FrontendConfig *config, struct FrontendState *state, int sample_rate)
{
    state->piece = malloc(STAND_IN_HOP * sizeof *state->piece);
    state->values = malloc(STAND_IN_VALUES * sizeof *state->values);
    if (!state->piece || !state->values || getenv("MICRO_FAILS")) {
        return 0;
    }
    tell(config, sample_rate);
    FrontendReset(state);
    return 1;
}

void FrontendFreeStateContents(struct FrontendState *state)
{
    free(state->piece);
    free(state->values);
}

void FrontendReset(struct FrontendState *state)
{
    state->heard = 0;
    state->missing = STAND_IN_WINDOW;
    piped_send('z', NULL, 0, NULL, 0);
}

static void take(struct FrontendState *state, const int16_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        state->piece[state->heard++] = samples[i];
        if (state->heard == STAND_IN_HOP) {
            piped_send('m', state->piece, STAND_IN_HOP * sizeof *state->piece, NULL, 0);
            piped_receive(state->values, STAND_IN_VALUES * sizeof *state->values);
            state->heard = 0;
        }
    }
}

struct FrontendOutput FrontendProcessSamples(struct FrontendState *state, const int16_t *samples, size_t num_samples,
                                             size_t *num_samples_read)
{
    struct FrontendOutput output = {NULL, 0};
    *num_samples_read = num_samples < state->missing ? num_samples : state->missing;
    take(state, samples, *num_samples_read);
    state->missing -= *num_samples_read;
    if (!state->missing) {
        state->missing = STAND_IN_HOP;
        output = (struct FrontendOutput){state->values, STAND_IN_VALUES};
    }
    return output;
}
