/* What there is to know about one student; the generated files define one. */
#ifndef POTSTILL_STUDENT_H
#define POTSTILL_STUDENT_H

#include "potstill_decision.h"
#include "potstill_front_end.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A state of the network: output `position` of one run is input `position` of the next, byte for byte. */
typedef struct {
    uint16_t bytes;
    int8_t zero_point; /* every byte of it before the first run */
} potstill_network_state;

typedef struct {
    const char *name;
    potstill_front_end_settings front_end;
    uint16_t clip_frames;         /* heard before the first decision */
    uint16_t frames_per_run;      /* of a student of whole clips: clip_frames */
    uint16_t frames_per_decision; /* between two decisions */
    uint16_t outputs;
    float output_scale;
    int16_t output_zero_point;
    bool makes_sound; /* outputs are a mask, and sound comes out */
    uint8_t states_count;
    const potstill_network_state *states; /* a student with states hears a run's frames, not whole clips */
    /* Names of classes, or of the values that outputs are; there may be none. */
    const char *const *labels;
    uint16_t labels_count;
    bool labels_are_values;
    const uint16_t *label_of_output; /* NULL: output i is label i */
    /* Where it raises alarms, of what and how; otherwise NULL. */
    const char *event;
    const potstill_settings *decision;
    int16_t (*score)(const int8_t *outputs);
} potstill_student;

/* The value that an output stands for. */
static inline float potstill_output_value(const potstill_student *student, int8_t code)
{
    return (float)(code - student->output_zero_point) * student->output_scale;
}

#ifdef __cplusplus
}
#endif
#endif
