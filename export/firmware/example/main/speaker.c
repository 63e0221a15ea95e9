#include "speaker.h"

#include "sdkconfig.h"

#ifdef CONFIG_LISTEN_SPEAKER
#include "driver/i2s_std.h"
#include "freertos/FreeRTOS.h"

static i2s_chan_handle_t channel;

esp_err_t speaker_open(uint32_t sample_rate_hz)
{
    i2s_chan_config_t config = I2S_CHANNEL_DEFAULT_CONFIG(I2S_NUM_1, I2S_ROLE_MASTER);
    config.auto_clear = true;
    const i2s_std_config_t mode = {
        .clk_cfg = I2S_STD_CLK_DEFAULT_CONFIG(sample_rate_hz),
        .slot_cfg = I2S_STD_PHILIPS_SLOT_DEFAULT_CONFIG(I2S_DATA_BIT_WIDTH_16BIT, I2S_SLOT_MODE_MONO),
        .gpio_cfg =
            {
                .mclk = I2S_GPIO_UNUSED,
                .bclk = CONFIG_LISTEN_SPEAKER_CLOCK_GPIO,
                .ws = CONFIG_LISTEN_SPEAKER_WORD_SELECT_GPIO,
                .dout = CONFIG_LISTEN_SPEAKER_DATA_GPIO,
                .din = I2S_GPIO_UNUSED,
            },
    };
    esp_err_t result = i2s_new_channel(&config, &channel, NULL);
    if (result == ESP_OK) {
        result = i2s_channel_init_std_mode(channel, &mode);
    }
    return result == ESP_OK ? i2s_channel_enable(channel) : result;
}

void speaker_write(const int16_t *samples, size_t count)
{
    size_t written;
    i2s_channel_write(channel, samples, count * sizeof *samples, &written, portMAX_DELAY);
}
#else
esp_err_t speaker_open(uint32_t sample_rate_hz)
{
    (void)sample_rate_hz;
    return ESP_OK;
}

void speaker_write(const int16_t *samples, size_t count)
{
    (void)samples;
    (void)count;
}
#endif
