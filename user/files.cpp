// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>

namespace freezer
{

Result<UniqueFd> open_at(int dir_fd, const std::string &name, int flags)
{
    UniqueFd fd(::openat(dir_fd, name.c_str(), flags | O_CLOEXEC));
    if (!fd)
        return Error::from_errno(errno, "open " + name);
    return fd;
}

Result<UniqueFd> open_directory_beneath(int dir_fd, const std::string &relative)
{
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    UniqueFd fd(
        static_cast<int>(::syscall(SYS_openat2, dir_fd, relative.c_str(), &how, sizeof(how))));
    if (!fd)
        return Error::from_errno(errno, "open " + relative);
    return fd;
}

namespace
{

template <size_t Size>
Result<std::string> read_until_end(int fd, const std::string &name, bool short_is_end)
{
    std::string content;
    std::array<char, Size> buffer;
    for (;;) {
        const ssize_t n =
            ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(content.size()));
        if (n < 0) {
            const int error = errno;
            if (error == EINTR)
                continue;
            return Error::from_errno(error, "read " + name);
        }
        content.append(buffer.data(), static_cast<size_t>(n));
        if (n == 0 || (short_is_end && static_cast<size_t>(n) < buffer.size()))
            return content;
    }
}

} // namespace

Result<std::string> read_all(int fd, const std::string &name)
{
    return read_until_end<16384>(fd, name, false);
}

Result<std::string> read_file_at(int dir_fd, const std::string &name)
{
    auto fd = open_at(dir_fd, name, O_RDONLY);
    if (!fd)
        return std::move(fd).error();
    return read_all(fd->get(), name);
}

Result<std::string> read_record(int fd, const std::string &name)
{
    return read_until_end<4096>(fd, name, true);
}

Result<std::string> read_record_at(int dir_fd, const std::string &name)
{
    auto fd = open_at(dir_fd, name, O_RDONLY);
    if (!fd)
        return std::move(fd).error();
    return read_record(fd->get(), name);
}

std::string read_text(const std::string &path)
{
    auto text = read_file_at(AT_FDCWD, path);
    return text ? std::move(*text) : std::string();
}

std::string link_target(const std::string &path)
{
    std::array<char, PATH_MAX> buffer{};
    const ssize_t n = ::readlink(path.c_str(), buffer.data(), buffer.size());
    return n > 0 ? std::string(buffer.data(), static_cast<size_t>(n)) : std::string();
}

Status write_file(int fd, const std::string &name, std::string_view content)
{
    ssize_t n;
    do {
        n = ::pwrite(fd, content.data(), content.size(), 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return Error::from_errno(errno, "write " + name);
    return {};
}

Status write_file_at(int dir_fd, const std::string &name, std::string_view content)
{
    auto fd = open_at(dir_fd, name, O_WRONLY);
    if (!fd)
        return std::move(fd).error();
    return write_file(fd->get(), name, content);
}

Result<bool> has_directories(int dir_fd)
{
    struct stat st {
    };
    if (::fstat(dir_fd, &st) != 0)
        return Error::from_errno(errno, "stat");
    return st.st_nlink > 2;
}

std::uint64_t file_limit()
{
    rlimit files{};
    return ::getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : 0;
}

void raise_file_limit()
{
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)::setrlimit(RLIMIT_NOFILE, &files);
    }
}

Result<std::vector<std::string>> list_directories_at(int dir_fd)
{
    auto fd = open_at(dir_fd, ".", O_RDONLY | O_DIRECTORY);
    if (!fd)
        return std::move(fd).error();
    // Not opendir(3): a walk lists hundreds, and that takes twice as many system calls for each.
    std::vector<std::string> names;
    alignas(dirent64) std::array<char, 8192> buffer;
    for (;;) {
        const ssize_t n = ::getdents64(fd->get(), buffer.data(), buffer.size());
        if (n < 0)
            return Error::from_errno(errno, "read directory");
        if (n == 0)
            return names;
        for (ssize_t at = 0; at < n;) {
            const auto *const entry = reinterpret_cast<const dirent64 *>(buffer.data() + at);
            const std::string_view name = entry->d_name;
            if (entry->d_type == DT_DIR && name != "." && name != "..")
                names.emplace_back(name);
            at += entry->d_reclen;
        }
    }
}

std::map<std::string, std::uint64_t, std::less<>> parse_keyed(std::string_view text)
{
    std::map<std::string, std::uint64_t, std::less<>> values;
    for (const std::string_view line : split_lines(text)) {
        const size_t space = line.find(' ');
        if (space == std::string_view::npos)
            continue;
        if (const auto value = parse_number(line.substr(space + 1)))
            values.emplace(line.substr(0, space), *value);
    }
    return values;
}

std::vector<std::string_view> split_lines(std::string_view text)
{
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        if (!line.empty())
            lines.push_back(line);
        if (end == std::string_view::npos)
            break;
        text.remove_prefix(end + 1);
    }
    return lines;
}

std::vector<std::string_view> split_words(std::string_view text)
{
    std::vector<std::string_view> words;
    for (;;) {
        const size_t begin = text.find_first_not_of(" \t\n");
        if (begin == std::string_view::npos)
            return words;
        const size_t end = std::min(text.find_first_of(" \t\n", begin), text.size());
        words.push_back(text.substr(begin, end - begin));
        text.remove_prefix(end);
    }
}

bool has_word(std::string_view list, std::string_view word)
{
    while (!list.empty()) {
        const size_t comma = list.find(',');
        if (list.substr(0, comma) == word)
            return true;
        if (comma == std::string_view::npos)
            return false;
        list.remove_prefix(comma + 1);
    }
    return false;
}

std::optional<std::uint64_t> parse_number(std::string_view text)
{
    while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
        text.remove_suffix(1);
    std::uint64_t value = 0;
    const char *const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end)
        return std::nullopt;
    return value;
}

bool is_at_or_below(std::string_view path, std::string_view top)
{
    if (top == "/")
        return true;
    return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

} // namespace freezer
