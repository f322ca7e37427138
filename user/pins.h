// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_PINS_H
#define FREEZERCTL_USER_PINS_H

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "user/result.h"
#include "user/unique_fd.h"

namespace freezer
{

// A shared tracker that was opened from its pins, by one of the clients that can use it at a time.
struct PinnedTracker {
    UniqueFd lock;        // the directory; locked (flock(2)) while the levels change
    UniqueFd client_lock; // the client's; locked for as long as this lives
    std::uint32_t client = 0;
    UniqueFd config;
    UniqueFd index;
    UniqueFd targets;
    UniqueFd stats;
    UniqueFd drops;
    UniqueFd records;
    bool records_in_storage = false;
    UniqueFd exits;              // the program at deaths
    UniqueFd iterator;           // the link of the task iterator
    UniqueFd ring;               // the client's
    std::vector<UniqueFd> links; // so that the programs stay when the pins are removed meanwhile
};

// A directory in bpffs and what is pinned where in it:
//
//     config index targets stats drops storage|records exits tasks
//     links/PROGRAM  clients/N/ring
class TrackerPins
{
  public:
    static constexpr const char *kConfig = "config";
    static constexpr const char *kIndex = "index";
    static constexpr const char *kTargets = "targets";
    static constexpr const char *kStats = "stats";
    static constexpr const char *kDrops = "drops";
    static constexpr const char *kRecordsInStorage = "storage";
    static constexpr const char *kRecords = "records";
    static constexpr const char *kExits = "exits";
    static constexpr const char *kIterator = "tasks";

    explicit TrackerPins(std::string directory) : directory_(std::move(directory)) {}

    // Makes the directories. They are for their owner alone.
    [[nodiscard]] Status make() const;
    [[nodiscard]] Status pin(const std::string &name, int fd) const;
    [[nodiscard]] Status pin_link(const std::string &program, int fd) const;
    [[nodiscard]] Status pin_ring(std::uint32_t client, int fd) const;
    // Claims the first client that nobody uses. EBUSY: all are in use.
    [[nodiscard]] Result<PinnedTracker> open() const;

  private:
    [[nodiscard]] std::string client_directory(std::uint32_t client) const;
    [[nodiscard]] Status claim_client(PinnedTracker &tracker) const;
    [[nodiscard]] Status open_links(PinnedTracker &tracker) const;

    std::string directory_;
};

} // namespace freezer

#endif
