/* The self-test of a student whose network is behind pipes; lines go the same way. */
#include "piped_network.c"

#include "potstill_self_test.h"

#include <stdlib.h>
#include <string.h>

#include "potstill_own.h"

extern const potstill_golden potstill_own_golden;

static void print(const char *line)
{
    piped_send('l', line, (uint32_t)strlen(line), NULL, 0);
}

int main(void)
{
    const bool passed = potstill_self_test(&potstill_own, &potstill_own_golden, piped_network_open(&potstill_own), print);
    piped_network_close();
    print(passed ? "passed" : "failed");
    return EXIT_SUCCESS;
}
