// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/freezer_words.h"

#include <string>

namespace freezer
{

const char *word_of(State state, Words words)
{
    switch (state) {
    case State::kThawed:
        return words == Words::k2008 ? "RUNNING" : "THAWED";
    case State::kFreezing:
    case State::kFreezingByParent:
        return "FREEZING";
    case State::kFrozen:
    case State::kFrozenByParent:
        return "FROZEN";
    }
    return "";
}

Result<bool> parse_freezer_word(std::string_view text)
{
    const std::string_view word = strip(text);
    if (word == "FROZEN")
        return true;
    if (word == "RUNNING" || word == "THAWED")
        return false;
    return Error{ErrorKind::kInvalid, 0,
                 "'" + std::string(word) +
                     "' cannot be set: write FROZEN, THAWED or RUNNING (the old word for THAWED), "
                     "in capitals"};
}

std::string_view strip(std::string_view text)
{
    constexpr std::string_view kBlanks = " \t\n\v\f\r";
    const size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos)
        return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

} // namespace freezer
