/* As much of FreeRTOS as the example asks for. */
#ifndef FREERTOS_H
#define FREERTOS_H

#include <stdint.h>

#define portMAX_DELAY UINT32_MAX

#endif
