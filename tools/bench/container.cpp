// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/bench/container.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include <nlohmann/json.hpp>

#include "tests/support/scratch.h"

namespace bench
{
namespace
{

using nlohmann::json;

// Makes so many tasks, the shell itself among them, out of one.
std::string script(size_t tasks, TaskKind kind)
{
    const bool spins = kind == TaskKind::kSpins;
    const std::string child = spins ? "(while :; do :; done)" : "/bin/busybox sleep 1000000";
    return "i=1; while [ $i -lt " + std::to_string(tasks) + " ]; do " + child +
           " & i=$((i+1)); done; " + (spins ? "while :; do :; done" : "exec " + child);
}

// Own process and mount namespaces, as every container has them; no others, which would only make
// it harder to run one.
json configuration(const std::string &cgroup, const std::string &shell_script)
{
    return {
        {"ociVersion", "1.0.0"},
        {"process",
         {{"user", {{"uid", 0}, {"gid", 0}}},
          {"args", {"/bin/busybox", "sh", "-c", shell_script}},
          {"env", {"PATH=/bin"}},
          {"cwd", "/"}}},
        {"root", {{"path", "rootfs"}}},
        {"mounts", json::array({{{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}}})},
        {"linux",
         {{"cgroupsPath", cgroup},
          {"namespaces", json::array({{{"type", "pid"}}, {{"type", "mount"}}})}}}};
}

size_t count_tasks(const std::string &cgroup)
{
    const std::string text = test::read_file(test::cgroup2_mount() + cgroup + "/cgroup.threads");
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

} // namespace

Container::Container(const RuntimeProgram &runtime, const std::string &cgroup, size_t tasks,
                     TaskKind kind)
    : runtime_(runtime)
{
    std::string name = "/tmp/freeze-bench-XXXXXX";
    if (!::mkdtemp(name.data()))
        throw std::system_error(errno, std::generic_category(), "mkdtemp");
    dir_ = name;
    id_ = dir_.filename();
    // The destructor of what was not constructed does not run.
    try {
        const auto rootfs = dir_ / "rootfs";
        for (const char *below : {"bin", "dev", "proc", "sys"})
            std::filesystem::create_directories(rootfs / below);
        std::filesystem::copy_file(runtime.busybox, rootfs / "bin/busybox");
        std::ofstream(dir_ / "config.json") << configuration(cgroup, script(tasks, kind));
        Arguments start = runtime_command();
        start.insert(start.end(), {"run", "--detach", "--bundle", dir_.string(), id_});
        run_well(start);
        if (!test::eventually([&] {
                check_interrupt();
                return count_tasks(cgroup) == tasks;
            }))
            throw Failure("the tasks of a container of " + runtime.name + " did not come");
    } catch (...) {
        remove();
        throw;
    }
}

Container::~Container()
{
    remove();
}

void Container::remove() const
{
    try {
        // Without a word when a contestant has killed it.
        (void)run(command({"delete", "--force"}));
    } catch (const Failure &) {
        // What is left of its tasks ends with the cgroup above it.
    }
    std::error_code error;
    std::filesystem::remove_all(dir_, error);
}

Arguments Container::runtime_command() const
{
    Arguments out{runtime_.path, "--root", (dir_ / "state").string()};
    // Debian's crun would ask systemd, which need not be there; runc does not.
    if (runtime_.name == "crun")
        out.emplace_back("--cgroup-manager=cgroupfs");
    return out;
}

Arguments Container::command(const Arguments &verb) const
{
    Arguments out = runtime_command();
    out.insert(out.end(), verb.begin(), verb.end());
    out.push_back(id_);
    return out;
}

} // namespace bench
