// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_RESULT_H
#define FREEZERCTL_USER_RESULT_H

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace freezer
{

// What sort of failure it is, as far as a caller acts on it; `sys_errno` has the detail.
enum class ErrorKind {
    kSystem,       // a system call or libbpf failed
    kInvalid,      // the argument makes no sense, whatever the machine's state
    kNoSuchCgroup, // it does not exist, is not a cgroup, or was removed meanwhile
    kRefused,      // it would harm the caller (its own cgroup, a root)
    kPermission,   // EACCES or EPERM
    kUnsupported,  // this kernel, or this cgroup's type, cannot
};

struct Error {
    ErrorKind kind = ErrorKind::kSystem;
    int sys_errno = 0;   // positive, 0 where no system call failed
    std::string message; // a full sentence without the target's name and without a full stop

    // Wraps errno's value at a failed system call; chooses the kind by it.
    // `what` says what was tried ("write cgroup.freeze").
    static Error from_errno(int errno_value, const std::string &what);
};

// A value or an Error. A subset of std::expected, which the compilers of Debian 12 lack; every
// recoverable failure of the library is returned this way and must be looked at.
template <typename T> class [[nodiscard]] Result
{
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const { return state_.index() == 0; }

    T &operator*() & { return std::get<0>(state_); }
    const T &operator*() const & { return std::get<0>(state_); }
    T &&operator*() && { return std::get<0>(std::move(state_)); }
    T *operator->() { return &std::get<0>(state_); }
    const T *operator->() const { return &std::get<0>(state_); }

    Error &error() & { return std::get<1>(state_); }
    const Error &error() const & { return std::get<1>(state_); }
    Error &&error() && { return std::get<1>(std::move(state_)); }

  private:
    std::variant<T, Error> state_;
};

template <> class [[nodiscard]] Result<void>
{
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    explicit operator bool() const { return !error_; }

    Error &error() & { return *error_; }
    const Error &error() const & { return *error_; }
    Error &&error() && { return *std::move(error_); }

  private:
    std::optional<Error> error_;
};

using Status = Result<void>;

} // namespace freezer

#endif
