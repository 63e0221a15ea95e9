#include "potstill_front_end.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FULL_SCALE 32768.0f

static bool has_spectrum(const potstill_front_end_settings *settings)
{
    return settings->kind == POTSTILL_LOG_MEL || settings->kind == POTSTILL_LOG_POWER;
}

/* Samples of a window that are kept here. */
static size_t own_samples(const potstill_front_end_settings *settings)
{
    return settings->source ? 0 : settings->window_samples;
}

/* One block for all: the largest elements first, so that each array is aligned. */
static size_t bytes_of(const potstill_front_end_settings *settings)
{
    const size_t length = has_spectrum(settings) ? settings->fft.length : 0;
    const size_t complexes = length ? length / 2 + 1 + length / 2 : 0;
    const size_t floats = length ? length + settings->values : 0;
    return complexes * sizeof(potstill_complex) + floats * sizeof(float) + own_samples(settings) * sizeof(int16_t) +
           settings->values;
}

static bool open_source(potstill_front_end *state)
{
    const potstill_frame_source *source = state->settings->source;
    if (source && !(state->source_state = source->open(state->settings))) {
        potstill_front_end_close(state);
        return false;
    }
    return true;
}

bool potstill_front_end_open(potstill_front_end *state, const potstill_front_end_settings *settings)
{
    memset(state, 0, sizeof *state);
    state->settings = settings;
    state->memory = calloc(1, bytes_of(settings));
    if (!state->memory) {
        return false;
    }
    char *next = state->memory;
    if (has_spectrum(settings)) {
        const size_t half = settings->fft.length / 2;
        state->spectrum = (potstill_complex *)(void *)next;
        state->work = state->spectrum + half + 1;
        state->padded = (float *)(void *)(state->work + half);
        state->features = state->padded + settings->fft.length;
        next = (char *)(state->features + settings->values);
    }
    state->heard = (int16_t *)(void *)next;
    state->codes = (int8_t *)(state->heard + own_samples(settings));
    return open_source(state);
}

void potstill_front_end_close(potstill_front_end *state)
{
    if (state->source_state) {
        state->settings->source->close(state->source_state);
    }
    free(state->memory);
    memset(state, 0, sizeof *state);
}

void potstill_front_end_reset(potstill_front_end *state)
{
    state->heard_samples = 0;
    state->skipped_samples = 0;
    if (state->source_state) {
        state->settings->source->reset(state->source_state);
    }
}

int8_t potstill_quantized(float value, float scale, int16_t zero_point)
{
    const float code = rintf(value / scale) + (float)zero_point;
    if (!(code > (float)INT8_MIN)) {
        return INT8_MIN;
    }
    return code < (float)INT8_MAX ? (int8_t)code : INT8_MAX;
}

static int8_t compressed(const int32_t *borders, int16_t sample)
{
    /* How many borders lie at or below the sample: 255 of them take eight halvings. */
    uint32_t below = 0;
    for (uint32_t step = 128; step; step /= 2) {
        if (borders[below + step - 1] <= sample) {
            below += step;
        }
    }
    return (int8_t)((int32_t)below + INT8_MIN);
}

static float power_of(potstill_complex bin)
{
    return bin.re * bin.re + bin.im * bin.im;
}

static float normalised(const potstill_front_end_settings *settings, float energy)
{
    return (logf(energy + settings->log_floor) - settings->log_mean) / settings->log_std;
}

/* Bins to their powers or magnitudes, over the spectrum's first half of floats: `padded` is free by now. */
static void sum_mels(potstill_front_end *state)
{
    const potstill_front_end_settings *settings = state->settings;
    const uint32_t bins = settings->fft.length / 2u + 1u;
    float *strength = state->padded;
    for (uint32_t bin = 0; bin < bins; bin++) {
        const float power = power_of(state->spectrum[bin]);
        strength[bin] = settings->spectrum_power == 1 ? sqrtf(power) : power;
    }
    const float *weights = settings->mel_weights;
    for (uint32_t mel = 0; mel < settings->values; mel++) {
        const float *from = strength + settings->mel_starts[mel];
        float energy = 0.0f;
        for (uint32_t i = 0; i < settings->mel_counts[mel]; i++) {
            energy += from[i] * weights[i];
        }
        weights += settings->mel_counts[mel];
        state->features[mel] = normalised(settings, energy);
    }
}

static void make_frame(potstill_front_end *state)
{
    const potstill_front_end_settings *settings = state->settings;
    if (!has_spectrum(settings)) {
        for (uint32_t i = 0; i < settings->values; i++) {
            state->codes[i] = compressed(settings->borders, state->heard[i]);
        }
        return;
    }
    for (uint32_t i = 0; i < settings->window_samples; i++) {
        state->padded[i] = (float)state->heard[i] / FULL_SCALE * settings->window[i];
    }
    for (uint32_t i = settings->window_samples; i < settings->fft.length; i++) {
        state->padded[i] = 0.0f;
    }
    potstill_fft_forward(&settings->fft, state->padded, state->spectrum, state->work);
    if (settings->kind == POTSTILL_LOG_MEL) {
        sum_mels(state);
    } else {
        for (uint32_t bin = 0; bin < settings->values; bin++) {
            state->features[bin] = normalised(settings, power_of(state->spectrum[bin]));
        }
    }
    for (uint32_t i = 0; i < settings->values; i++) {
        state->codes[i] = potstill_quantized(state->features[i], settings->scale, settings->zero_point);
    }
}

/* Keep of the window what the next one hears again. */
static void move_on(potstill_front_end *state)
{
    const uint32_t window = state->settings->window_samples, hop = state->settings->hop_samples;
    state->heard_samples = hop < window ? window - hop : 0;
    state->skipped_samples = hop < window ? 0 : hop - window;
    memmove(state->heard, state->heard + (window - state->heard_samples), state->heard_samples * sizeof *state->heard);
}

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t potstill_front_end_take(potstill_front_end *state, const int16_t *samples, size_t count, bool *complete)
{
    *complete = false;
    if (state->source_state) {
        return state->settings->source->take(state->source_state, samples, count, state->codes, complete);
    }
    const size_t skipped = lesser(count, state->skipped_samples);
    state->skipped_samples -= (uint32_t)skipped;
    const size_t taken = lesser(count - skipped, state->settings->window_samples - state->heard_samples);
    if (taken) {
        memcpy(state->heard + state->heard_samples, samples + skipped, taken * sizeof *samples);
        state->heard_samples += (uint32_t)taken;
    }
    if (state->heard_samples == state->settings->window_samples) {
        make_frame(state);
        move_on(state);
        *complete = true;
    }
    return skipped + taken;
}
