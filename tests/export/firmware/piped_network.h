/* A network behind pipes: what it hears goes to standard output, what it says comes from standard input. */
#ifndef PIPED_NETWORK_H
#define PIPED_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "potstill_network.h"
#include "potstill_student.h"

/* Tensors as large as the student says, no byte more: an overrun stops the test. */
potstill_network piped_network_open(const potstill_student *student);

void piped_network_close(void);

/* Send a message of a kind. */
void piped_send(char kind, const void *head, uint32_t head_bytes, const void *rest, uint32_t rest_bytes);

/* Wait for an answer of so many bytes. */
void piped_receive(void *answer, uint32_t bytes);

#endif
