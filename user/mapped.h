// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_MAPPED_H
#define FREEZERCTL_USER_MAPPED_H

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>

#include "user/result.h"

namespace freezer
{

// The elements of a BPF array (BPF_F_MMAPABLE) in this process's memory, shared with the kernel.
template <typename T> class Mapped
{
  public:
    Mapped() = default;
    Mapped(Mapped &&other) noexcept
        : elements_(std::exchange(other.elements_, nullptr)), bytes_(other.bytes_)
    {
    }
    Mapped &operator=(Mapped &&other) noexcept
    {
        std::swap(elements_, other.elements_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    Mapped(const Mapped &) = delete;
    Mapped &operator=(const Mapped &) = delete;
    ~Mapped()
    {
        if (elements_)
            ::munmap(elements_, bytes_);
    }

    // From the element `first` on, which must begin a page: the kernel enters every page of what is
    // mapped at once. The descriptor may be closed afterwards.
    static Result<Mapped> map(int map_fd, size_t count, const std::string &name, size_t first = 0)
    {
        Mapped mapped;
        mapped.bytes_ = count * sizeof(T);
        void *const memory = ::mmap(nullptr, mapped.bytes_, PROT_READ | PROT_WRITE, MAP_SHARED,
                                    map_fd, static_cast<off_t>(first * sizeof(T)));
        if (memory == MAP_FAILED)
            return Error::from_errno(errno, "map the BPF " + name);
        mapped.elements_ = static_cast<T *>(memory);
        return mapped;
    }

    T &operator[](size_t i) const { return elements_[i]; }
    T *operator->() const { return elements_; }

  private:
    T *elements_ = nullptr;
    size_t bytes_ = 0;
};

} // namespace freezer

#endif
