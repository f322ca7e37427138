// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// One run of a verb: the library opened, the targets found, what went wrong said and counted.
#ifndef FREEZERCTL_TOOLS_SESSION_H
#define FREEZERCTL_TOOLS_SESSION_H

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/freezerctl/exit_code.h"
#include "tools/freezerctl/output.h"
#include "user/freezer.h"
#include "user/result.h"
#include "user/unique_fd.h"

namespace freezerctl
{

// What a target's words are.
enum class TargetType { kAny, kPath, kUnit, kContainer, kPod };

// Which cgroups are meant.
struct TargetArguments {
    std::vector<std::string> cgroups;
    std::vector<int> pids;
    TargetType type = TargetType::kAny;
    bool force = false; // also what the machine or the user's session depends on
    freezer::HierarchyChoice hierarchy = freezer::HierarchyChoice::kAny;

    [[nodiscard]] bool empty() const { return cgroups.empty() && pids.empty(); }
};

struct CommonArguments {
    bool json = false;
    bool no_bpf = false;
};

class Session
{
  public:
    // The verb's name and whether it speaks JSON, for what refuse() prints.
    Session(std::string verb, bool json) : verb_(std::move(verb)), json_(json) {}
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;
    // Leaves the targets and the tracker open: the process ends with the verb, and the kernel puts
    // its descriptors and mappings away in less time than as many system calls take. Every
    // operation has taken back what it told the tracker; what a killed one has not, the next client
    // does (Tracker::open_pinned()).
    ~Session()
    {
        (void)targets_.release();
        (void)freezer_.release();
    }

    // False, and said, when it cannot be had.
    bool open(const freezer::Config &config);
    // Opens and checks all of them: nothing is to be written before every one is known to be good.
    // `harmful`: refuses those whose freeze or kill would hit the caller or the machine.
    bool find_targets(const TargetArguments &arguments, bool harmful);
    // Where print() and refuse() write what is for stdout otherwise: to stderr; to a file, made or
    // emptied; false, and said, when that cannot be.
    void print_to_stderr();
    bool open_output(const std::string &path);
    // What cannot be written is said, and counted as a failure; of stdout, which keeps what it is
    // given, by flush() or when the process ends.
    void print(const std::string &text);
    // What was printed is with its reader, who need not wait for what there is to put away.
    void flush();
    // Says why a target (or the whole command) cannot be served.
    void refuse(const std::string &target, const freezer::Error &error);
    void count(ExitCode code) { code_ = worse(code_, code); }

    [[nodiscard]] freezer::Freezer &freezer() { return *freezer_; }
    [[nodiscard]] std::vector<freezer::Target> &targets() { return *targets_; }
    [[nodiscard]] ExitCode code() const { return code_; }

  private:
    [[nodiscard]] Output &output() { return other_output_ ? *other_output_ : standard_output(); }
    void count_unless(bool printed);
    freezer::Result<std::unique_ptr<freezer::Cgroup>> find(const std::string &text,
                                                           const TargetArguments &arguments) const;

    std::string verb_;
    bool json_;
    freezer::UniqueFd file_;
    std::optional<Output> other_output_;
    std::unique_ptr<freezer::Freezer> freezer_;
    std::unique_ptr<std::vector<freezer::Target>> targets_ =
        std::make_unique<std::vector<freezer::Target>>();
    ExitCode code_ = kReached;
};

} // namespace freezerctl

#endif
