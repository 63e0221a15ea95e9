#include "potstill_micro.h"

#include <stdlib.h>

#include "frontend.h"
#include "frontend_util.h"

#define SAMPLE_RATE_HZ 16000
#define SAMPLES_PER_MS (SAMPLE_RATE_HZ / 1000)
/* ESPHome's runtime takes 666 for the largest of its integers. */
#define LARGEST 666

/* ESPHome's preprocessor_settings.h, and those of pymicro-features, by which students are trained. */
static void configure(struct FrontendConfig *config, const potstill_front_end_settings *settings)
{
    FrontendFillConfigWithDefaults(config);
    config->window.size_ms = settings->window_samples / SAMPLES_PER_MS;
    config->window.step_size_ms = settings->hop_samples / SAMPLES_PER_MS;
    config->filterbank.num_channels = settings->values;
    config->filterbank.lower_band_limit = 125.0f;
    config->filterbank.upper_band_limit = 7500.0f;
    config->noise_reduction.smoothing_bits = 10;
    config->noise_reduction.even_smoothing = 0.025f;
    config->noise_reduction.odd_smoothing = 0.06f;
    config->noise_reduction.min_signal_remaining = 0.05f;
    config->pcan_gain_control.enable_pcan = 1;
    config->pcan_gain_control.strength = 0.95f;
    config->pcan_gain_control.offset = 80.0f;
    config->pcan_gain_control.gain_bits = 21;
    config->log_scale.enable_log = 1;
    config->log_scale.scale_shift = 6;
}

static void close_micro(void *state)
{
    if (state) {
        FrontendFreeStateContents(state);
        free(state);
    }
}

static void *open_micro(const potstill_front_end_settings *settings)
{
    struct FrontendConfig config;
    struct FrontendState *state = calloc(1, sizeof *state);
    if (!state) {
        return NULL;
    }
    configure(&config, settings);
    if (!FrontendPopulateState(&config, state, SAMPLE_RATE_HZ)) {
        close_micro(state);
        return NULL;
    }
    return state;
}

static void reset_micro(void *state)
{
    FrontendReset(state);
}

static int8_t code_of(uint16_t feature)
{
    const int32_t code = ((int32_t)feature * 256 + LARGEST / 2) / LARGEST + INT8_MIN;
    return (int8_t)(code > INT8_MAX ? INT8_MAX : code);
}

static size_t take_micro(void *state, const int16_t *samples, size_t count, int8_t *codes, bool *complete)
{
    size_t taken = 0;
    const struct FrontendOutput output = FrontendProcessSamples(state, samples, count, &taken);
    for (size_t i = 0; i < output.size; i++) {
        codes[i] = code_of(output.values[i]);
    }
    *complete = output.size > 0;
    return taken;
}

const potstill_frame_source potstill_micro = {open_micro, close_micro, reset_micro, take_micro};
