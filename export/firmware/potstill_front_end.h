/* The front end of a student: samples to the int8 values that its network hears, frame by frame.
 *
 * A waveform's values are exactly those of training. Logarithms are float32 and lie within 1e-3 of training's, a small
 * part of a step: within 1e-5 nearly everywhere, further off just above the floor under loud sound, where transforms
 * that add in another order differ most. Features of TFLM's audio front end are its own code's, in integers. */
#ifndef POTSTILL_FRONT_END_H
#define POTSTILL_FRONT_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "potstill_fft.h"

#ifdef __cplusplus
extern "C" {
#endif

#define POTSTILL_CODES 255 /* borders between the 256 values of an int8 */

typedef enum {
    POTSTILL_LOG_MEL = 0,   /* logarithms of sums over mel triangles */
    POTSTILL_WAVEFORM = 1,  /* the samples themselves, compressed by the mu-law of telephones; integers only */
    POTSTILL_LOG_POWER = 2, /* logarithms of the power in each bin; the spectrum is kept for what is masked */
    POTSTILL_MICRO = 3,     /* those of TFLM's audio front end, by a component that has it */
} potstill_kind;

struct potstill_front_end_settings;

/* Frames that another library computes, and remembers between: a state of its own from the heap, NULL where there is no
 * memory. `take` takes at most `count` samples until a frame is complete, and gives its codes. */
typedef struct {
    void *(*open)(const struct potstill_front_end_settings *settings);
    void (*close)(void *state);
    void (*reset)(void *state);
    size_t (*take)(void *state, const int16_t *samples, size_t count, int8_t *codes, bool *complete);
} potstill_frame_source;

/* Constants of a front end, generated; members that a kind does not use are 0. */
typedef struct potstill_front_end_settings {
    potstill_kind kind;
    uint16_t window_samples;
    uint16_t hop_samples;
    uint16_t values;        /* of one frame */
    uint8_t spectrum_power; /* log_mel sums magnitudes (1) or powers (2) */
    float log_floor;
    float log_mean;
    float log_std;
    float scale; /* of the network's input, with its zero point */
    int16_t zero_point;
    const float *window;
    potstill_fft fft; /* as long as the window or longer: padded with zeros */
    /* Mel i weighs mel_counts[i] bins from mel_starts[i] on; weights of all mels lie one after another. */
    const uint16_t *mel_starts;
    const uint16_t *mel_counts;
    const float *mel_weights;
    /* waveform: the lowest sample that becomes at least -127, -126 .. 127; 32768 where none does. */
    const int32_t *borders;
    const potstill_frame_source *source; /* micro: what computes the frames */
} potstill_front_end_settings;

typedef struct {
    const potstill_front_end_settings *settings;
    int8_t *codes;              /* of the last frame: settings->values of them */
    float *features;            /* what these were rounded from; NULL for a waveform and for micro */
    potstill_complex *spectrum; /* of the last frame; NULL likewise */
    int16_t *heard;             /* samples of the window under way; micro keeps its own */
    uint32_t heard_samples;
    uint32_t skipped_samples; /* still to be left out, where windows lie apart */
    float *padded;
    potstill_complex *work;
    void *source_state;
    void *memory;
} potstill_front_end;

/* Take memory from the heap, once; false where there is none. */
bool potstill_front_end_open(potstill_front_end *state, const potstill_front_end_settings *settings);

void potstill_front_end_close(potstill_front_end *state);

/* Forget what was heard. */
void potstill_front_end_reset(potstill_front_end *state);

/* Take samples until a frame is complete, at most `count`; returns how many were taken, and in *complete whether
 * codes, features and spectrum are those of a new frame. However sound is cut, the frames are the same. */
size_t potstill_front_end_take(potstill_front_end *state, const int16_t *samples, size_t count, bool *complete);

/* The value that stands for `value`: rounded half to even, as the reference does; -128 for what is no number. */
int8_t potstill_quantized(float value, float scale, int16_t zero_point);

#ifdef __cplusplus
}
#endif
#endif
