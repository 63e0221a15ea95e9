/* The settings, as the library names them. */
#ifndef FRONTEND_UTIL_H
#define FRONTEND_UTIL_H

#include "frontend.h"

struct FrontendConfig {
    struct {
        size_t size_ms, step_size_ms;
    } window;
    struct {
        int num_channels;
        float upper_band_limit, lower_band_limit;
        int output_scale_shift;
    } filterbank;
    struct {
        int smoothing_bits;
        float even_smoothing, odd_smoothing, min_signal_remaining;
    } noise_reduction;
    struct {
        int enable_pcan;
        float strength, offset;
        int gain_bits;
    } pcan_gain_control;
    struct {
        int enable_log, scale_shift;
    } log_scale;
};

void FrontendFillConfigWithDefaults(struct FrontendConfig *config);
int FrontendPopulateState(const struct FrontendConfig *config, struct FrontendState *state, int sample_rate);
void FrontendFreeStateContents(struct FrontendState *state);

#endif
