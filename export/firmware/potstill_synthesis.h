/* Sound of masked spectra: windows that overlap by half and are added up. */
#ifndef POTSTILL_SYNTHESIS_H
#define POTSTILL_SYNTHESIS_H

#include "potstill_front_end.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const potstill_front_end_settings *settings; /* of the kind POTSTILL_LOG_POWER */
    float *last;                                 /* the second half of the frame before */
    float *frame;
    potstill_complex *work;
    void *memory;
} potstill_synthesis;

/* Take memory from the heap, once; false where there is none. */
bool potstill_synthesis_open(potstill_synthesis *state, const potstill_front_end_settings *settings);

void potstill_synthesis_close(potstill_synthesis *state);

/* Forget the frame before. */
void potstill_synthesis_reset(potstill_synthesis *state);

/* What a mask leaves of a frame: hop_samples of sound, those at the frame's beginning. The spectrum is overwritten.
 * A mask value is (code - zero_point) * scale. The very first hop, which one window alone hears, fades in. */
void potstill_synthesis_frame(potstill_synthesis *state, potstill_complex *spectrum, const int8_t *mask, float scale,
                              int16_t zero_point, int16_t *sound);

#ifdef __cplusplus
}
#endif
#endif
