// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/doctor.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "user/bpf_errors.h"
#include "user/duration.h"
#include "user/files.h"
#include "user/freezer.h"
#include "user/mounts.h"
#include "user/task_snapshot.h"
#include "user/tracker.h"

namespace freezer
{
namespace
{

using FeatureState = Feature::State;

constexpr const char *kNoTracking = "per-task times, actors, completion without polling on v1";

struct BtfDeleter {
    void operator()(btf *types) const { btf__free(types); }
};
using KernelTypes = std::unique_ptr<btf, BtfDeleter>;

KernelTypes load_kernel_types()
{
    const LibbpfSilence silence;
    btf *const types = btf__load_vmlinux_btf();
    return KernelTypes(libbpf_get_error(types) == 0 ? types : nullptr);
}

bool has_type(const KernelTypes &types, const std::string &name, std::uint32_t kind)
{
    return types && btf__find_by_name_kind(types.get(), name.c_str(), kind) > 0;
}

bool has_enumerator(const KernelTypes &types, const char *enumeration, std::string_view name)
{
    if (!types)
        return false;
    const int id = btf__find_by_name_kind(types.get(), enumeration, BTF_KIND_ENUM);
    if (id < 0)
        return false;
    const btf_type *const type = btf__type_by_id(types.get(), static_cast<std::uint32_t>(id));
    const struct btf_enum *const values = ::btf_enum(type);
    return std::any_of(values, values + btf_vlen(type), [&](const struct btf_enum &value) {
        const char *const text = btf__name_by_offset(types.get(), value.name_off);
        return text && name == text;
    });
}

FeatureState yes_if(bool condition)
{
    return condition ? FeatureState::kYes : FeatureState::kNo;
}

bool is_file_system(const char *path, long magic)
{
    struct statfs fs {
    };
    return ::statfs(path, &fs) == 0 && static_cast<long>(fs.f_type) == magic;
}

std::uint64_t effective_capabilities()
{
    const auto status = read_file_at(AT_FDCWD, "/proc/self/status");
    if (!status)
        return 0;
    for (const std::string_view line : split_lines(*status)) {
        if (line.starts_with("CapEff:\t"))
            return std::strtoull(std::string(line.substr(8)).c_str(), nullptr, 16);
    }
    return 0;
}

// The bracketed word of a text like "none [integrity] confidentiality".
std::string chosen_word(const std::string &text)
{
    const size_t open = text.find('[');
    const size_t close = text.find(']', open);
    if (open == std::string::npos || close == std::string::npos)
        return "";
    return text.substr(open + 1, close - open - 1);
}

void look_at_mounts(Diagnosis &out)
{
    const auto mounts = read_cgroup_mounts();
    bool v1 = false;
    const CgroupMount *v2 = nullptr;
    const CgroupMount *v1_freezer = nullptr;
    if (mounts) {
        v2 = find_mount(*mounts, Hierarchy::kV2);
        v1_freezer = find_mount(*mounts, Hierarchy::kV1Freezer);
        v1 = std::any_of(mounts->begin(), mounts->end(), [](const CgroupMount &mount) {
            return mount.hierarchy != Hierarchy::kV2;
        });
    }
    out.cgroup_mode = v2 ? (v1 ? "hybrid" : "v2") : (v1 ? "v1" : "none");
    if (v2)
        out.mounts.push_back("v2 " + v2->mount_point);
    if (v1_freezer)
        out.mounts.push_back("v1 freezer " + v1_freezer->mount_point);
    out.features.push_back({"cgroup2", yes_if(v2 != nullptr), v2 ? v2->mount_point : "not mounted",
                            "everything but the v1 freezer",
                            v2 ? "" : "run 'mount -t cgroup2 none /sys/fs/cgroup'", true});

    bool listed = false;
    if (const auto table = read_file_at(AT_FDCWD, "/proc/cgroups")) {
        for (const std::string_view line : split_lines(*table))
            listed = listed || line.starts_with("freezer\t");
    }
    out.features.push_back(
        {"v1-freezer", yes_if(v1_freezer != nullptr),
         v1_freezer ? v1_freezer->mount_point : (listed ? "not mounted" : "not in this kernel"),
         "freezer.state", v1_freezer || !listed ? "" : "run 'mount -t cgroup -o freezer none DIR'",
         false});
}

// The control files, as a cgroup that was made for the look has them.
void look_at_files(Diagnosis &out, const std::string &cgroup_dir)
{
    struct File {
        const char *feature;
        const char *name;
        const char *since;
        const char *needed_by;
        bool essential;
    };
    static constexpr std::array<File, 3> kFiles{
        {{"cgroup.freeze", "cgroup.freeze", "5.2", "freeze and thaw", true},
         {"cgroup.kill", "cgroup.kill", "5.14",
          "kill in one request; without it: freeze, signal every task, thaw", false},
         {"cgroup.stat.local", "cgroup.stat.local", "6.18", "how long a cgroup was frozen in all",
          false}}};
    for (const File &file : kFiles) {
        Feature feature{file.feature, FeatureState::kUnknown, "", file.needed_by,
                        "",           file.essential};
        if (cgroup_dir.empty()) {
            feature.detail = "no cgroup could be made to look at";
        } else {
            const std::string path = cgroup_dir + "/" + file.name;
            feature.state = yes_if(::access(path.c_str(), F_OK) == 0);
            feature.detail = std::string("since ") + file.since;
        }
        out.features.push_back(std::move(feature));
    }
}

void look_at_bpf(Diagnosis &out)
{
    const KernelTypes types = load_kernel_types();
    out.features.push_back({"btf", yes_if(types != nullptr), "/sys/kernel/btf/vmlinux",
                            "everything that BPF tells",
                            types ? "" : "a kernel with CONFIG_DEBUG_INFO_BTF", false});
    for (const std::string &name : Tracker::tracepoints())
        out.features.push_back({"tracepoint:" + name,
                                yes_if(has_type(types, "btf_trace_" + name, BTF_KIND_TYPEDEF)), "",
                                kNoTracking, "", false});
    out.features.push_back({"ring-buffer",
                            yes_if(has_enumerator(types, "bpf_map_type", "BPF_MAP_TYPE_RINGBUF")),
                            "since 5.8", kNoTracking, "", false});
    out.features.push_back({"task-iterator",
                            yes_if(has_type(types, "bpf_iter__task", BTF_KIND_STRUCT)), "since 5.8",
                            "which tasks are frozen", "", false});
    out.features.push_back({"task-stack",
                            yes_if(has_enumerator(types, "bpf_func_id", "BPF_FUNC_get_task_stack")),
                            "since 5.9", "kernel stacks in one pass", "", false});

    // What is there is not what is allowed: the programs themselves decide.
    const std::uint64_t begin_ns = now_ns();
    const auto tracker = Tracker::open({});
    out.self_test.load_ns = now_ns() - begin_ns;
    out.features.push_back({"tracker", yes_if(static_cast<bool>(tracker)),
                            tracker
                                ? "loads and attaches in " + format_duration(out.self_test.load_ns)
                                : tracker.error().message,
                            kNoTracking, "", false});
    const auto snapshot = TaskSnapshot::open(1);
    out.features.push_back({"task-snapshot", yes_if(static_cast<bool>(snapshot)),
                            snapshot ? "loads" : snapshot.error().message, "which tasks are frozen",
                            "", false});
}

void look_at_rights(Diagnosis &out)
{
    struct Capability {
        const char *name;
        int number;
        const char *needed_by;
    };
    static constexpr std::array<Capability, 5> kCapabilities{
        {{"cap_bpf", CAP_BPF, "every verb, for BPF tracking"},
         {"cap_perfmon", CAP_PERFMON, "every verb, for BPF tracking"},
         {"cap_dac_override", CAP_DAC_OVERRIDE, "cgroups of other users"},
         {"cap_kill", CAP_KILL, "kill, where cgroup.kill is not to be had"},
         {"cap_sys_ptrace", CAP_SYS_PTRACE, "the stacks of other users' tasks"}}};
    const std::uint64_t held = effective_capabilities();
    const bool admin = held & (1ULL << CAP_SYS_ADMIN);
    for (const Capability &capability : kCapabilities) {
        // CAP_SYS_ADMIN includes the two that were split from it in 5.8.
        const bool split = capability.number == CAP_BPF || capability.number == CAP_PERFMON;
        const bool has = (held & (1ULL << capability.number)) || (split && admin);
        out.features.push_back(
            {capability.name, yes_if(has), has ? "held" : "missing", capability.needed_by,
             has ? "" : "run as root, or give it to the command (setcap)", false});
    }

    const auto lockdown = read_file_at(AT_FDCWD, "/sys/kernel/security/lockdown");
    Feature feature{"no-lockdown",
                    FeatureState::kUnknown,
                    "",
                    "nothing: no program here needs what lockdown refuses",
                    "",
                    false};
    if (lockdown) {
        const std::string mode = chosen_word(*lockdown);
        feature.state = yes_if(mode == "none");
        feature.detail = "lockdown is '" + mode + "'";
    } else {
        feature.detail = lockdown.error().message;
    }
    out.features.push_back(std::move(feature));

    rlimit limit{};
    (void)::getrlimit(RLIMIT_MEMLOCK, &limit);
    const bool unlimited = limit.rlim_cur == RLIM_INFINITY;
    utsname name{};
    (void)::uname(&name);
    const std::string_view release(name.release);
    const bool charged =
        release.starts_with("5.") && (release.starts_with("5.10.") || !release.starts_with("5.1"));
    out.features.push_back(
        {"memlock", yes_if(unlimited || !charged),
         unlimited ? "unlimited"
                   : std::to_string(limit.rlim_cur / 1024) + " KiB" +
                         (charged ? ""
                                  : ", which does not count: BPF memory is charged to the "
                                    "memory cgroup since 5.11"),
         "BPF maps before 5.11", unlimited || !charged ? "" : "raise it with 'ulimit -l unlimited'",
         false});
    out.features.push_back({"tracefs", yes_if(is_file_system("/sys/kernel/tracing", TRACEFS_MAGIC)),
                            "/sys/kernel/tracing", "nothing here", "", false});
    out.features.push_back({"bpffs", yes_if(is_file_system("/sys/fs/bpf", BPF_FS_MAGIC)),
                            "/sys/fs/bpf", "pinning", "", false});
    const bool fuse = ::access("/dev/fuse", F_OK) == 0;
    out.features.push_back(
        {"fuse", yes_if(fuse), "/dev/fuse", "mount", fuse ? "" : "run 'modprobe fuse'", false});
    out.features.push_back(
        {"v1-holds", may_release_v1_tasks(release) ? FeatureState::kUnknown : FeatureState::kYes,
         may_release_v1_tasks(release)
             ? "kernels of this series may let a v1-frozen task go when freezer.state is read"
             : "no such bug is known of this series",
         "the v1 freezer", may_release_v1_tasks(release) ? "use cgroup v2, or a newer kernel" : "",
         false});
}

// A cgroup and a sleeping child in it; gone with the object.
class Patient
{
  public:
    explicit Patient(const std::string &mount_point)
        : path_("/freezerctl-doctor-" + std::to_string(::getpid())), dir_(mount_point + path_)
    {
        if (::mkdir(dir_.c_str(), 0755) != 0) {
            error_ = Error::from_errno(errno, "make " + dir_);
            return;
        }
        made_ = true;
        child_ = ::fork();
        if (child_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL); // not left behind, whatever happens to the doctor
            for (;;)
                ::pause();
        }
        if (child_ < 0) {
            error_ = Error::from_errno(errno, "fork");
            return;
        }
        auto moved = write_file_at(AT_FDCWD, dir_ + "/cgroup.procs", std::to_string(child_));
        if (!moved)
            error_ = std::move(moved).error();
    }
    Patient(const Patient &) = delete;
    Patient &operator=(const Patient &) = delete;
    ~Patient()
    {
        if (child_ > 0) {
            (void)write_file_at(AT_FDCWD, dir_ + "/cgroup.freeze", "0");
            ::kill(child_, SIGKILL);
            while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
            }
        }
        if (made_)
            ::rmdir(dir_.c_str());
    }

