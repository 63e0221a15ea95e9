/* The test that a device makes of itself: front end, network, decision and sound against golden vectors. */
#ifndef POTSTILL_SELF_TEST_H
#define POTSTILL_SELF_TEST_H

#include "potstill_golden.h"
#include "potstill_runner.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*potstill_print)(const char *line);

/* Print a line for each part, each with PASS or FAIL, and one for all; whether all passed. */
bool potstill_self_test(const potstill_student *student, const potstill_golden *golden, potstill_network network,
                        potstill_print print);

#ifdef __cplusplus
}
#endif
#endif
