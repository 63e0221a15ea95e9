#include "potstill_fft.h"

/* cos and sin of a fifth of a turn and of two, sin of a third. */
#define COS_1_5 0.30901699437494742f
#define COS_2_5 (-0.80901699437494742f)
#define SIN_1_5 0.95105651629515357f
#define SIN_2_5 0.58778525229247313f
#define SIN_1_3 0.86602540378443865f
#define MOST_RADIX 5

static potstill_complex sum(potstill_complex a, potstill_complex b)
{
    return (potstill_complex){a.re + b.re, a.im + b.im};
}

static potstill_complex difference(potstill_complex a, potstill_complex b)
{
    return (potstill_complex){a.re - b.re, a.im - b.im};
}

static potstill_complex product(potstill_complex a, potstill_complex b)
{
    return (potstill_complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static potstill_complex scaled(potstill_complex a, float by)
{
    return (potstill_complex){a.re * by, a.im * by};
}

/* Times -i. */
static potstill_complex right_angle(potstill_complex a)
{
    return (potstill_complex){a.im, -a.re};
}

/* exp(-2 pi i at / (length / 2)): every second of the turns, whose second half is the first with another sign. */
static potstill_complex turn(const potstill_fft *fft, uint32_t at)
{
    const uint32_t half = fft->length / 2;
    return 2 * at < half ? fft->turns[2 * at] : scaled(fft->turns[2 * at - half], -1.0f);
}

static void butterfly_2(potstill_complex *a)
{
    const potstill_complex first = a[0];
    a[0] = sum(first, a[1]);
    a[1] = difference(first, a[1]);
}

static void butterfly_3(potstill_complex *a)
{
    const potstill_complex both = sum(a[1], a[2]);
    const potstill_complex apart = scaled(right_angle(difference(a[1], a[2])), SIN_1_3);
    const potstill_complex middle = sum(a[0], scaled(both, -0.5f));
    a[0] = sum(a[0], both);
    a[1] = sum(middle, apart);
    a[2] = difference(middle, apart);
}

static void butterfly_4(potstill_complex *a)
{
    const potstill_complex even = sum(a[0], a[2]), even_apart = difference(a[0], a[2]);
    const potstill_complex odd = sum(a[1], a[3]), odd_apart = right_angle(difference(a[1], a[3]));
    a[0] = sum(even, odd);
    a[1] = sum(even_apart, odd_apart);
    a[2] = difference(even, odd);
    a[3] = difference(even_apart, odd_apart);
}

static void butterfly_5(potstill_complex *a)
{
    const potstill_complex outer = sum(a[1], a[4]), outer_apart = right_angle(difference(a[1], a[4]));
    const potstill_complex inner = sum(a[2], a[3]), inner_apart = right_angle(difference(a[2], a[3]));
    const potstill_complex near = sum(a[0], sum(scaled(outer, COS_1_5), scaled(inner, COS_2_5)));
    const potstill_complex far = sum(a[0], sum(scaled(outer, COS_2_5), scaled(inner, COS_1_5)));
    const potstill_complex near_turned = sum(scaled(outer_apart, SIN_1_5), scaled(inner_apart, SIN_2_5));
    const potstill_complex far_turned = difference(scaled(outer_apart, SIN_2_5), scaled(inner_apart, SIN_1_5));
    a[0] = sum(a[0], sum(outer, inner));
    a[1] = sum(near, near_turned);
    a[2] = sum(far, far_turned);
    a[3] = difference(far, far_turned);
    a[4] = difference(near, near_turned);
}

/* Inlined for each radix, so that its loops unroll and `a` stays in registers. */
#define INLINED inline __attribute__((always_inline))

static INLINED void butterfly(potstill_complex *a, uint32_t radix)
{
    switch (radix) {
    case 2:
        butterfly_2(a);
        break;
    case 3:
        butterfly_3(a);
        break;
    case 4:
        butterfly_4(a);
        break;
    default:
        butterfly_5(a);
        break;
    }
}

/* One pass of Stockham's transform, which sorts as it goes: `size` values of `stride` interleaved transforms. */
static INLINED void pass(const potstill_fft *fft, uint32_t radix, uint32_t size, uint32_t stride,
                         const potstill_complex *from, potstill_complex *to)
{
    const uint32_t part = size / radix;
    for (uint32_t at = 0; at < part; at++) {
        potstill_complex turns[MOST_RADIX];
        for (uint32_t i = 0; i < radix; i++) {
            turns[i] = turn(fft, at * i * stride);
        }
        for (uint32_t lane = 0; lane < stride; lane++) {
            potstill_complex a[MOST_RADIX];
            for (uint32_t i = 0; i < radix; i++) {
                a[i] = from[lane + stride * (at + part * i)];
            }
            butterfly(a, radix);
            to[lane + stride * radix * at] = a[0];
            for (uint32_t i = 1; i < radix; i++) {
                to[lane + stride * (radix * at + i)] = product(a[i], turns[i]);
            }
        }
    }
}

static void pass_of(const potstill_fft *fft, uint32_t radix, uint32_t size, uint32_t stride,
                    const potstill_complex *from, potstill_complex *to)
{
    switch (radix) {
    case 2:
        pass(fft, 2, size, stride, from, to);
        break;
    case 3:
        pass(fft, 3, size, stride, from, to);
        break;
    case 4:
        pass(fft, 4, size, stride, from, to);
        break;
    default:
        pass(fft, 5, size, stride, from, to);
        break;
    }
}

/* Of length / 2 values in `values`; the result lies there or in `work`, which is returned. */
static potstill_complex *transformed(const potstill_fft *fft, potstill_complex *values, potstill_complex *work)
{
    uint32_t size = fft->length / 2, stride = 1;
    for (const uint8_t *radix = fft->factors; *radix; radix++) {
        pass_of(fft, *radix, size, stride, values, work);
        potstill_complex *const filled = work;
        work = values;
        values = filled;
        size /= *radix;
        stride *= *radix;
    }
    return values;
}

void potstill_fft_forward(const potstill_fft *fft, const float *samples, potstill_complex *spectrum,
                          potstill_complex *work)
{
    const uint32_t half = fft->length / 2;
    for (uint32_t i = 0; i < half; i++) {
        spectrum[i] = (potstill_complex){samples[2 * i], samples[2 * i + 1]};
    }
    const potstill_complex *found = transformed(fft, spectrum, work);
    const potstill_complex first = found[0];
    for (uint32_t i = 1; 2 * i <= half; i++) {
        const potstill_complex a = found[i], b = {found[half - i].re, -found[half - i].im};
        const potstill_complex even = scaled(sum(a, b), 0.5f);
        const potstill_complex odd = product(scaled(right_angle(difference(a, b)), 0.5f), fft->turns[i]);
        const potstill_complex below = difference(even, odd);
        spectrum[i] = sum(even, odd);
        if (2 * i < half) {
            spectrum[half - i] = (potstill_complex){below.re, -below.im};
        }
    }
    spectrum[0] = (potstill_complex){first.re + first.im, 0.0f};
    spectrum[half] = (potstill_complex){first.re - first.im, 0.0f};
}

void potstill_fft_inverse(const potstill_fft *fft, potstill_complex *spectrum, float *samples, potstill_complex *work)
{
    const uint32_t half = fft->length / 2;
    const float top = spectrum[0].re, end = spectrum[half].re;
    /* Conjugated, so that the transform forwards is the one backwards. */
    for (uint32_t i = 1; 2 * i <= half; i++) {
        const potstill_complex a = spectrum[i], b = {spectrum[half - i].re, -spectrum[half - i].im};
        const potstill_complex back = {fft->turns[i].re, -fft->turns[i].im};
        const potstill_complex odd = product(difference(a, b), back);
        const potstill_complex even = sum(a, b), turned = {-odd.im, odd.re};
        const potstill_complex here = sum(even, turned), below = difference(even, turned);
        spectrum[i] = (potstill_complex){here.re, -here.im};
        if (2 * i < half) {
            spectrum[half - i] = below;
        }
    }
    spectrum[0] = (potstill_complex){top + end, end - top};
    const potstill_complex *found = transformed(fft, spectrum, work);
    const float scale = 1.0f / (float)fft->length;
    for (uint32_t i = 0; i < half; i++) {
        samples[2 * i] = found[i].re * scale;
        samples[2 * i + 1] = -found[i].im * scale;
    }
}
