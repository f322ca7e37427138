// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_SYMBOLS_H
#define FREEZERCTL_USER_SYMBOLS_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "user/result.h"

namespace freezer
{

// The kernel's functions by address.
class KernelSymbols
{
  public:
    // Reads /proc/kallsyms (some 60 ms of the kernel's time). kPermission where the kernel hides
    // the addresses (kptr_restrict), so that no name can be told. `path` is a seam for tests.
    static Result<KernelSymbols> load(const std::string &path = "/proc/kallsyms");
    // The same of a text of that form.
    static Result<KernelSymbols> parse(std::string text);

    // The function that holds the address, without a compiler's suffix (".isra.0", ".cold"); empty:
    // unknown. Lives as long as this.
    [[nodiscard]] std::string_view name_of(std::uint64_t address) const;

  private:
    struct Symbol {
        std::uint64_t address;
        std::uint32_t offset; // of its name in text_
        std::uint32_t length;
    };
    std::string text_;
    std::vector<Symbol> symbols_; // by address
};

} // namespace freezer

#endif
