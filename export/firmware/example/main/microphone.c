#include "microphone.h"

#include <stdbool.h>

#include "driver/i2s_pdm.h"
#include "driver/i2s_std.h"
#include "esp_attr.h"
#include "freertos/FreeRTOS.h"
#include "sdkconfig.h"

#define BLOCK_SAMPLES 160
#define SLOT_BITS 32
#define SAMPLE_BITS 16

static i2s_chan_handle_t channel;
static volatile uint32_t losses;

static bool IRAM_ATTR on_loss(i2s_chan_handle_t handle, i2s_event_data_t *event, void *context)
{
    (void)handle;
    (void)event;
    (void)context;
    losses = losses + 1;
    return false;
}

#ifdef CONFIG_LISTEN_MICROPHONE_PDM
typedef int16_t raw_sample;

static esp_err_t set_mode(uint32_t sample_rate_hz)
{
    const i2s_pdm_rx_config_t config = {
        .clk_cfg = I2S_PDM_RX_CLK_DEFAULT_CONFIG(sample_rate_hz),
        .slot_cfg = I2S_PDM_RX_SLOT_DEFAULT_CONFIG(I2S_DATA_BIT_WIDTH_16BIT, I2S_SLOT_MODE_MONO),
        .gpio_cfg = {.clk = CONFIG_LISTEN_CLOCK_GPIO, .din = CONFIG_LISTEN_DATA_GPIO},
    };
    return i2s_channel_init_pdm_rx_mode(channel, &config);
}

static int32_t amplified(raw_sample raw)
{
    return (int32_t)raw * (1 << CONFIG_LISTEN_GAIN_BITS);
}
#else
/* 24 bits, left-aligned in a slot of 32. */
typedef int32_t raw_sample;

static esp_err_t set_mode(uint32_t sample_rate_hz)
{
    i2s_std_config_t config = {
        .clk_cfg = I2S_STD_CLK_DEFAULT_CONFIG(sample_rate_hz),
        .slot_cfg = I2S_STD_PHILIPS_SLOT_DEFAULT_CONFIG(I2S_DATA_BIT_WIDTH_32BIT, I2S_SLOT_MODE_MONO),
        .gpio_cfg =
            {
                .mclk = I2S_GPIO_UNUSED,
                .bclk = CONFIG_LISTEN_CLOCK_GPIO,
                .ws = CONFIG_LISTEN_WORD_SELECT_GPIO,
                .dout = I2S_GPIO_UNUSED,
                .din = CONFIG_LISTEN_DATA_GPIO,
            },
    };
#ifdef CONFIG_LISTEN_RIGHT_SLOT
    config.slot_cfg.slot_mask = I2S_STD_SLOT_RIGHT;
#else
    config.slot_cfg.slot_mask = I2S_STD_SLOT_LEFT;
#endif
    return i2s_channel_init_std_mode(channel, &config);
}

static int32_t amplified(raw_sample raw)
{
    return raw >> (SLOT_BITS - SAMPLE_BITS - CONFIG_LISTEN_GAIN_BITS);
}
#endif

esp_err_t microphone_open(uint32_t sample_rate_hz)
{
    i2s_chan_config_t config = I2S_CHANNEL_DEFAULT_CONFIG(I2S_NUM_0, I2S_ROLE_MASTER);
    config.dma_frame_num = BLOCK_SAMPLES;
    config.dma_desc_num = 2 + sample_rate_hz / BLOCK_SAMPLES * CONFIG_LISTEN_BUFFER_MS / 1000;
    const i2s_event_callbacks_t callbacks = {.on_recv_q_ovf = on_loss};
    esp_err_t result = i2s_new_channel(&config, NULL, &channel);
    if (result == ESP_OK) {
        result = set_mode(sample_rate_hz);
    }
    if (result == ESP_OK) {
        result = i2s_channel_register_event_callback(channel, &callbacks, NULL);
    }
    return result == ESP_OK ? i2s_channel_enable(channel) : result;
}

static int16_t limited(int32_t sample)
{
    return (int16_t)(sample > INT16_MAX ? INT16_MAX : sample < INT16_MIN ? INT16_MIN : sample);
}

size_t microphone_read(int16_t *samples, size_t count)
{
    raw_sample raw[BLOCK_SAMPLES];
    size_t bytes = 0;
    const size_t asked = count < BLOCK_SAMPLES ? count : BLOCK_SAMPLES;
    if (i2s_channel_read(channel, raw, asked * sizeof *raw, &bytes, portMAX_DELAY) != ESP_OK) {
        return 0;
    }
    const size_t read = bytes / sizeof *raw;
    for (size_t i = 0; i < read; i++) {
        samples[i] = limited(amplified(raw[i]));
    }
    return read;
}

uint32_t microphone_losses(void)
{
    const uint32_t found = losses;
    losses = 0;
    return found;
}
