#define _POSIX_C_SOURCE 200809L
#include "piped_network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TENSORS 256
#define GARBAGE 0x55

static FILE *to, *from;
static int8_t *inputs[MOST_TENSORS], *outputs[MOST_TENSORS];
static uint32_t input_bytes[MOST_TENSORS], output_bytes[MOST_TENSORS];
static uint32_t tensors;

static void *taken(uint32_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory) {
        exit(EXIT_FAILURE);
    }
    return memory;
}

void piped_send(char kind, const void *head, uint32_t head_bytes, const void *rest, uint32_t rest_bytes)
{
    const uint32_t bytes = head_bytes + rest_bytes;
    fwrite(&kind, 1, 1, to);
    fwrite(&bytes, sizeof bytes, 1, to);
    if (head_bytes) {
        fwrite(head, 1, head_bytes, to);
    }
    if (rest_bytes) {
        fwrite(rest, 1, rest_bytes, to);
    }
    fflush(to);
}

void piped_receive(void *answer, uint32_t bytes)
{
    if (fread(answer, 1, bytes, from) != bytes) {
        exit(EXIT_FAILURE);
    }
}

static int8_t *input(void *context, uint8_t position)
{
    (void)context;
    return inputs[position];
}

static const int8_t *output(void *context, uint8_t position)
{
    (void)context;
    return outputs[position];
}

/* Standard input and output, or the descriptors that the environment names, as in `5 6`. */
static void open_pipes(void)
{
    int read = 0, write = 1;
    const char *named = getenv("POTSTILL_PIPES");
    if (named && sscanf(named, "%d %d", &read, &write) != 2) {
        exit(EXIT_FAILURE);
    }
    from = named ? fdopen(read, "rb") : stdin;
    to = named ? fdopen(write, "wb") : stdout;
}

/* As an interpreter does, it leaves other things where its inputs were. */
static bool run(void *context)
{
    const char kind = 'r';
    uint32_t bytes = 0;
    (void)context;
    for (uint32_t i = 0; i < tensors; i++) {
        bytes += input_bytes[i];
    }
    fwrite(&kind, 1, 1, to);
    fwrite(&bytes, sizeof bytes, 1, to);
    for (uint32_t i = 0; i < tensors; i++) {
        fwrite(inputs[i], 1, input_bytes[i], to);
        memset(inputs[i], GARBAGE, input_bytes[i]);
    }
    fflush(to);
    for (uint32_t i = 0; i < tensors; i++) {
        if (fread(outputs[i], 1, output_bytes[i], from) != output_bytes[i]) {
            return false;
        }
    }
    return true;
}

potstill_network piped_network_open(const potstill_student *student)
{
    open_pipes();
    tensors = student->states_count + 1u;
    input_bytes[0] = (uint32_t)student->frames_per_run * student->front_end.values;
    output_bytes[0] = student->outputs;
    for (uint32_t i = 1; i < tensors; i++) {
        input_bytes[i] = output_bytes[i] = student->states[i - 1].bytes;
    }
    for (uint32_t i = 0; i < tensors; i++) {
        inputs[i] = taken(input_bytes[i]);
        outputs[i] = taken(output_bytes[i]);
    }
    return (potstill_network){NULL, input, output, run};
}

void piped_network_close(void)
{
    for (uint32_t i = 0; i < tensors; i++) {
        free(inputs[i]);
        free(outputs[i]);
    }
}
