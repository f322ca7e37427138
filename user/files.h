// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Whole small files, relative to a directory descriptor. Errors name the file.
#ifndef FREEZERCTL_USER_FILES_H
#define FREEZERCTL_USER_FILES_H

#include <concepts>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "user/result.h"
#include "user/unique_fd.h"

namespace freezer
{

// O_CLOEXEC is added. `dir_fd` may be AT_FDCWD.
Result<UniqueFd> open_at(int dir_fd, const std::string &name, int flags);

// A directory below `dir_fd`, by a path such as "a/b": neither a symbolic link nor ".." nor another
// mount leads elsewhere (openat2(2), since 5.6).
Result<UniqueFd> open_directory_beneath(int dir_fd, const std::string &relative);

// The whole content from offset 0, whatever the descriptor's position. On a kernfs file this also
// takes back the POLLPRI that a notification left.
Result<std::string> read_all(int fd, const std::string &name);
Result<std::string> read_file_at(int dir_fd, const std::string &name);
// The same of a file that the kernel makes as one record: a control file whose cftype has
// seq_show() and no seq_start() (kernel/cgroup/cgroup.c), a file of ONE() in fs/proc/base.c. A read
// that comes back short has its end, so no other has to find it.
Result<std::string> read_record(int fd, const std::string &name);
Result<std::string> read_record_at(int dir_fd, const std::string &name);

// The whole content, "" when it cannot be read.
std::string read_text(const std::string &path);

// Where a symbolic link leads, "" when that cannot be told. Links of /proc included.
std::string link_target(const std::string &path);

// One write, as control files want it; of `name`, for errors.
Status write_file(int fd, const std::string &name, std::string_view content);
Status write_file_at(int dir_fd, const std::string &name, std::string_view content);

// How many descriptors this process may have (RLIMIT_NOFILE), and lets it have as many as it may.
// The latter is for programs: the library itself leaves the limit alone.
std::uint64_t file_limit();
void raise_file_limit();

// Whether a directory of kernfs has directories: it counts them in its links (kernfs_iop_getattr(),
// fs/kernfs/inode.c).
Result<bool> has_directories(int dir_fd);

// Names of the directories in a directory, without "." and "..", in the kernel's order.
Result<std::vector<std::string>> list_directories_at(int dir_fd);

// "key value" lines, as in cgroup.events and cgroup.stat. Lines of another form are passed over:
// kernels add keys.
std::map<std::string, std::uint64_t, std::less<>> parse_keyed(std::string_view text);

// The lines of `text`, without their ends and without empty ones.
std::vector<std::string_view> split_lines(std::string_view text);
// Not of a text that is gone when the loop over its lines begins.
template <std::same_as<std::string> Text>
std::vector<std::string_view> split_lines(Text &&text) = delete;

// What stands between blanks and line ends.
std::vector<std::string_view> split_words(std::string_view text);
template <std::same_as<std::string> Text>
std::vector<std::string_view> split_words(Text &&text) = delete;

// Whether the word is in a list with commas between.
bool has_word(std::string_view list, std::string_view word);

// The whole text as a decimal number, white space at its end allowed.
std::optional<std::uint64_t> parse_number(std::string_view text);

// Whether `path` is `top` or below it. Neither may be empty.
bool is_at_or_below(std::string_view path, std::string_view top);

} // namespace freezer

#endif
