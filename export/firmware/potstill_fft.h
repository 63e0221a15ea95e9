/* Fourier transforms of real signals in float32, of any even length without other factors than 2, 3 and 5. */
#ifndef POTSTILL_FFT_H
#define POTSTILL_FFT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    float re;
    float im;
} potstill_complex;

/* A length and its constants. The transform of `length` real values is one of half as many complex ones, taken apart. */
typedef struct {
    uint16_t length;               /* even, at least 4 */
    const uint8_t *factors;        /* 4, 2, 3 or 5; their product is length / 2; a 0 ends them */
    const potstill_complex *turns; /* exp(-2 pi i k / length), k = 0 .. length / 2 - 1 */
} potstill_fft;

/* `length` samples to length / 2 + 1 bins; `work` has room for length / 2. */
void potstill_fft_forward(const potstill_fft *fft, const float *samples, potstill_complex *spectrum,
                          potstill_complex *work);

/* length / 2 + 1 bins, which are overwritten, back to the samples; what is imaginary at both ends is left out. */
void potstill_fft_inverse(const potstill_fft *fft, potstill_complex *spectrum, float *samples, potstill_complex *work);

#ifdef __cplusplus
}
#endif
#endif
