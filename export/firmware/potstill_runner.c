#include "potstill_runner.h"

#include <stdlib.h>
#include <string.h>

static size_t states_bytes(const potstill_student *student)
{
    size_t bytes = 0;
    for (uint8_t i = 0; i < student->states_count; i++) {
        bytes += student->states[i].bytes;
    }
    return bytes;
}

static size_t frames_bytes(const potstill_student *student)
{
    return (size_t)student->frames_per_run * student->front_end.values;
}

static uint16_t sound_samples(const potstill_student *student)
{
    return student->makes_sound ? student->front_end.hop_samples : 0;
}

static bool open_parts(potstill_runner *runner)
{
    const potstill_student *student = runner->student;
    const size_t frames = frames_bytes(student), states = states_bytes(student);
    const size_t sound = sound_samples(student) * sizeof(int16_t);
    runner->memory = calloc(1, sound + frames + states + student->outputs);
    if (!runner->memory || !potstill_front_end_open(&runner->front_end, &student->front_end)) {
        return false;
    }
    runner->sound = runner->memory;
    runner->frames = (int8_t *)runner->memory + sound;
    runner->states = runner->frames + frames;
    runner->outputs = runner->states + states;
    return !student->makes_sound || potstill_synthesis_open(&runner->synthesis, &student->front_end);
}

bool potstill_runner_open(potstill_runner *runner, const potstill_student *student, potstill_network network)
{
    memset(runner, 0, sizeof *runner);
    runner->student = student;
    runner->network = network;
    if (student->decision) {
        runner->settings = *student->decision;
    }
    if (!open_parts(runner)) {
        potstill_runner_close(runner);
        return false;
    }
    potstill_runner_reset(runner);
    return true;
}

void potstill_runner_close(potstill_runner *runner)
{
    potstill_front_end_close(&runner->front_end);
    potstill_synthesis_close(&runner->synthesis);
    free(runner->memory);
    memset(runner, 0, sizeof *runner);
}

void potstill_runner_reset(potstill_runner *runner)
{
    const potstill_student *student = runner->student;
    int8_t *state = runner->states;
    for (uint8_t i = 0; i < student->states_count; i++) {
        memset(state, student->states[i].zero_point, student->states[i].bytes);
        state += student->states[i].bytes;
    }
    potstill_front_end_reset(&runner->front_end);
    if (student->makes_sound) {
        potstill_synthesis_reset(&runner->synthesis);
    }
    potstill_reset(&runner->decision);
    runner->next_frame = 0;
    runner->heard_frames = 0;
    runner->has_run = false;
}

/* The ring, oldest frame first. */
static void write_frames(const potstill_runner *runner, int8_t *input)
{
    const size_t values = runner->student->front_end.values;
    const size_t newer = runner->next_frame * values, older = frames_bytes(runner->student) - newer;
    memcpy(input, runner->frames + newer, older);
    memcpy(input + older, runner->frames, newer);
}

static bool run_network(potstill_runner *runner)
{
    const potstill_student *student = runner->student;
    const potstill_network *network = &runner->network;
    int8_t *state = runner->states;
    for (uint8_t i = 0; i < student->states_count; i++) {
        memcpy(network->input(network->context, (uint8_t)(i + 1)), state, student->states[i].bytes);
        state += student->states[i].bytes;
    }
    if (!network->run(network->context)) {
        return false;
    }
    state = runner->states;
    for (uint8_t i = 0; i < student->states_count; i++) {
        memcpy(state, network->output(network->context, (uint8_t)(i + 1)), student->states[i].bytes);
        state += student->states[i].bytes;
    }
    memcpy(runner->outputs, network->output(network->context, 0), student->outputs);
    runner->has_run = true;
    return true;
}

bool potstill_runner_run(potstill_runner *runner, const int8_t *frames)
{
    memcpy(runner->network.input(runner->network.context, 0), frames, frames_bytes(runner->student));
    return run_network(runner);
}

static bool run_on_ring(potstill_runner *runner)
{
    write_frames(runner, runner->network.input(runner->network.context, 0));
    return run_network(runner);
}

/* Whole clips: the first when one has been heard, then as often as decisions are due. Steps: counted from the first
 * frame on, but none before a whole clip, so that both decide at about the same times. */
static bool decision_due(const potstill_runner *runner)
{
    const potstill_student *student = runner->student;
    const uint32_t heard = runner->heard_frames, every = student->frames_per_decision;
    const uint32_t first = student->clip_frames > student->frames_per_run ? student->clip_frames : student->frames_per_run;
    if (heard < first) {
        return false;
    }
    return student->states_count ? heard % every == 0 : (heard - student->clip_frames) % every == 0;
}

/* Counting on would wrap to 0 one day, and with it the decisions' rhythm: a multiple of both periods is taken off. */
static void count_frame(potstill_runner *runner)
{
    const potstill_student *student = runner->student;
    const uint32_t period = (uint32_t)student->frames_per_decision * student->frames_per_run;
    const uint32_t least = (uint32_t)student->clip_frames + student->frames_per_run + period;
    runner->heard_frames++;
    if (runner->heard_frames >= least + period) {
        runner->heard_frames -= period;
    }
}

static void hear_frame(potstill_runner *runner, potstill_heard *heard)
{
    const potstill_student *student = runner->student;
    const size_t values = student->front_end.values;
    memcpy(runner->frames + runner->next_frame * values, runner->front_end.codes, values);
    runner->next_frame = (uint16_t)((runner->next_frame + 1) % student->frames_per_run);
    count_frame(runner);
    const bool due = decision_due(runner);
    heard->run = student->states_count ? runner->next_frame == 0 : due;
    if (heard->run && !run_on_ring(runner)) {
        heard->failed = true;
        heard->run = false;
        return;
    }
    heard->decided = due && runner->has_run;
    heard->outputs = runner->outputs;
}

static void decide(potstill_runner *runner, potstill_heard *heard)
{
    if (heard->decided && runner->student->decision) {
        heard->score_steps = runner->student->score(runner->outputs);
        heard->event = potstill_decide(&runner->decision, &runner->settings, heard->score_steps);
    }
}

static void make_sound(potstill_runner *runner, potstill_heard *heard)
{
    const potstill_student *student = runner->student;
    if (heard->run && student->makes_sound) {
        potstill_synthesis_frame(&runner->synthesis, runner->front_end.spectrum, runner->outputs, student->output_scale,
                                 student->output_zero_point, runner->sound);
        heard->sound = runner->sound;
        heard->sound_samples = sound_samples(student);
    }
}

size_t potstill_runner_hear(potstill_runner *runner, const int16_t *samples, size_t count, potstill_heard *heard)
{
    bool complete;
    memset(heard, 0, sizeof *heard);
    const size_t taken = potstill_front_end_take(&runner->front_end, samples, count, &complete);
    if (complete) {
        hear_frame(runner, heard);
        decide(runner, heard);
        make_sound(runner, heard);
    }
    return taken;
}