    [[nodiscard]] const std::optional<Error> &error() const { return error_; }
    [[nodiscard]] const std::string &path() const { return path_; }
    [[nodiscard]] std::string dir() const { return made_ ? dir_ : ""; }

  private:
    std::string path_;
    std::string dir_;
    std::optional<Error> error_;
    bool made_ = false;
    pid_t child_ = -1;
};

void run_self_test(SelfTest &test, const std::string &path)
{
    auto opened = Freezer::open({});
    if (!opened) {
        test.error = opened.error().message;
        return;
    }
    auto cgroup = opened->resolver().by_path(path);
    if (!cgroup) {
        test.error = cgroup.error().message;
        return;
    }
    std::vector<Target> targets;
    targets.push_back({path, std::move(*cgroup)});
    test.tracking = opened->load_tracker(1) ? "bpf" : "none";
    const auto frozen = opened->freeze(targets, {});
    const auto thawed = opened->thaw(targets, {});
    for (const auto *const reports : {&frozen, &thawed}) {
        if (!*reports) {
            test.error = reports->error().message;
            return;
        }
        const TargetReport &report = (**reports).front();
        if (report.outcome != Outcome::kReached) {
            test.error = std::string(to_string(report.verb)) + ": " +
                         (report.error ? report.error->message : to_string(report.outcome));
            return;
        }
    }
    test.freeze_ns = (*frozen).front().elapsed_ns;
    test.thaw_ns = (*thawed).front().elapsed_ns;
    test.passed = true;
}

} // namespace

