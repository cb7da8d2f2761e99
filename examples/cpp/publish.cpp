/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishes NV12 pictures with two slots in hand at once, and a text with each frame.
 *
 *   publish-cpp KEY FRAMES
 */
#include <cuframes/cuframes.hpp>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <thread>

namespace
{

void draw(cuframes::Buffer &buffer, unsigned long n)
{
    for (std::int32_t plane = 0; plane < 2; plane++) {
        std::uint32_t pitch = 0;
        void *start = buffer.plane(plane, &pitch);
        const std::size_t rows = buffer.layout().planes[plane].rows;
        std::memset(start, plane == 0 ? static_cast<int>(n % 256) : 128, pitch * rows);
    }
}

void publish(cuframes::Publisher &publisher, const cuframes::Buffer &buffer, unsigned long n)
{
    const std::string text = "picture " + std::to_string(n);
    cuframes_frame_meta_t meta{};
    meta.pts_ns = cuframes::now_ns();
    meta.capture_ns = CUFRAMES_NO_TIME;
    meta.user_data = text.data();
    meta.user_size = static_cast<std::uint32_t>(text.size());
    publisher.publish_buffer(buffer, &meta);
}

void run(const std::string &key, unsigned long frames)
{
    cuframes::PublisherOptions options;
    options.key = key;
    options.width = 640;
    options.height = 360;
    options.memory = CUFRAMES_MEMORY_HOST;
    cuframes::Publisher publisher(options);

    // The picture that was drawn before is published while the next one is in the making.
    std::optional<cuframes::Buffer> ready;
    for (unsigned long n = 0; n < frames; n++) {
        std::optional<cuframes::Buffer> next = publisher.acquire_buffer();
        if (!next)
            continue; // subscribers hold every slot: this picture is left out
        draw(*next, n);
        if (ready)
            publish(publisher, *ready, n - 1);
        ready = std::move(next);
        std::this_thread::sleep_for(std::chrono::milliseconds(40));
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fprintf(stderr, "usage: publish-cpp KEY FRAMES\n");
        return 2;
    }
    try {
        run(argv[1], std::stoul(argv[2]));
    } catch (const std::exception &error) {
        std::fprintf(stderr, "publish-cpp: %s\n", error.what());
        return 1;
    }
    return 0;
}
