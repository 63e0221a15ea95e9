/* A student that hears sound as it comes: frames, runs of its network, states, decisions, sound. */
#ifndef POTSTILL_RUNNER_H
#define POTSTILL_RUNNER_H

#include "potstill_network.h"
#include "potstill_student.h"
#include "potstill_synthesis.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const potstill_student *student;
    potstill_network network;
    potstill_settings settings; /* of the decision; may be changed between two calls, then call potstill_reset */
    potstill_state decision;
    potstill_front_end front_end;
    potstill_synthesis synthesis;
    int8_t *frames;       /* a ring of the last frames_per_run frames */
    uint16_t next_frame;  /* where the next one goes */
    uint32_t heard_frames;
    int8_t *states;  /* all of them, one after another */
    int8_t *outputs; /* of the last run */
    bool has_run;
    int16_t *sound;
    void *memory;
} potstill_runner;

/* What a piece of sound brought. */
typedef struct {
    bool failed;           /* the network did not run */
    bool run;              /* it ran; outputs are new */
    bool decided;          /* a decision was due; outputs are those of the last run */
    const int8_t *outputs; /* student->outputs of them; kept until the next call */
    int16_t score_steps;   /* where the student has a decision */
    potstill_event event;
    const int16_t *sound; /* where the student makes sound, one hop for each frame; NULL otherwise */
    uint16_t sound_samples;
} potstill_heard;

/* Take memory from the heap, once; false where there is none. */
bool potstill_runner_open(potstill_runner *runner, const potstill_student *student, potstill_network network);

void potstill_runner_close(potstill_runner *runner);

/* Forget what was heard, states too. */
void potstill_runner_reset(potstill_runner *runner);

/* Take samples until a frame is complete, at most `count`; returns how many were taken: call again with the rest. */
size_t potstill_runner_hear(potstill_runner *runner, const int16_t *samples, size_t count, potstill_heard *heard);

/* One run on `frames_per_run` frames of codes, with the states that the last one left: what a self-test needs of it. */
bool potstill_runner_run(potstill_runner *runner, const int8_t *frames);

#ifdef __cplusplus
}
#endif
#endif
