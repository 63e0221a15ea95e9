/* A student's network under TensorFlow Lite Micro. */
#ifndef POTSTILL_TFLM_H
#define POTSTILL_TFLM_H

#include <stddef.h>

#include "potstill_network.h"
#include "potstill_student.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct potstill_tflm potstill_tflm;

typedef struct {
    const unsigned char *model; /* aligned to 16 bytes */
    size_t model_bytes;
    size_t arena_bytes;
    bool arena_in_psram;
    bool model_in_psram; /* copied there: read faster than flash, at the price of its size */
    uint32_t profiled_operators; /* of one run; 0: nothing is timed or recorded */
} potstill_tflm_settings;

/* The network ready to run; NULL, with the reason in the log, where memory lacks or the model is not the student's. */
potstill_tflm *potstill_tflm_open(const potstill_tflm_settings *settings, const potstill_student *student);

potstill_network potstill_tflm_network(potstill_tflm *tflm);

/* Bytes of the arena that are in use. */
size_t potstill_tflm_arena_bytes(const potstill_tflm *tflm);

/* Forget the operators of the runs so far: there is room for those of one. */
void potstill_tflm_clear_profile(potstill_tflm *tflm);

/* Print the operators of the run since then, forget them too, and print what the arena is made of; only where it is
 * profiled. */
void potstill_tflm_print_profile(potstill_tflm *tflm);

#ifdef __cplusplus
}
#endif
#endif
