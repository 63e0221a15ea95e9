/* A microphone that is a file of int16 samples, and a speaker that is another; the end of sound ends the program. */
#include <stdio.h>
#include <stdlib.h>

#include "driver/i2s_pdm.h"
#include "driver/i2s_std.h"

struct i2s_channel_obj_t {
    FILE *file;
    const i2s_event_callbacks_t *callbacks;
    bool is_pdm;
    bool enabled;
};

static struct i2s_channel_obj_t microphone, speaker;

static FILE *named(const char *variable, const char *mode)
{
    const char *path = getenv(variable);
    FILE *file = path ? fopen(path, mode) : NULL;
    if (!file) {
        exit(3);
    }
    return file;
}

esp_err_t i2s_new_channel(const i2s_chan_config_t *config, i2s_chan_handle_t *to_send, i2s_chan_handle_t *to_receive)
{
    if (config->dma_frame_num * 4 > 4092 || config->dma_desc_num < 2) {
        return ESP_ERR_INVALID_ARG;
    }
    if (to_receive) {
        microphone.file = named("MICROPHONE", "rb");
        *to_receive = &microphone;
    }
    if (to_send) {
        speaker.file = named("SPEAKER", "wb");
        *to_send = &speaker;
    }
    return ESP_OK;
}

esp_err_t i2s_channel_init_std_mode(i2s_chan_handle_t handle, const i2s_std_config_t *std_cfg)
{
    const bool receives = handle == &microphone;
    const bool mono = std_cfg->slot_cfg.slot_mode == I2S_SLOT_MODE_MONO;
    const bool one_slot = std_cfg->slot_cfg.slot_mask != I2S_STD_SLOT_BOTH;
    return mono && (one_slot || !receives) && std_cfg->clk_cfg.sample_rate_hz ? ESP_OK : ESP_ERR_INVALID_ARG;
}

esp_err_t i2s_channel_init_pdm_rx_mode(i2s_chan_handle_t handle, const i2s_pdm_rx_config_t *pdm_rx_cfg)
{
    handle->is_pdm = true;
    return pdm_rx_cfg->slot_cfg.data_bit_width == I2S_DATA_BIT_WIDTH_16BIT ? ESP_OK : ESP_ERR_INVALID_ARG;
}

esp_err_t i2s_channel_register_event_callback(i2s_chan_handle_t handle, const i2s_event_callbacks_t *callbacks,
                                              void *user_data)
{
    i2s_event_data_t event = {NULL, 0};
    /* One loss, so that it is told. */
    callbacks->on_recv_q_ovf(handle, &event, user_data);
    return handle->enabled ? ESP_ERR_INVALID_STATE : ESP_OK;
}

esp_err_t i2s_channel_enable(i2s_chan_handle_t handle)
{
    handle->enabled = true;
    return ESP_OK;
}

esp_err_t i2s_channel_read(i2s_chan_handle_t handle, void *dest, size_t size, size_t *bytes_read, uint32_t timeout_ms)
{
    (void)timeout_ms;
    const size_t width = handle->is_pdm ? sizeof(int16_t) : sizeof(int32_t);
    size_t count = 0;
    int16_t sample;
    for (; count < size / width && fread(&sample, sizeof sample, 1, handle->file) == 1; count++) {
        if (handle->is_pdm) {
            ((int16_t *)dest)[count] = sample;
        } else {
            ((int32_t *)dest)[count] = (int32_t)((uint32_t)sample << 16) + 200;
        }
    }
    if (!count) {
        exit(EXIT_SUCCESS);
    }
    *bytes_read = count * width;
    return handle->enabled ? ESP_OK : ESP_ERR_INVALID_STATE;
}

esp_err_t i2s_channel_write(i2s_chan_handle_t handle, const void *src, size_t size, size_t *bytes_written,
                            uint32_t timeout_ms)
{
    (void)timeout_ms;
    *bytes_written = fwrite(src, 1, size, handle->file);
    fflush(handle->file);
    return handle->enabled ? ESP_OK : ESP_ERR_INVALID_STATE;
}

void app_main(void);

int main(void)
{
    app_main();
    return 4;
}
