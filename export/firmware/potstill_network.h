/* What runs a network: on the chip TensorFlow Lite Micro, in tests whatever a host has. */
#ifndef POTSTILL_NETWORK_H
#define POTSTILL_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Inputs have to be written before every run, all of them: an interpreter lays other tensors over them. */
typedef struct {
    void *context;
    int8_t *(*input)(void *context, uint8_t position);
    const int8_t *(*output)(void *context, uint8_t position);
    bool (*run)(void *context);
} potstill_network;

#ifdef __cplusplus
}
#endif
#endif
