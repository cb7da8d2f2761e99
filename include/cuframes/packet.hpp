/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file packet.hpp
 * C++17 wrapper: a packet. Part of cuframes.hpp.
 */
#ifndef CUFRAMES_PACKET_HPP
#define CUFRAMES_PACKET_HPP

#include <cuframes/packet.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace cuframes
{

/** A packet: a copy of its own, which goes with the object. It may outlive its subscriber. */
class Packet
{
  public:
    /** Takes over a packet. */
    explicit Packet(cuframes_packet_t *packet) noexcept : packet_(packet)
    {
    }

    /** Its bytes, followed by 64 bytes of zero. */
    const void *data() const noexcept
    {
        return cuframes_packet_data(raw());
    }

    /** How many they are. */
    std::size_t size() const noexcept
    {
        return cuframes_packet_size(raw());
    }

    /** Presentation time in nanoseconds; CUFRAMES_NO_TIME if unknown. */
    std::int64_t pts() const noexcept
    {
        return cuframes_packet_pts(raw());
    }

    /** Decoding time in nanoseconds; CUFRAMES_NO_TIME if unknown. */
    std::int64_t dts() const noexcept
    {
        return cuframes_packet_dts(raw());
    }

    /** Nanoseconds; 0 if unknown. */
    std::int64_t duration() const noexcept
    {
        return cuframes_packet_duration(raw());
    }

    /** When it was taken, on CLOCK_REALTIME; CUFRAMES_NO_TIME if unknown. */
    std::int64_t capture_ns(cuframes_clock_source_t *source = nullptr) const noexcept
    {
        return cuframes_packet_capture_ns(raw(), source);
    }

    /** When it was published, on the clock of now_ns(). */
    std::int64_t published_ns() const noexcept
    {
        return cuframes_packet_published_ns(raw());
    }

    /** CUFRAMES_PKT_FLAG_… flags. */
    std::uint32_t flags() const noexcept
    {
        return cuframes_packet_flags(raw());
    }

    /** Whether decoding can start here. */
    bool key() const noexcept
    {
        return (flags() & CUFRAMES_PKT_FLAG_KEY) != 0;
    }

    /** Number in the channel's sequence of packets. */
    std::uint64_t seq() const noexcept
    {
        return cuframes_packet_seq(raw());
    }

    /** Index of its stream. */
    std::uint32_t stream() const noexcept
    {
        return cuframes_packet_stream(raw());
    }

    /** Packet generation. */
    std::uint32_t generation() const noexcept
    {
        return cuframes_packet_generation(raw());
    }

    /** Packets lost by an overrun just before this one. */
    std::uint64_t lost() const noexcept
    {
        return cuframes_packet_lost(raw());
    }

    /** The C object, still owned by this one. */
    cuframes_packet_t *raw() const noexcept
    {
        return packet_.get();
    }

  private:
    struct Release {
        void operator()(cuframes_packet_t *packet) const noexcept
        {
            (void)cuframes_subscriber_release_packet(nullptr, packet);
        }
    };
    std::unique_ptr<cuframes_packet_t, Release> packet_;
};

} // namespace cuframes

#endif
