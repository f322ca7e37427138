// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The words of freezer.state, of 2008 and of the v1 freezer.
#ifndef FREEZERCTL_USER_FREEZER_WORDS_H
#define FREEZERCTL_USER_FREEZER_WORDS_H

#include <string_view>

#include "user/cgroup.h"
#include "user/result.h"

namespace freezer
{

// What a cgroup that is not to freeze is called: RUNNING by the patchset of 2008 and the kernel's
// first version of it (dc52ddc0e6f4), THAWED soon after.
enum class Words { k2008, kV1 };

// "RUNNING" or "THAWED", "FREEZING", "FROZEN"; static storage. The file does not tell an ancestor's
// request from the cgroup's own.
const char *word_of(State state, Words words);

// What a write asks for: true, a freeze ("FROZEN"); false, a thaw ("RUNNING", "THAWED"). White
// space around the word does not count. Everything else is kInvalid, FREEZING and lower case too.
Result<bool> parse_freezer_word(std::string_view text);

// Without the white space at both ends, as the kernel's control files take what is written.
std::string_view strip(std::string_view text);

} // namespace freezer

#endif
