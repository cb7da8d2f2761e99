/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file error.hpp
 * C++17 wrapper: errors as exceptions. Part of cuframes.hpp.
 */
#ifndef CUFRAMES_ERROR_HPP
#define CUFRAMES_ERROR_HPP

#include <cuframes/error.h>

#include <stdexcept>
#include <string>

namespace cuframes
{

/** An error of the library: what() is its sentence, code() its CUFRAMES_ERR_… number. */
class Error : public std::runtime_error
{
  public:
    /** With the number and the sentence. */
    Error(int code, const std::string &sentence) : std::runtime_error(sentence), code_(code)
    {
    }

    /** The CUFRAMES_ERR_… number. */
    int code() const noexcept
    {
        return code_;
    }

  private:
    int code_;
};

/// @cond INTERNAL
namespace detail
{

[[noreturn]] inline void fail(int code)
{
    const char *sentence = cuframes_last_error();
    throw Error(code, *sentence != '\0' ? sentence : cuframes_strerror(code));
}

inline int check(int result)
{
    if (result < 0)
        fail(result);
    return result;
}

inline const char *or_null(const std::string &text) noexcept
{
    return text.empty() ? nullptr : text.c_str();
}

template <auto Function> struct Deleter {
    template <class Object> void operator()(Object *object) const noexcept
    {
        (void)Function(object);
    }
};

} // namespace detail
/// @endcond

} // namespace cuframes

#endif
