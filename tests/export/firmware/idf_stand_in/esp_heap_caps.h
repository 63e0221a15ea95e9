/* As much of ESP-IDF's esp_heap_caps.h as the component asks for, with its signatures and values. */
#ifndef ESP_HEAP_CAPS_H
#define ESP_HEAP_CAPS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define MALLOC_CAP_8BIT (1 << 2)
#define MALLOC_CAP_SPIRAM (1 << 10)
#define MALLOC_CAP_INTERNAL (1 << 11)

/* A host has neither kind of memory, but both at once is asked for by mistake alone. */
static inline void *heap_caps_aligned_alloc(size_t alignment, size_t size, uint32_t caps)
{
    const uint32_t both = MALLOC_CAP_SPIRAM | MALLOC_CAP_INTERNAL;
    return (caps & both) == both ? NULL : aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

#endif
