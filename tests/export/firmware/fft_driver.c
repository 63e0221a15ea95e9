/* Forward and inverse transforms of float samples from standard input. */
#include <stdio.h>
#include <stdlib.h>

#include "potstill_own.h"

int main(void)
{
    const potstill_fft *fft = &potstill_own.front_end.fft;
    const size_t half = fft->length / 2;
    float *samples = malloc(fft->length * sizeof *samples);
    potstill_complex *spectrum = malloc((half + 1) * sizeof *spectrum), *work = malloc(half * sizeof *work);
    if (!samples || !spectrum || !work) {
        return EXIT_FAILURE;
    }
    while (fread(samples, sizeof *samples, fft->length, stdin) == fft->length) {
        potstill_fft_forward(fft, samples, spectrum, work);
        fwrite(spectrum, sizeof *spectrum, half + 1, stdout);
        potstill_fft_inverse(fft, spectrum, samples, work);
        fwrite(samples, sizeof *samples, fft->length, stdout);
    }
    free(samples);
    free(spectrum);
    free(work);
    return EXIT_SUCCESS;
}
