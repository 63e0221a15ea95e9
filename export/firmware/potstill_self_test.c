#include "potstill_self_test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SAMPLES 97
#define MOST_LINE 160
#define NOTE_SAMPLES 2000
#define LEVELS 16

int16_t potstill_golden_sample(potstill_golden_sound *sound)
{
    sound->noise ^= sound->noise << 13;
    sound->noise ^= sound->noise >> 17;
    sound->noise ^= sound->noise << 5;
    if (sound->at++ % NOTE_SAMPLES == 0) {
        sound->pitch = (sound->noise >> 4) % (UINT32_C(1) << 28);
        sound->level = (sound->noise >> 2) % LEVELS;
    }
    sound->phase += sound->pitch;
    const int32_t rising = (int32_t)(sound->phase >> 15) - 65536;
    const int32_t triangle = 32767 - (rising < 0 ? -rising : rising);
    const int32_t noise = (int32_t)(sound->noise >> 16) - 32768;
    const int32_t sample = triangle * (int32_t)(sound->level * sound->level) / 225 + noise / 128;
    return (int16_t)(sample > INT16_MAX ? INT16_MAX : sample < INT16_MIN ? INT16_MIN : sample);
}

typedef struct {
    uint32_t values;
    uint32_t apart;
    uint32_t largest;
} comparison;

static void compare(comparison *found, int32_t value, int32_t expected)
{
    const uint32_t apart = (uint32_t)(value > expected ? value - expected : expected - value);
    found->values++;
    found->apart += apart != 0;
    found->largest = apart > found->largest ? apart : found->largest;
}

typedef struct {
    const potstill_student *student;
    const potstill_golden *golden;
    potstill_runner runner;
    potstill_print print;
    bool passed;
} self_test;

static void tell(self_test *test, const char *part, const comparison *found, uint32_t steps, uint32_t permille)
{
    char line[MOST_LINE];
    const bool passed = found->values && found->largest <= steps &&
                        (uint64_t)found->apart * 1000 <= (uint64_t)found->values * permille;
    snprintf(line, sizeof line,
             "potstill self-test %s %s: %s: %" PRIu32 " of %" PRIu32 " values differ, by %" PRIu32 " steps at most (%" PRIu32
             " allowed)",
             test->student->name, part, passed ? "PASS" : "FAIL", found->apart, found->values, found->largest, steps);
    test->print(line);
    test->passed = test->passed && passed;
}

/* A piece of the golden sound, of a length that changes from piece to piece. */
static size_t next_piece(potstill_golden_sound *sound, int16_t *samples, size_t left)
{
    size_t count = 1 + sound->at * 31 % MOST_SAMPLES;
    count = count < left ? count : left;
    for (size_t i = 0; i < count; i++) {
        samples[i] = potstill_golden_sample(sound);
    }
    return count;
}

static size_t golden_samples(const self_test *test)
{
    const potstill_front_end_settings *settings = &test->student->front_end;
    return (size_t)(test->golden->frames - 1) * settings->hop_samples + settings->window_samples;
}

static void compare_sound(self_test *test, potstill_synthesis *synthesis, uint32_t frame, int16_t *sound,
                          comparison *found)
{
    const potstill_student *student = test->student;
    const uint32_t hop = student->front_end.hop_samples;
    potstill_synthesis_frame(synthesis, test->runner.front_end.spectrum,
                             test->golden->outputs + (size_t)frame * student->outputs, student->output_scale,
                             student->output_zero_point, sound);
    for (uint32_t i = 0; i < hop; i++) {
        compare(found, sound[i], test->golden->sound[(size_t)frame * hop + i]);
    }
}

