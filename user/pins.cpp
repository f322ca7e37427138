// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/pins.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

#include "bpf/abi.h"
#include "user/files.h"

namespace freezer
{
namespace
{

Status pin_at(const std::string &path, int fd)
{
    if (const int rc = bpf_obj_pin(fd, path.c_str()); rc != 0)
        return Error::from_errno(-rc, "pin " + path);
    return {};
}

Result<UniqueFd> open_pin(const std::string &path)
{
    const int fd = bpf_obj_get(path.c_str());
    if (fd < 0)
        return Error::from_errno(-fd, "open " + path);
    return UniqueFd(fd);
}

} // namespace

std::string TrackerPins::client_directory(std::uint32_t client) const
{
    return directory_ + "/clients/" + std::to_string(client);
}

Status TrackerPins::make() const
{
    std::vector<std::string> directories{directory_, directory_ + "/links",
                                         directory_ + "/clients"};
    for (std::uint32_t client = 0; client < FZ_CLIENTS_MAX; ++client)
        directories.push_back(client_directory(client));
    for (const std::string &path : directories) {
        if (::mkdir(path.c_str(), 0700) != 0)
            return Error::from_errno(errno, "make " + path);
    }
    return {};
}

Status TrackerPins::pin(const std::string &name, int fd) const
{
    return pin_at(directory_ + "/" + name, fd);
}

Status TrackerPins::pin_link(const std::string &program, int fd) const
{
    return pin_at(directory_ + "/links/" + program, fd);
}

Status TrackerPins::pin_ring(std::uint32_t client, int fd) const
{
    return pin_at(client_directory(client) + "/ring", fd);
}

Result<PinnedTracker> TrackerPins::open() const
{
    PinnedTracker tracker;
    auto lock = open_at(AT_FDCWD, directory_, O_RDONLY | O_DIRECTORY);
    if (!lock)
        return std::move(lock).error();
    tracker.lock = std::move(*lock);
    // Maps of somebody else may say anything.
    struct stat st {
    };
    if (::fstat(tracker.lock.get(), &st) != 0 || st.st_uid != ::geteuid())
        return Error{ErrorKind::kPermission, EPERM, directory_ + " belongs to another user"};
    if (auto claimed = claim_client(tracker); !claimed)
        return std::move(claimed).error();
    const std::pair<const char *, UniqueFd *> objects[] = {
        {kConfig, &tracker.config},     {kIndex, &tracker.index}, {kTargets, &tracker.targets},
        {kStats, &tracker.stats},       {kDrops, &tracker.drops}, {kExits, &tracker.exits},
        {kIterator, &tracker.iterator},
    };
    for (const auto &[name, fd] : objects) {
        auto opened = open_pin(directory_ + "/" + name);
        if (!opened)
            return std::move(opened).error();
        *fd = std::move(*opened);
    }
    auto records = open_pin(directory_ + "/" + kRecordsInStorage);
    tracker.records_in_storage = static_cast<bool>(records);
    if (!records)
        records = open_pin(directory_ + "/" + kRecords);
    if (!records)
        return std::move(records).error();
    tracker.records = std::move(*records);
    if (auto opened = open_links(tracker); !opened)
        return std::move(opened).error();
    return tracker;
}

Status TrackerPins::claim_client(PinnedTracker &tracker) const
{
    for (std::uint32_t client = 0; client < FZ_CLIENTS_MAX; ++client) {
        auto directory = open_at(AT_FDCWD, client_directory(client), O_RDONLY | O_DIRECTORY);
        if (!directory)
            return std::move(directory).error();
        if (::flock(directory->get(), LOCK_EX | LOCK_NB) != 0)
            continue; // in use
        auto ring = open_pin(client_directory(client) + "/ring");
        if (!ring)
            return std::move(ring).error();
        tracker.client = client;
        tracker.client_lock = std::move(*directory);
        tracker.ring = std::move(*ring);
        return {};
    }
    return Error::from_errno(EBUSY, "find a free place at the attached tracker");
}

Status TrackerPins::open_links(PinnedTracker &tracker) const
{
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator(directory_ + "/links", error)) {
        auto link = open_pin(entry.path());
        if (!link)
            return std::move(link).error();
        tracker.links.push_back(std::move(*link));
    }
    if (error)
        return Error::from_errno(error.value(), "list " + directory_ + "/links");
    return {};
}

} // namespace freezer
