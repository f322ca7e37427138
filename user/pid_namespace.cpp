// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/pid_namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <vector>

#include "user/files.h"

namespace freezer
{
namespace
{

// Its ids from this process's namespace down to its own.
std::vector<int> ids_of(const std::string &directory)
{
    std::vector<int> ids;
    const std::string status = read_text(directory + "/status");
    for (const std::string_view line : split_lines(status)) {
        if (!line.starts_with("NSpid:"))
            continue;
        for (const std::string_view word : split_words(line.substr(6)))
            ids.push_back(static_cast<int>(parse_number(word).value_or(0)));
    }
    return ids;
}

std::string proc_directory(int tid)
{
    return "/proc/" + std::to_string(tid);
}

std::vector<std::string> numbers_in(const std::string &directory)
{
    std::vector<std::string> numbers;
    auto fd = open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    if (!fd)
        return numbers;
    auto names = list_directories_at(fd->get());
    if (!names)
        return numbers;
    std::erase_if(*names, [](const std::string &name) { return !parse_number(name); });
    return std::move(*names);
}

} // namespace

Result<PidNamespace> PidNamespace::of(int tid)
{
    struct stat theirs {
    };
    struct stat ours {
    };
    const std::string directory = proc_directory(tid);
    if (::stat((directory + "/ns/pid").c_str(), &theirs) != 0 ||
        ::stat("/proc/self/ns/pid", &ours) != 0)
        return Error::from_errno(errno, "find the pid namespace of " + std::to_string(tid));
    PidNamespace found;
    found.own_ = theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
    found.device_ = theirs.st_dev;
    found.inode_ = theirs.st_ino;
    const auto ids = ids_of(directory);
    if (ids.empty())
        return Error::from_errno(ESRCH, "find the ids of " + std::to_string(tid));
    found.level_ = ids.size() - 1;
    return found;
}

std::optional<int> PidNamespace::to_own(int id) const
{
    if (own_)
        return id;
    // Processes first: that is what is asked for nearly always.
    const auto processes = numbers_in("/proc");
    for (const std::string &process : processes) {
        const int tid = static_cast<int>(parse_number(process).value_or(0));
        if (from_own(tid) == id)
            return tid;
    }
    for (const std::string &process : processes) {
        for (const std::string &thread : numbers_in("/proc/" + process + "/task")) {
            const int tid = static_cast<int>(parse_number(thread).value_or(0));
            if (thread != process && from_own(tid) == id)
                return tid;
        }
    }
    return std::nullopt;
}

std::optional<int> PidNamespace::from_own(int tid) const
{
    if (own_)
        return tid;
    const std::string directory = proc_directory(tid);
    const auto ids = ids_of(directory);
    if (ids.size() <= level_)
        return std::nullopt;
    // At that depth, but in that very namespace?
    auto space = open_at(AT_FDCWD, directory + "/ns/pid", O_RDONLY);
    for (size_t steps = ids.size() - 1 - level_; space && steps > 0; --steps)
        space = UniqueFd(::ioctl(space->get(), NS_GET_PARENT));
    struct stat st {
    };
    if (!space || ::fstat(space->get(), &st) != 0 || st.st_ino != inode_ || st.st_dev != device_)
        return std::nullopt;
    return ids[level_];
}

} // namespace freezer
