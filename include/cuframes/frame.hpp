/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file frame.hpp
 * C++17 wrapper: a frame. Part of cuframes.hpp.
 */
#ifndef CUFRAMES_FRAME_HPP
#define CUFRAMES_FRAME_HPP

#include <cuframes/error.hpp>
#include <cuframes/frame.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace cuframes
{

/** A frame that is held; its destructor gives it back. It may outlive its subscriber. */
class Frame
{
  public:
    /** Takes over a held frame. */
    explicit Frame(cuframes_frame_t *frame) noexcept : frame_(frame)
    {
    }

    /** Start of the slot: a device pointer, or a host pointer (see memory()). Read-only. */
    void *cuda_ptr() const noexcept
    {
        return cuframes_frame_cuda_ptr(raw());
    }

    /** The same under a name that does not mislead. */
    const void *data() const noexcept
    {
        return cuframes_frame_data(raw());
    }

    /** Bytes at data(). */
    std::size_t data_size() const noexcept
    {
        return cuframes_frame_data_size(raw());
    }

    /** Whether the pointers are of the host or of the GPU. */
    cuframes_memory_t memory() const noexcept
    {
        return cuframes_frame_memory(raw());
    }

    /** Copies the visible picture into host memory, packed; see cuframes_frame_copy_to_host(). */
    void copy_to_host(void *target, std::size_t size) const
    {
        detail::check(cuframes_frame_copy_to_host(raw(), target, size));
    }

    /** Pixel format. */
    cuframes_format_t format() const noexcept
    {
        return cuframes_frame_format(raw());
    }

    /** Visible width in pixels. */
    std::int32_t width() const noexcept
    {
        std::int32_t result = 0;
        cuframes_frame_size(raw(), &result, nullptr);
        return result;
    }

    /** Visible height in pixels. */
    std::int32_t height() const noexcept
    {
        std::int32_t result = 0;
        cuframes_frame_size(raw(), nullptr, &result);
        return result;
    }

    /** Bytes from one row to the next in plane 0. */
    std::int32_t pitch_y() const noexcept
    {
        return cuframes_frame_pitch_y(raw());
    }

    /** The same in plane 1; 0 for formats with one plane. */
    std::int32_t pitch_uv() const noexcept
    {
        return cuframes_frame_pitch_uv(raw());
    }

    /** Number of planes. */
    std::int32_t plane_count() const noexcept
    {
        return cuframes_frame_plane_count(raw());
    }

    /** Plane `index`, crop applied. Throws an Error with INVALID_ARG if there is no such plane. */
    cuframes_plane_t plane(std::int32_t index) const
    {
        cuframes_plane_t result{};
        detail::check(cuframes_frame_plane(raw(), index, &result));
        return result;
    }

    /** Layout of the channel's slots; valid as long as the frame. */
    const cuframes_layout_t &layout() const noexcept
    {
        return *cuframes_frame_layout(raw());
    }

    /** The visible rectangle inside the coded picture. */
    cuframes_rect_t crop() const noexcept
    {
        cuframes_rect_t result{};
        cuframes_frame_crop(raw(), &result);
        return result;
    }

    /** Sequence number. */
    std::uint64_t seq() const noexcept
    {
        return cuframes_frame_seq(raw());
    }

    /** Frames that were missed since the one before. */
    std::uint64_t missed() const noexcept
    {
        return cuframes_frame_missed(raw());
    }

    /** Presentation time; CUFRAMES_NO_TIME if unknown. */
    std::int64_t pts_ns() const noexcept
    {
        return cuframes_frame_pts_ns(raw());
    }

    /** When it was announced, on the clock of now_ns(). */
    std::int64_t published_ns() const noexcept
    {
        return cuframes_frame_published_ns(raw());
    }

    /** When the picture was taken, on CLOCK_REALTIME; CUFRAMES_NO_TIME if unknown. */
    std::int64_t capture_ns(cuframes_clock_source_t *source = nullptr) const noexcept
    {
        return cuframes_frame_capture_ns(raw(), source);
    }

    /** CUFRAMES_FRAME_… flags. */
    std::uint32_t flags() const noexcept
    {
        return cuframes_frame_flags(raw());
    }

    /** How to read its colours. */
    cuframes_color_t color() const noexcept
    {
        cuframes_color_t result{};
        cuframes_frame_color(raw(), &result);
        return result;
    }

    /** Generation of the channel. */
    std::uint32_t generation() const noexcept
    {
        return cuframes_frame_generation(raw());
    }

    /** Number of the packet it was decoded from, if the publisher says so. */
    std::optional<std::uint64_t> packet_seq() const noexcept
    {
        std::uint64_t result = 0;
        if (cuframes_frame_packet_seq(raw(), &result) != CUFRAMES_OK)
            return std::nullopt;
        return result;
    }

    /** The publisher's own bytes for this frame; nullptr and 0 if there are none. */
    const void *user_data(std::size_t &size) const noexcept
    {
        return cuframes_frame_user_data(raw(), &size);
    }

    /** Whether the hold still protects the frame (see cuframes_frame_check()). */
    bool intact() const noexcept
    {
        return cuframes_frame_check(raw()) == CUFRAMES_OK;
    }

    /** Gives the frame back before the destructor does. */
    void release() noexcept
    {
        frame_.reset();
    }

    /** Gives the frame back when the work in `stream` is done (cuframes_frame_release_stream()). */
    void release(void *stream)
    {
        detail::check(cuframes_frame_release_stream(raw(), stream));
        (void)frame_.release();
    }

    /** The C object, still owned by this one. */
    cuframes_frame_t *raw() const noexcept
    {
        return frame_.get();
    }

  private:
    std::unique_ptr<cuframes_frame_t, detail::Deleter<&cuframes_frame_release>> frame_;
};

} // namespace cuframes

#endif
