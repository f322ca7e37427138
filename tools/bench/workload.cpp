// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/bench/workload.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string_view>
#include <system_error>

#include "user/files.h"
#include "user/mounts.h"
#include "user/resolve.h"

namespace bench
{
namespace
{

constexpr const char *kCgroups = "/sys/fs/cgroup";
constexpr size_t kThreadsEach = 1000; // of a process
constexpr size_t kThreadStack = 32768;
constexpr size_t kOtherTasks = 2000; // that the machine has besides

[[noreturn]] void fail(const std::string &what)
{
    throw Failure(what + ": " + std::generic_category().message(errno));
}

// The pids.max files above this process's tasks, of the v1 controller or of v2: those born into a
// v2 scratch cgroup are in the v1 one of their parent.
std::vector<std::string> pids_limits()
{
    const std::string membership = freezer::read_text("/proc/self/cgroup");
    std::vector<std::string> out;
    const std::string mountinfo = freezer::read_text("/proc/self/mountinfo");
    for (const freezer::MountEntry &mount : freezer::parse_mounts(mountinfo)) {
        std::optional<std::uint32_t> hierarchy;
        if (mount.type == "cgroup2")
            hierarchy = 0;
        else if (mount.type == "cgroup" && freezer::has_word(mount.options, "pids"))
            hierarchy = freezer::parse_v1_hierarchy(membership, "pids");
        if (!hierarchy)
            continue;
        auto path = freezer::parse_proc_cgroup(membership, *hierarchy);
        while (path && *path != "/" && !path->empty()) {
            out.push_back(mount.point + *path + "/pids.max");
            path->resize(path->rfind('/'));
        }
    }
    return out;
}

void *sleep_in_thread(void *)
{
    test::sleep_for_ever();
}

// In a child: becomes so many threads, as far as that is allowed, and says how many and that it is
// done.
[[noreturn]] void become_threads(size_t threads, std::atomic<std::uint64_t> &count,
                                 std::atomic<std::uint64_t> &done)
{
    pthread_attr_t small;
    ::pthread_attr_init(&small);
    ::pthread_attr_setstacksize(&small, std::max<size_t>(PTHREAD_STACK_MIN, kThreadStack));
    std::uint64_t made = 1;
    for (pthread_t thread{}; made < threads; ++made) {
        if (::pthread_create(&thread, &small, sleep_in_thread, nullptr) != 0)
            break;
    }
    count += made;
    ++done;
    test::sleep_for_ever();
}

freezer::UniqueFd open_events(const std::string &directory)
{
    return need(freezer::open_at(AT_FDCWD, directory + "/cgroup.events", O_RDONLY));
}

} // namespace

bool has_room_for(size_t descriptors)
{
    constexpr size_t kOthers = 100;
    return descriptors + kOthers <= freezer::file_limit();
}

bool says(int fd, const char *words)
{
    std::array<char, 256> text{};
    const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
    return n > 0 && std::string_view(text.data(), static_cast<size_t>(n)).find(words) !=
                        std::string_view::npos;
}

void enter_private_view()
{
    if (!test::enter_private_mounts())
        fail("make a mount namespace");
    // Refused where the kernel has no BPF: then nothing will be attached.
    (void)::mount("bpf", "/sys/fs/bpf", "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700");
    struct statfs there {
    };
    if (::statfs(kCgroups, &there) == 0 && there.f_type == CGROUP2_SUPER_MAGIC)
        return;
    const auto mounts = need(freezer::read_cgroup_mounts());
    const auto *const v2 = freezer::find_mount(mounts, freezer::Hierarchy::kV2);
    if (!v2)
        throw Failure("no cgroup2 is mounted");
    // The mount that is there, and not a new one: that would set the hierarchy's options anew.
    if (::mount(v2->mount_point.c_str(), kCgroups, nullptr, MS_BIND, nullptr) != 0)
        fail("mount cgroup2 on " + std::string(kCgroups));
}

RaisedLimits::RaisedLimits(size_t tasks)
{
    const std::string value = std::to_string(tasks + kOtherTasks);
    raise("/proc/sys/kernel/pid_max", value);
    raise("/proc/sys/kernel/threads-max", value);
    for (const std::string &file : pids_limits())
        raise(file, "max");
}

void RaisedLimits::raise(const std::string &file, const std::string &value)
{
    std::string before = freezer::read_text(file);
    if (before.empty())
        return;
    const auto number = freezer::parse_number(before);
    const auto wanted = freezer::parse_number(value);
    const bool enough = number ? wanted && *number >= *wanted : true; // "max"
    // Refused: then as many tasks as fit.
    if (!enough && test::write_file(file, value))
        saved_.push_back({file, std::move(before)});
}

RaisedLimits::~RaisedLimits()
{
    for (const Saved &saved : saved_)
        test::write_file(saved.file, saved.value);
}

Workload::Workload(const Filler &fill)
{
    const Filled filled = fill(scratch_);
    tasks_ = filled.tasks;
    open_files(filled.cgroups);
}

Workload::Workload(size_t tasks, const RuntimeProgram &runtime, TaskKind kind) : tasks_(tasks)
{
    container_.emplace(runtime, scratch_.path("box"), tasks, kind);
    open_files({"box"});
}

Workload::~Workload()
{
    // Not every runtime deletes what is frozen.
    request(false);
}

void Workload::open_files(const std::vector<std::string> &below)
{
    // The contestants need the most of them.
    const bool hold = has_room_for(6 * below.size());
    for (const std::string &name : below) {
        paths_.push_back(name.empty() ? scratch_.path() : scratch_.path(name));
        directories_.push_back(scratch_.dir(name));
        if (hold)
            events_.push_back(open_events(directories_.back()));
    }
}

bool Workload::all_frozen() const
{
    const auto is_frozen = [](const freezer::UniqueFd &fd) { return says(fd.get(), "frozen 1"); };
    if (!events_.empty())
        return std::all_of(events_.begin(), events_.end(), is_frozen);
    return std::all_of(directories_.begin(), directories_.end(), [&](const std::string &directory) {
        return is_frozen(open_events(directory));
    });
}

bool Workload::gone() const
{
    return std::none_of(directories_.begin(), directories_.end(), [](const std::string &directory) {
        return ::access(directory.c_str(), F_OK) == 0;
    });
}

void Workload::request(bool frozen) const
{
    for (const std::string &directory : directories_)
        test::write_file(directory + "/cgroup.freeze", frozen ? "1" : "0");
}

std::unique_ptr<Workload> make_threads(size_t tasks)
{
    return std::make_unique<Workload>([tasks](test::Scratch &scratch) {
        test::Counters counters(2); // threads that are there; processes that have made theirs
        std::uint64_t processes = 0;
        for (size_t left = tasks; left > 0;) {
            const size_t threads = std::min(left, kThreadsEach);
            try {
                scratch.spawn([&] { become_threads(threads, counters[0], counters[1]); });
            } catch (const std::system_error &) {
                break; // the machine is full
            }
            left -= threads;
            ++processes;
        }
        test::eventually([&] {
            check_interrupt();
            return counters[1] == processes;
        });
        return Workload::Filled{counters[0], {""}};
    });
}

std::unique_ptr<Workload> make_processes(size_t tasks, TaskKind kind)
{
    return std::make_unique<Workload>([&](test::Scratch &scratch) {
        for (size_t i = 0; i < tasks; ++i) {
            if (kind == TaskKind::kSleeps)
                scratch.spawn_sleeper();
            else
                scratch.spawn([] {
                    for (volatile unsigned long n = 0;;)
                        n = n + 1;
                });
        }
        return Workload::Filled{tasks, {""}};
    });
}

std::unique_ptr<Workload> make_cgroups(size_t cgroups)
{
    return std::make_unique<Workload>([cgroups](test::Scratch &scratch) {
        Workload::Filled filled{cgroups, {}};
        for (size_t i = 0; i < cgroups; ++i) {
            filled.cgroups.push_back("c" + std::to_string(i));
            scratch.mkdir(filled.cgroups.back());
            scratch.spawn_sleeper(filled.cgroups.back());
        }
        return filled;
    });
}

std::unique_ptr<Workload> make_chain(size_t cgroups, size_t tasks)
{
    return std::make_unique<Workload>([&](test::Scratch &scratch) {
        std::string lowest; // the scratch cgroup itself is the first
        for (size_t i = 1; i < cgroups; ++i)
            lowest += lowest.empty() ? "c" : "/c";
        if (!lowest.empty())
            scratch.mkdir(lowest);
        for (size_t i = 0; i < tasks; ++i)
            scratch.spawn_sleeper(lowest);
        return Workload::Filled{tasks, {""}};
    });
}

} // namespace bench
