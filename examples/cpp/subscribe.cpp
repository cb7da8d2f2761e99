/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a channel in order until its publisher ends, and prints what comes with each frame.
 *
 *   subscribe-cpp KEY
 */
#include <cuframes/cuframes.hpp>

#include <cstdio>
#include <optional>
#include <string>

namespace
{

void print(const cuframes::Frame &frame)
{
    std::size_t size = 0;
    const void *text = frame.user_data(size);
    std::printf("%llu: %dx%d %s %.*s\n", static_cast<unsigned long long>(frame.seq()),
                frame.width(), frame.height(), cuframes_format_name(frame.format()),
                static_cast<int>(size), text != nullptr ? static_cast<const char *>(text) : "");
}

void run(const std::string &key)
{
    cuframes::SubscriberOptions options;
    options.key = key;
    options.mode = CUFRAMES_MODE_STRICT_ORDER;
    options.connect_timeout_ms = 5000;
    cuframes::Subscriber subscriber(options);

    // A frame is given back when it goes out of scope.
    while (std::optional<cuframes::Frame> frame = subscriber.next(nullptr, 5000))
        print(*frame);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::fprintf(stderr, "usage: subscribe-cpp KEY\n");
        return 2;
    }
    try {
        run(argv[1]);
    } catch (const cuframes::Error &error) {
        if (error.code() == CUFRAMES_ERR_DISCONNECTED)
            return 0; // the publisher has ended
        std::fprintf(stderr, "subscribe-cpp: %s\n", error.what());
        return 1;
    }
    return 0;
}
