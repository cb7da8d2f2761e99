/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The same for C++: a program as it was written for the 0.4 line's wrapper.
 */
#include <cuframes/cuframes.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <type_traits>
#include <unistd.h>
#include <utility>

namespace
{

constexpr int width = 64;
constexpr int height = 48;

void require(bool condition, const char *what)
{
    if (condition)
        return;
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

void test_frames()
{
    cuframes::PublisherOptions options;
    options.key = "compat";
    options.width = width;
    options.height = height;
    options.format = CUFRAMES_FORMAT_NV12;
    options.policy = CUFRAMES_POLICY_STRICT_WAIT;
    options.consumer_ack_timeout_ms = 2000;
    options.cuda_device = 0;
    options.ring_size = 4;
    cuframes::Publisher publisher(options);
    require(publisher.raw() != nullptr, "raw");

    cuframes::SubscriberOptions wanted;
    wanted.key = "compat";
    wanted.consumer_name = "reader";
    wanted.mode = CUFRAMES_MODE_STRICT_ORDER;
    wanted.cuda_device = 0;
    wanted.connect_timeout_ms = 2000;
    cuframes::Subscriber subscriber(wanted);
    require(!subscriber.next(nullptr, 0).has_value(), "nothing yet");

    std::int32_t pitch_y = 0;
    std::int32_t pitch_uv = 0;
    const std::size_t size =
        cuframes::calc_frame_size(CUFRAMES_FORMAT_NV12, width, height, &pitch_y, &pitch_uv);
    for (int n = 0; n < 10; n++) {
        void *slot = publisher.acquire();
        std::memset(slot, n, size);
        publisher.publish(nullptr, cuframes::now_ns());

        auto frame = subscriber.next(nullptr, 2000);
        require(frame.has_value(), "a frame");
        require(frame->seq() == static_cast<std::uint64_t>(n), "seq");
        require(frame->width() == width && frame->height() == height, "size");
        require(frame->pitch_y() == pitch_y && frame->pitch_uv() == pitch_uv, "pitches");
        require(frame->pts_ns() > 0, "pts");
        require(static_cast<const char *>(frame->cuda_ptr())[size - 1] == n, "contents");
        cuframes::Frame moved = std::move(*frame);
        require(moved.seq() == static_cast<std::uint64_t>(n), "moved");
    }
}

void test_errors()
{
    cuframes::SubscriberOptions options;
    options.key = "nobody";
    options.connect_timeout_ms = 0;
    try {
        cuframes::Subscriber subscriber(options);
        require(false, "a channel that is not there");
    } catch (const std::runtime_error &error) {
        const auto *ours = dynamic_cast<const cuframes::Error *>(&error);
        require(ours != nullptr && ours->code() == CUFRAMES_ERR_NOT_FOUND, "code");
        require(std::strlen(error.what()) > 0, "what");
    }
}

void test_packets()
{
    cuframes::PublisherOptions options;
    options.key = "packets";
    options.width = width;
    options.height = height;
    cuframes::Publisher publisher(options);
    require(publisher.publish_packet("x", 1, 0, 0, 0) == CUFRAMES_ERR_NO_PACKET_RING, "no ring");
    cuframes_packet_ring_options_t ring{};
    ring.ring_slots = 64;
    ring.data_size = 1 << 20;
    ring.max_packet_size = 1 << 18;
    ring.codec_id = 27;
    publisher.enable_packets(&ring);
    publisher.set_codec_extradata("\x01\x02", 2);

    cuframes::SubscriberOptions wanted;
    wanted.key = "packets";
    cuframes::Subscriber subscriber(wanted);
    subscriber.enable_packets();
    require(!subscriber.next_packet(0).has_value(), "no packet yet");
    static_assert(noexcept(publisher.publish_packet("x", 1, 0, 0, 0)));
    require(publisher.publish_packet("access unit", 11, 7, 5, CUFRAMES_PKT_FLAG_KEY) == CUFRAMES_OK,
            "publish_packet");
    auto packet = subscriber.next_packet(2000);
    require(packet.has_value() && packet->size() == 11 && packet->key(), "a packet");
    require(std::memcmp(packet->data(), "access unit", 11) == 0, "its bytes");
    require(packet->pts() == 7 && packet->dts() == 5 && packet->seq() == 0, "its numbers");
    const auto streams = subscriber.streams();
    require(streams.size() == 1 && streams[0].codec_id == 27 && streams[0].extradata_size == 2,
            "streams");
    cuframes::Packet moved = std::move(*packet);
    require(moved.lost() == 0, "moved");
}

/* Buffers of the caller's own are device memory: refused where there is none, with a sentence. */
void test_external()
{
    cuframes::PublisherOptions options;
    options.key = "external";
    options.width = width;
    options.height = height;
    alignas(64) static unsigned char host[2][width * height * 3 / 2];
    void *ptrs[] = {host[0], host[1]};
    try {
        cuframes::Publisher publisher(options, ptrs, 2, sizeof(host[0]));
        publisher.publish_external(ptrs[0], nullptr, 0);
        require(false, "host memory passed for device memory");
    } catch (const cuframes::Error &error) {
        require(std::strlen(error.what()) > 0, "what");
    }
}

} // namespace

int main()
{
    static_assert(!std::is_copy_constructible_v<cuframes::Frame>);
    static_assert(std::is_nothrow_move_constructible_v<cuframes::Frame>);
    char directory[] = "/tmp/cuframes-compat-XXXXXX";
    require(mkdtemp(directory) != nullptr, "mkdtemp");
    setenv("CUFRAMES_RUNTIME_DIR", directory, 1);
    test_errors();
    test_frames();
    test_packets();
    test_external();
    unlink((std::string(directory) + "/compat.lock").c_str());
    require(rmdir(directory) == 0, "nothing left in the runtime directory");
    return 0;
}
