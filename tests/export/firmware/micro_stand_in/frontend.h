/* What the firmware uses of the component esphome/esp-micro-speech-features; pymicro-features computes, behind pipes. */
#ifndef FRONTEND_H
#define FRONTEND_H

#include <stddef.h>
#include <stdint.h>

#define STAND_IN_WINDOW 480
#define STAND_IN_HOP 160
#define STAND_IN_VALUES 40

struct FrontendState {
    int16_t *piece; /* the hop under way */
    uint16_t *values;
    size_t heard; /* of it */
    size_t missing; /* until the window is full */
};

struct FrontendOutput {
    const uint16_t *values;
    size_t size;
};

struct FrontendOutput FrontendProcessSamples(struct FrontendState *state, const int16_t *samples, size_t num_samples,
                                             size_t *num_samples_read);
void FrontendReset(struct FrontendState *state);

#endif
