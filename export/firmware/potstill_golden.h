/* Golden vectors of a student: sound made of a seed, and what the reference made of it. */
#ifndef POTSTILL_GOLDEN_H
#define POTSTILL_GOLDEN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the sound stands; begin with {.noise = seed, not 0}. */
typedef struct {
    uint32_t noise;
    uint32_t phase;
    uint32_t pitch;
    uint32_t level;
    uint32_t at;
} potstill_golden_sound;

/* The next sample: tones of many pitches and levels, silence too, over faint noise; integers, the same everywhere. */
int16_t potstill_golden_sample(potstill_golden_sound *sound);

typedef struct {
    uint32_t seed;
    uint16_t frames;
    const int8_t *codes; /* of these frames */
    uint8_t code_steps;  /* by how many steps any may differ */
    uint16_t codes_apart_permille;
    uint16_t runs;
    const int8_t *outputs; /* of the network's runs on these codes */
    uint8_t output_steps;
    /* Of a student that decides: score and event of each of `decisions` rows of outputs, which are noise of the seed. */
    uint16_t decisions;
    const int16_t *scores;
    const uint8_t *events;
    /* Of a student that makes sound: one hop for each frame, masked by `outputs`; by how much a sample may differ. */
    const int16_t *sound;
    uint8_t sound_steps;
} potstill_golden;

#ifdef __cplusplus
}
#endif
#endif
