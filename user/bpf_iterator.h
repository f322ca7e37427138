// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_BPF_ITERATOR_H
#define FREEZERCTL_USER_BPF_ITERATOR_H

#include <cstring>
#include <functional>
#include <span>
#include <string>

#include "user/result.h"

namespace freezer
{

// Runs the BPF iterator of that link once, to its end. `take` gets what was read and not yet taken,
// and says how many bytes of it it took: what one task wrote may come in two pieces. `name` is for
// messages: "task iterator".
Status run_iterator(int link_fd, const std::string &name,
                    const std::function<size_t(std::span<const char>)> &take);

// The same for an iterator that writes rows of one kind.
template <typename Row, typename Function>
Status for_each_row(int link_fd, const std::string &name, Function function)
{
    return run_iterator(link_fd, name, [&](std::span<const char> bytes) {
        size_t at = 0;
        for (; bytes.size() - at >= sizeof(Row); at += sizeof(Row)) {
            Row row;
            std::memcpy(&row, bytes.data() + at, sizeof(row));
            function(row);
        }
        return at;
    });
}

} // namespace freezer

#endif
