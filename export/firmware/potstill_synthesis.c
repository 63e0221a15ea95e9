#include "potstill_synthesis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FULL_SCALE 32768.0f

bool potstill_synthesis_open(potstill_synthesis *state, const potstill_front_end_settings *settings)
{
    const size_t length = settings->fft.length, half = length / 2;
    memset(state, 0, sizeof *state);
    state->settings = settings;
    state->memory = calloc(1, half * sizeof(potstill_complex) + (length + half) * sizeof(float));
    if (!state->memory) {
        return false;
    }
    state->work = state->memory;
    state->frame = (float *)(void *)(state->work + half);
    state->last = state->frame + length;
    return true;
}

void potstill_synthesis_close(potstill_synthesis *state)
{
    free(state->memory);
    memset(state, 0, sizeof *state);
}

void potstill_synthesis_reset(potstill_synthesis *state)
{
    memset(state->last, 0, state->settings->hop_samples * sizeof *state->last);
}

static int16_t sample_of(float value)
{
    const float sample = rintf(value * FULL_SCALE);
    if (!(sample > (float)INT16_MIN)) {
        return INT16_MIN;
    }
    return sample < (float)INT16_MAX ? (int16_t)sample : INT16_MAX;
}

void potstill_synthesis_frame(potstill_synthesis *state, potstill_complex *spectrum, const int8_t *mask, float scale,
                              int16_t zero_point, int16_t *sound)
{
    const potstill_front_end_settings *settings = state->settings;
    const uint32_t hop = settings->hop_samples;
    for (uint32_t bin = 0; bin < settings->values; bin++) {
        const float left = (float)(mask[bin] - zero_point) * scale;
        spectrum[bin].re *= left;
        spectrum[bin].im *= left;
    }
    potstill_fft_inverse(&settings->fft, spectrum, state->frame, state->work);
    for (uint32_t i = 0; i < hop; i++) {
        sound[i] = sample_of(state->last[i] + state->frame[i] * settings->window[i]);
        state->last[i] = state->frame[hop + i] * settings->window[hop + i];
    }
}
