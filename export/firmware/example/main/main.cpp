/* An example: a student listens to a microphone. */
#include <cinttypes>
#include <cstdio>

#include "esp_log.h"
#include "esp_timer.h"
#include "microphone.h"
#include "nvs_flash.h"
#include "potstill_decision_nvs.h"
#include "potstill_runner.h"
#include "potstill_self_test.h"
#include "potstill_students.h"
#include "potstill_tflm.h"
#include "sdkconfig.h"
#include "speaker.h"

namespace {

constexpr char kTag[] = "potstill";
constexpr size_t kPieceSamples = 160;
constexpr int64_t kReportUs = 10000000;

struct Listener {
    const potstill_student *student;
    potstill_tflm *tflm;
    potstill_runner runner;
    int64_t busy_us;
    int64_t longest_us;
};

void print_line(const char *line) { printf("%s\n", line); }

void profile(Listener &listener) {
#ifdef CONFIG_POTSTILL_PROFILE
    potstill_tflm_clear_profile(listener.tflm);
    for (int i = 0; i < CONFIG_POTSTILL_PROFILE_RUNS; i++) {
        potstill_runner_run(&listener.runner, listener.runner.frames);
        potstill_tflm_print_profile(listener.tflm);
    }
    potstill_runner_reset(&listener.runner);
#else
    (void)listener;
#endif
}

bool open_listener(Listener &listener, const potstill_student *student, const potstill_golden *golden,
                   const potstill_tflm_settings &settings) {
    listener = {};
    listener.student = student;
    listener.tflm = potstill_tflm_open(&settings, student);
    if (listener.tflm == nullptr) {
        return false;
    }
    const potstill_network network = potstill_tflm_network(listener.tflm);
    ESP_LOGI(kTag, "%s: %u bytes of its arena are used", student->name,
             static_cast<unsigned>(potstill_tflm_arena_bytes(listener.tflm)));
    if (golden != nullptr) {
        potstill_self_test(student, golden, network, print_line);
    }
    if (!potstill_runner_open(&listener.runner, student, network)) {
        ESP_LOGE(kTag, "%s: no memory for frames and states", student->name);
        return false;
    }
    profile(listener);
    return true;
}

/* What was set through non-volatile storage wins over the student's own settings. */
void load_settings(Listener &listener) {
    esp_err_t result = nvs_flash_init();
    if (result == ESP_ERR_NVS_NO_FREE_PAGES || result == ESP_ERR_NVS_NEW_VERSION_FOUND) {
        ESP_ERROR_CHECK(nvs_flash_erase());
        result = nvs_flash_init();
    }
    if (listener.student->decision != nullptr && result == ESP_OK) {
        result = potstill_settings_load(&listener.runner.settings);
    }
    if (result != ESP_OK) {
        ESP_LOGW(kTag, "stored settings are not used: %s", esp_err_to_name(result));
    }
}

uint16_t largest(const potstill_student *student, const int8_t *outputs) {
    uint16_t found = 0;
    for (uint16_t i = 1; i < student->outputs; i++) {
        found = outputs[i] > outputs[found] ? i : found;
    }
    return found;
}

void log_values(const potstill_student *student, const int8_t *outputs) {
    char line[160];
    int length = 0;
    for (uint16_t i = 0; i < student->labels_count && length >= 0 && length < static_cast<int>(sizeof line); i++) {
        length += snprintf(line + length, sizeof line - length, " %s %.3f", student->labels[i],
                           static_cast<double>(potstill_output_value(student, outputs[i])));
    }
    ESP_LOGI(kTag, "%s:%s", student->name, line);
}

void log_class(const potstill_student *student, const int8_t *outputs) {
    const uint16_t output = largest(student, outputs);
    const uint16_t label = student->label_of_output != nullptr ? student->label_of_output[output] : output;
    const double value = static_cast<double>(potstill_output_value(student, outputs[output]));
    if (label < student->labels_count) {
        ESP_LOGI(kTag, "%s: %s %.3f", student->name, student->labels[label], value);
    } else {
        ESP_LOGI(kTag, "%s: output %u %.3f", student->name, static_cast<unsigned>(output), value);
    }
}

void respond(const Listener &listener, const potstill_heard &heard) {
    const potstill_student *student = listener.student;
    if (heard.failed) {
        ESP_LOGE(kTag, "%s: its network did not run", student->name);
    }
    if (heard.sound != nullptr) {
        speaker_write(heard.sound, heard.sound_samples);
    }
    if (!heard.decided || student->makes_sound) {
        return;
    }
    if (heard.event == POTSTILL_ALARM) {
        /* This is where an application does what it was woken for. */
        ESP_LOGI(kTag, "%s: alarm: %s, score %d of threshold %d", student->name, student->event, heard.score_steps,
                 listener.runner.settings.threshold_steps);
    }
#ifdef CONFIG_POTSTILL_LOG_DECISIONS
    const bool every = true;
#else
    const bool every = student->decision == nullptr;
#endif
    if (every && student->labels_are_values) {
        log_values(student, heard.outputs);
    } else if (every) {
        log_class(student, heard.outputs);
    }
}

void hear(Listener &listener, const int16_t *samples, size_t count) {
    for (size_t at = 0; at < count;) {
        potstill_heard heard;
        const int64_t began = esp_timer_get_time();
        at += potstill_runner_hear(&listener.runner, samples + at, count - at, &heard);
        const int64_t took = esp_timer_get_time() - began;
        listener.busy_us += took;
        listener.longest_us = took > listener.longest_us ? took : listener.longest_us;
        respond(listener, heard);
    }
}

void report(Listener &listener, int64_t elapsed_us) {
    ESP_LOGI(kTag, "%s: works %.1f %% of the time, %.2f ms at most for a frame and what follows", listener.student->name,
             100.0 * static_cast<double>(listener.busy_us) / static_cast<double>(elapsed_us),
             static_cast<double>(listener.longest_us) / 1000.0);
    listener.busy_us = 0;
    listener.longest_us = 0;
}

Listener own;
#ifdef CONFIG_POTSTILL_BESIDE
Listener beside;
#endif

bool open_all() {
    const potstill_tflm_settings settings = POTSTILL_OWN_SETTINGS;
    if (!open_listener(own, &potstill_own, POTSTILL_OWN_GOLDEN, settings)) {
        return false;
    }
#ifdef CONFIG_POTSTILL_BESIDE
    const potstill_tflm_settings other = POTSTILL_BESIDE_SETTINGS;
    if (!open_listener(beside, &potstill_beside, POTSTILL_BESIDE_GOLDEN, other)) {
        return false;
    }
#endif
    return true;
}

void listen() {
    int16_t samples[kPieceSamples];
    int64_t reported = esp_timer_get_time();
    for (;;) {
        const size_t count = microphone_read(samples, kPieceSamples);
        hear(own, samples, count);
#ifdef CONFIG_POTSTILL_BESIDE
        hear(beside, samples, count);
#endif
        const int64_t elapsed = esp_timer_get_time() - reported;
        if (elapsed < kReportUs) {
            continue;
        }
        report(own, elapsed);
#ifdef CONFIG_POTSTILL_BESIDE
        report(beside, elapsed);
#endif
        if (const uint32_t losses = microphone_losses()) {
            ESP_LOGW(kTag, "sound was lost %" PRIu32 " times: the network is too slow, or LISTEN_BUFFER_MS too short", losses);
        }
        reported += elapsed;
    }
}

}  // namespace

extern "C" void app_main(void) {
    if (!open_all()) {
        return;
    }
    load_settings(own);
    ESP_ERROR_CHECK(speaker_open(POTSTILL_SAMPLE_RATE_HZ));
    ESP_ERROR_CHECK(microphone_open(POTSTILL_SAMPLE_RATE_HZ));
    ESP_LOGI(kTag, "listening");
    listen();
}
