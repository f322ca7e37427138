// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/symbols.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>

#include "user/files.h"

namespace freezer
{

Result<KernelSymbols> KernelSymbols::load(const std::string &path)
{
    auto text = read_file_at(AT_FDCWD, path);
    if (!text)
        return std::move(text).error();
    return parse(std::move(*text));
}

Result<KernelSymbols> KernelSymbols::parse(std::string text)
{
    KernelSymbols out;
    out.text_ = std::move(text);
    const char *const begin = out.text_.data();
    const char *const end = begin + out.text_.size();
    bool told = false;
    for (const char *line = begin; line < end;) {
        const char *stop = std::find(line, end, '\n');
        // "ffffffff81000000 T _stext" and, of a module, "\t[name]" behind it.
        std::uint64_t address = 0;
        const auto [after, error] = std::from_chars(line, stop, address, 16);
        if (error == std::errc() && stop - after > 3) {
            const char type = after[1];
            const char *const name = after + 3;
            const char *const name_end = std::find(name, stop, '\t');
            told |= address != 0;
            if (type == 't' || type == 'T' || type == 'w' || type == 'W')
                out.symbols_.push_back({address, static_cast<std::uint32_t>(name - begin),
                                        static_cast<std::uint32_t>(name_end - name)});
        }
        line = stop + 1;
    }
    if (!told)
        return Error{ErrorKind::kPermission, 0,
                     "the kernel hides its addresses (kernel.kptr_restrict, or CAP_SYSLOG is "
                     "missing)"};
    // The kernel's own are sorted, those of modules and BPF programs are not.
    std::stable_sort(out.symbols_.begin(), out.symbols_.end(),
                     [](const Symbol &a, const Symbol &b) { return a.address < b.address; });
    return out;
}

std::string_view KernelSymbols::name_of(std::uint64_t address) const
{
    auto it = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                               [](std::uint64_t a, const Symbol &s) { return a < s.address; });
    if (it == symbols_.begin())
        return {};
    --it;
    // No function is that large: the address lies beyond the last one of its kind.
    if (address - it->address > 1U << 20)
        return {};
    // Several names of one address: the first, as the kernel prints it.
    while (it != symbols_.begin() && std::prev(it)->address == it->address)
        --it;
    const std::string_view name = std::string_view(text_).substr(it->offset, it->length);
    return name.substr(0, name.find('.'));
}

} // namespace freezer