/* The front end on the golden sound, and what the golden masks leave of it. */
static void hear_golden_sound(self_test *test)
{
    const potstill_student *student = test->student;
    potstill_front_end *front_end = &test->runner.front_end;
    potstill_golden_sound sound = {.noise = test->golden->seed};
    comparison codes = {0}, sounds = {0};
    int16_t samples[MOST_SAMPLES];
    uint32_t frame = 0;
    for (size_t left = golden_samples(test); left;) {
        const size_t count = next_piece(&sound, samples, left);
        for (size_t at = 0; at < count;) {
            bool complete;
            at += potstill_front_end_take(front_end, samples + at, count - at, &complete);
            for (uint32_t i = 0; complete && i < student->front_end.values; i++) {
                compare(&codes, front_end->codes[i], test->golden->codes[(size_t)frame * student->front_end.values + i]);
            }
            if (complete && student->makes_sound) {
                compare_sound(test, &test->runner.synthesis, frame, test->runner.sound, &sounds);
            }
            frame += complete;
        }
        left -= count;
    }
    tell(test, "front end", &codes, test->golden->code_steps, test->golden->codes_apart_permille);
    if (student->makes_sound) {
        tell(test, "sound", &sounds, test->golden->sound_steps, 1000);
    }
}

static void run_on_golden_codes(self_test *test)
{
    const potstill_student *student = test->student;
    const size_t run_bytes = (size_t)student->frames_per_run * student->front_end.values;
    comparison found = {0};
    for (uint32_t run = 0; run < test->golden->runs; run++) {
        if (!potstill_runner_run(&test->runner, test->golden->codes + run * run_bytes)) {
            test->print("potstill self-test: the network did not run");
            test->passed = false;
            return;
        }
        for (uint32_t i = 0; i < student->outputs; i++) {
            compare(&found, test->runner.outputs[i], test->golden->outputs[(size_t)run * student->outputs + i]);
        }
    }
    tell(test, "network", &found, test->golden->output_steps, 1000);
}

/* Outputs of a run are noise here: the decision hears rows that no network would give. */
static void decide_on_noise(self_test *test)
{
    const potstill_student *student = test->student;
    potstill_golden_sound sound = {.noise = test->golden->seed};
    potstill_state state;
    comparison found = {0};
    potstill_reset(&state);
    for (uint32_t row = 0; row < test->golden->decisions; row++) {
        for (uint32_t i = 0; i < student->outputs; i++) {
            potstill_golden_sample(&sound);
            test->runner.outputs[i] = (int8_t)((int32_t)(sound.noise >> 24) + INT8_MIN);
        }
        const int16_t score = student->score(test->runner.outputs);
        compare(&found, score, test->golden->scores[row]);
        compare(&found, (int32_t)potstill_decide(&state, student->decision, score), test->golden->events[row]);
    }
    tell(test, "decision", &found, 0, 0);
}

/* Everything together: sound in uneven pieces to the outputs of the last run. */
static void listen(self_test *test)
{
    const potstill_student *student = test->student;
    potstill_golden_sound sound = {.noise = test->golden->seed};
    comparison found = {0};
    int16_t samples[MOST_SAMPLES];
    uint32_t runs = 0;
    for (size_t left = golden_samples(test); left;) {
        const size_t count = next_piece(&sound, samples, left);
        for (size_t at = 0; at < count;) {
            potstill_heard heard;
            at += potstill_runner_hear(&test->runner, samples + at, count - at, &heard);
            for (uint32_t i = 0; heard.run && i < student->outputs; i++) {
                compare(&found, heard.outputs[i], test->golden->outputs[(size_t)runs * student->outputs + i]);
            }
            runs += heard.run;
        }
        left -= count;
    }
    /* A code that lies one step apart may move an output by more. */
    tell(test, "listening", &found, 2u * test->golden->output_steps, 1000);
}

bool potstill_self_test(const potstill_student *student, const potstill_golden *golden, potstill_network network,
                        potstill_print print)
{
    char line[MOST_LINE];
    self_test test = {.student = student, .golden = golden, .print = print, .passed = true};
    if (!potstill_runner_open(&test.runner, student, network)) {
        print("potstill self-test: FAIL: no memory");
        return false;
    }
    hear_golden_sound(&test);
    potstill_runner_reset(&test.runner);
    run_on_golden_codes(&test);
    if (student->decision && golden->decisions) {
        decide_on_noise(&test);
    }
    potstill_runner_reset(&test.runner);
    listen(&test);
    potstill_runner_close(&test.runner);
    snprintf(line, sizeof line, "potstill self-test %s: %s", student->name, test.passed ? "PASS" : "FAIL");
    print(line);
    return test.passed;
}