const char *to_string(Feature::State state)
{
    switch (state) {
    case Feature::State::kYes:
        return "yes";
    case Feature::State::kNo:
        return "no";
    case Feature::State::kUnknown:
        return "unknown";
    }
    return "";
}

bool may_release_v1_tasks(std::string_view release)
{
    return release.starts_with("6.15.") || release.starts_with("6.16.");
}

bool Diagnosis::able() const
{
    return self_test.passed &&
           std::none_of(features.begin(), features.end(), [](const Feature &feature) {
               return feature.essential && feature.state == Feature::State::kNo;
           });
}

const Feature *Diagnosis::find(std::string_view name) const
{
    const auto it = std::find_if(features.begin(), features.end(),
                                 [&](const Feature &feature) { return feature.name == name; });
    return it != features.end() ? &*it : nullptr;
}

Diagnosis diagnose()
{
    Diagnosis out;
    utsname name{};
    (void)::uname(&name);
    out.kernel = name.release;
    out.architecture = name.machine;

    look_at_mounts(out);
    std::unique_ptr<Patient> patient;
    if (const auto resolver = Resolver::open(); resolver)
        patient = std::make_unique<Patient>(resolver->mount().mount_point);
    look_at_files(out, patient ? patient->dir() : "");
    look_at_bpf(out);
    look_at_rights(out);
    if (!patient)
        out.self_test.error = "no cgroup2 file system is mounted";
    else if (patient->error())
        out.self_test.error = patient->error()->message;
    else
        run_self_test(out.self_test, patient->path());
    return out;
}

} // namespace freezer
