/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file cuframes.hpp
 * C++17 wrapper: the C functions with destructors and exceptions, and nothing besides.
 *
 * Every class owns one C object, can be moved and cannot be copied, and gives the object with
 * raw(). A moved-from object may only be destroyed or assigned to. The threads that may call a
 * function are those of the C function behind it.
 */
#ifndef CUFRAMES_CUFRAMES_HPP
#define CUFRAMES_CUFRAMES_HPP

#include <cuframes/cuframes.h>
#include <cuframes/error.hpp>
#include <cuframes/frame.hpp>
#include <cuframes/packet.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace cuframes
{

/** CLOCK_MONOTONIC in nanoseconds. */
inline std::int64_t now_ns() noexcept
{
    return cuframes_now_ns();
}

/** Bytes of one picture in the packed layout; 0 for a format or size that does not exist. */
inline std::size_t calc_frame_size(cuframes_format_t format, std::int32_t width,
                                   std::int32_t height, std::int32_t *pitch_y = nullptr,
                                   std::int32_t *pitch_uv = nullptr) noexcept
{
    return cuframes_calc_frame_size(format, width, height, pitch_y, pitch_uv);
}

/** The same with the pitches given back by reference. */
inline std::size_t calc_frame_size(cuframes_format_t format, std::int32_t width,
                                   std::int32_t height, std::int32_t &pitch_y,
                                   std::int32_t &pitch_uv) noexcept
{
    return cuframes_calc_frame_size(format, width, height, &pitch_y, &pitch_uv);
}

/** Keys that have a socket in a runtime directory ("" = the default), sorted. */
inline std::vector<std::string> list(const std::string &runtime_dir = {})
{
    cuframes_key_list_t *found = nullptr;
    detail::check(cuframes_list(detail::or_null(runtime_dir), &found));
    std::unique_ptr<cuframes_key_list_t, detail::Deleter<&cuframes_key_list_free>> owner(found);
    return {found->keys, found->keys + found->count};
}

/** How to make a channel; the fields mean what those of cuframes_publisher_config_t mean. */
struct PublisherOptions {
    std::string key;
    std::int32_t width = 0;
    std::int32_t height = 0;
    cuframes_format_t format = CUFRAMES_FORMAT_NV12;
    cuframes_policy_t policy = CUFRAMES_POLICY_DROP_OLDEST;
    std::int32_t consumer_ack_timeout_ms = 0;
    std::int32_t cuda_device = 0;
    std::int32_t ring_size = 0;
    cuframes_memory_t memory = CUFRAMES_MEMORY_AUTO;
    std::uint32_t flags = 0;
    std::int32_t max_subscribers = 0;
    std::int32_t max_holds = 0;
    std::uint32_t socket_mode = 0;
    std::string socket_group; /**< "" = the process's */
    /** Users that may connect; none = whoever the socket's permissions let through. */
    std::optional<std::vector<std::uint32_t>> allowed_users;
    std::string runtime_dir; /**< "" = the default */
    std::optional<cuframes_layout_t> layout;
    std::int32_t fps_num = 0, fps_den = 0;
    std::int32_t sar_num = 0, sar_den = 0;
    cuframes_color_t color{};

    /** The same as a C structure; it points into these options. */
    cuframes_publisher_config_t config() const noexcept
    {
        cuframes_publisher_config_t result{};
        result.key = key.c_str();
        result.width = width;
        result.height = height;
        result.format = format;
        result.policy = policy;
        result.consumer_ack_timeout_ms = consumer_ack_timeout_ms;
        result.cuda_device = cuda_device;
        result.ring_size = ring_size;
        result.memory = memory;
        result.flags = flags;
        result.max_subscribers = max_subscribers;
        result.max_holds = max_holds;
        result.socket_mode = socket_mode;
        result.socket_group = detail::or_null(socket_group);
        result.runtime_dir = detail::or_null(runtime_dir);
        result.layout = layout ? &*layout : nullptr;
        result.fps_num = fps_num;
        result.fps_den = fps_den;
        result.sar_num = sar_num;
        result.sar_den = sar_den;
        result.color = color;
        if (allowed_users) {
            static const std::uint32_t nobody = 0;
            result.allowed_users = allowed_users->empty() ? &nobody : allowed_users->data();
            result.allowed_user_count = static_cast<std::uint32_t>(allowed_users->size());
        }
        return result;
    }
};

/** A slot in the hands of the publishing program; its reference goes with the object. */
class Buffer
{
  public:
    /** Takes over one reference. */
    explicit Buffer(cuframes_buffer_t *buffer) noexcept : buffer_(buffer)
    {
    }

    /** One more reference to the same slot. */
    Buffer ref() const noexcept
    {
        return Buffer(cuframes_buffer_ref(buffer_.get()));
    }

    /** Start of the slot, writable until it is published. */
    void *data() noexcept
    {
        return cuframes_buffer_data(buffer_.get());
    }

    /** Copies host memory to the slot, wherever that is (see cuframes_buffer_write()). */
    void write(std::size_t offset, const void *data, std::size_t size, void *stream = nullptr)
    {
        detail::check(cuframes_buffer_write(buffer_.get(), offset, data, size, stream));
    }

    /** Start of a plane and its pitch; nullptr if there is no such plane. */
    void *plane(std::int32_t index, std::uint32_t *pitch = nullptr) noexcept
    {
        return cuframes_buffer_plane(buffer_.get(), index, pitch);
    }

    /** Where the planes are. */
    const cuframes_layout_t &layout() const noexcept
    {
        return *cuframes_buffer_layout(buffer_.get());
    }

    /** Generation that the slot belongs to. */
    std::uint32_t generation() const noexcept
    {
        return cuframes_buffer_generation(buffer_.get());
    }

    /** The C object, still owned by this one. */
    cuframes_buffer_t *raw() const noexcept
    {
        return buffer_.get();
    }

  private:
    std::unique_ptr<cuframes_buffer_t, detail::Deleter<&cuframes_buffer_unref>> buffer_;
};

/** Owns a channel; its destructor closes it. */
class Publisher
{
  public:
    /** Makes a channel and opens it for subscribers. */
    explicit Publisher(const PublisherOptions &options)
    {
        const cuframes_publisher_config_t config = options.config();
        cuframes_publisher_t *publisher = nullptr;
        detail::check(cuframes_publisher_create(&config, &publisher));
        publisher_.reset(publisher);
    }

    /** A channel in the caller's own device buffers (see cuframes_publisher_create_external()). */
    Publisher(const PublisherOptions &options, void **ptrs, int count, std::size_t frame_size)
    {
        cuframes_publisher_config_t config = options.config();
        config.ownership = CUFRAMES_OWNERSHIP_EXTERNAL;
        cuframes_publisher_t *publisher = nullptr;
        detail::check(
            cuframes_publisher_create_external(&config, ptrs, count, frame_size, &publisher));
        publisher_.reset(publisher);
    }

    /** Start of a free slot. Throws an Error with WOULD_BLOCK when every slot is held. */
    void *acquire()
    {
        void *start = nullptr;
        detail::check(cuframes_publisher_acquire(raw(), &start));
        return start;
    }

    /** The same, but nullptr when every slot is held. */
    void *try_acquire()
    {
        void *start = nullptr;
        const int result = cuframes_publisher_acquire(raw(), &start);
        if (result == CUFRAMES_ERR_WOULD_BLOCK)
            return nullptr;
        detail::check(result);
        return start;
    }

    /** Announces the slot of the last acquire(). */
    void publish(void *stream, std::int64_t pts_ns)
    {
        detail::check(cuframes_publisher_publish(raw(), stream, pts_ns));
    }

    /** Announces one of the buffers that the channel was made of. */
    void publish_external(void *ptr, void *stream, std::int64_t pts_ns)
    {
        detail::check(cuframes_publisher_publish_external(raw(), ptr, stream, pts_ns));
    }

    /** A slot of its own; nothing when every slot is held. */
    std::optional<Buffer> acquire_buffer()
    {
        cuframes_buffer_t *buffer = nullptr;
        const int result = cuframes_publisher_acquire_buffer(raw(), &buffer);
        if (result == CUFRAMES_ERR_WOULD_BLOCK)
            return std::nullopt;
        detail::check(result);
        return Buffer(buffer);
    }

    /** Announces a buffer and returns its sequence number. */
    std::uint64_t publish_buffer(const Buffer &buffer, const cuframes_frame_meta_t *meta = nullptr,
                                 void *stream = nullptr)
    {
        std::uint64_t seq = 0;
        detail::check(cuframes_publisher_publish_buffer(raw(), buffer.raw(), stream, meta, &seq));
        return seq;
    }

    /** Prepares a new generation with another size, format, layout or number of slots. */
    void reconfigure(const PublisherOptions &options)
    {
        const cuframes_publisher_config_t config = options.config();
        detail::check(cuframes_publisher_reconfigure(raw(), &config));
    }

    /** Says that no frames come for a while; see cuframes_publisher_pause(). */
    void pause()
    {
        detail::check(cuframes_publisher_pause(raw()));
    }

    /** Gives the channel a packet ring. */
    void enable_packets(const cuframes_packet_ring_options_t *options = nullptr)
    {
        detail::check(cuframes_publisher_enable_packets(raw(), options));
    }

    /** Describes the elementary streams: all of them. */
    void set_streams(const std::vector<cuframes_stream_t> &streams)
    {
        detail::check(cuframes_publisher_set_streams(raw(), streams.data(),
                                                     static_cast<std::int32_t>(streams.size())));
    }

    /** Publishes a packet and returns its number. */
    std::uint64_t send_packet(const cuframes_packet_desc_t &packet)
    {
        std::uint64_t seq = 0;
        detail::check(cuframes_publisher_send_packet(raw(), &packet, &seq));
        return seq;
    }

    /** Out-of-band parameters of stream 0. */
    void set_codec_extradata(const void *data, std::size_t size)
    {
        detail::check(cuframes_publisher_set_codec_extradata(raw(), data, size));
    }

    /** Publishes a packet of stream 0; CUFRAMES_OK or an error number, and never throws. */
    int publish_packet(const void *data, std::size_t size, std::int64_t pts_ns, std::int64_t dts_ns,
                       std::uint32_t flags) noexcept
    {
        return cuframes_publisher_publish_packet(raw(), data, size, pts_ns, dts_ns, flags);
    }

    /** Serves a connection that was made elsewhere; consumes `fd`, also when it throws. */
    void add_client(int fd)
    {
        detail::check(cuframes_publisher_add_client(raw(), fd));
    }

    /** What the channel is now. */
    cuframes_channel_info_t info() const
    {
        cuframes_channel_info_t result{};
        detail::check(cuframes_publisher_info(raw(), &result));
        return result;
    }

    /** What it has counted. */
    cuframes_publisher_stats_t stats() const
    {
        cuframes_publisher_stats_t result{};
        detail::check(cuframes_publisher_stats(raw(), &result));
        return result;
    }

    /** The C object, still owned by this one. */
    cuframes_publisher_t *raw() const noexcept
    {
        return publisher_.get();
    }

  private:
    std::unique_ptr<cuframes_publisher_t, detail::Deleter<&cuframes_publisher_destroy>> publisher_;
};

/** How to subscribe; the fields mean what those of cuframes_subscriber_config_t mean. */
struct SubscriberOptions {
    std::string key;
    std::string consumer_name; /**< "" = made up */
    cuframes_subscriber_mode_t mode = CUFRAMES_MODE_NEWEST_ONLY;
    std::int32_t cuda_device = 0;
    std::int32_t connect_timeout_ms = 0;
    std::uint32_t flags = 0;
    std::uint32_t max_holds = 0;
    float max_fps = 0;
    std::uint32_t every = 0;
    cuframes_memory_t memory = CUFRAMES_MEMORY_AUTO;
    std::string runtime_dir;                             /**< "" = the default */
    const cuframes_connect_options_t *connect = nullptr; /**< borrowed */

    /** The same as a C structure; it points into these options. */
    cuframes_subscriber_config_t config() const noexcept
    {
        cuframes_subscriber_config_t result{};
        result.key = key.c_str();
        result.consumer_name = detail::or_null(consumer_name);
        result.mode = mode;
        result.cuda_device = cuda_device;
        result.connect_timeout_ms = connect_timeout_ms;
        result.flags = flags;
        result.max_holds = max_holds;
        result.max_fps = max_fps;
        result.every = every;
        result.memory = memory;
        result.runtime_dir = detail::or_null(runtime_dir);
        result.connect = connect;
        return result;
    }
};

/** Reads a channel; its destructor detaches. */
class Subscriber
{
  public:
    /** Attaches to a channel. */
    explicit Subscriber(const SubscriberOptions &options)
    {
        const cuframes_subscriber_config_t config = options.config();
        cuframes_subscriber_t *subscriber = nullptr;
        detail::check(cuframes_subscriber_create(&config, &subscriber));
        subscriber_.reset(subscriber);
    }

    /** Attaches over a connection that was made elsewhere; consumes `fd`, also when it throws. */
    Subscriber(const SubscriberOptions &options, int fd)
    {
        cuframes_subscriber_config_t config = options.config();
        config.key = detail::or_null(options.key);
        cuframes_subscriber_t *subscriber = nullptr;
        detail::check(cuframes_subscriber_create_from_fd(&config, fd, &subscriber));
        subscriber_.reset(subscriber);
    }

    /** The next frame; nothing when `timeout_ms` ran out. Other errors throw. */
    std::optional<Frame> next(void *stream = nullptr, std::int32_t timeout_ms = -1)
    {
        cuframes_frame_t *frame = nullptr;
        const int result = cuframes_subscriber_next(raw(), stream, &frame, timeout_ms);
        if (result == CUFRAMES_ERR_TIMEOUT || result == CUFRAMES_ERR_WOULD_BLOCK)
            return std::nullopt;
        detail::check(result);
        return Frame(frame);
    }

    /** Begins to read packets. */
    void enable_packets(const cuframes_packet_options_t *options = nullptr)
    {
        detail::check(cuframes_subscriber_enable_packets_from(raw(), options));
    }

    /** The next packet; nothing when `timeout_ms` ran out. Other errors throw, also PACKET_OVERRUN,
     *  after which reading goes on. */
    std::optional<Packet> next_packet(std::int32_t timeout_ms = -1)
    {
        cuframes_packet_t *packet = nullptr;
        const int result = cuframes_subscriber_next_packet(raw(), &packet, timeout_ms);
        if (result == CUFRAMES_ERR_TIMEOUT || result == CUFRAMES_ERR_WOULD_BLOCK)
            return std::nullopt;
        detail::check(result);
        return Packet(packet);
    }

    /** The elementary streams. Their extradata is valid until the next packet is asked for. */
    std::vector<cuframes_stream_t> streams()
    {
        const int count = detail::check(cuframes_subscriber_stream_count(raw()));
        std::vector<cuframes_stream_t> result(static_cast<std::size_t>(count));
        for (int i = 0; i < count; i++)
            detail::check(
                cuframes_subscriber_stream(raw(), i, &result[static_cast<std::size_t>(i)]));
        return result;
    }

    /** How it gets at the frames now. */
    cuframes_access_t access() const noexcept
    {
        return cuframes_subscriber_access(raw());
    }

    /** A descriptor that polls readable when next(stream, 0) or next_packet(0) has something to
     *  say. Needs the flag CUFRAMES_SUBSCRIBER_POLL. */
    int fd()
    {
        return detail::check(cuframes_subscriber_fd(raw()));
    }

    /** What the channel is now. */
    cuframes_channel_info_t info() const
    {
        cuframes_channel_info_t result{};
        detail::check(cuframes_subscriber_info(raw(), &result));
        return result;
    }

    /** What it has counted. */
    cuframes_subscriber_stats_t stats() const
    {
        cuframes_subscriber_stats_t result{};
        detail::check(cuframes_subscriber_stats(raw(), &result));
        return result;
    }

    /** The name it is known by at the publisher. */
    std::string name() const
    {
        return cuframes_subscriber_name(raw());
    }

    /** The C object, still owned by this one. */
    cuframes_subscriber_t *raw() const noexcept
    {
        return subscriber_.get();
    }

  private:
    std::unique_ptr<cuframes_subscriber_t, detail::Deleter<&cuframes_subscriber_destroy>>
        subscriber_;
};

} // namespace cuframes

#endif
