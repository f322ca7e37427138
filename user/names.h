// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What the paths of cgroups, and the files that container runtimes and the kubelet keep on disk,
// say of names. Pure: text in, names out. docs/names.md has the table.
#ifndef FREEZERCTL_USER_NAMES_H
#define FREEZERCTL_USER_NAMES_H

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace freezer
{

enum class NameKind { kUnit, kContainer, kPod };
// "unit", "container", "pod"; static storage.
const char *to_string(NameKind kind);

// Of the ids that docker, podman and the Kubernetes runtimes make; they are hexadecimal.
inline constexpr size_t kContainerIdLength = 64;

// Who is called so, by a path alone.
struct CgroupName {
    NameKind kind = NameKind::kUnit;
    std::string runtime; // "systemd", "docker", "podman", "kubernetes", ...; "oci": not told
    std::string id;      // unit name, container id or name, pod uid
};

// Of the last part of the path, "/a/b". nullopt for what has no such name, and for the helpers of
// runtimes (conmon, LXC's monitor).
std::optional<CgroupName> name_of(std::string_view path);

// The unit that systemd keeps in the cgroup of that path, whatever else it is; "" for none.
std::string unit_of(std::string_view path);

// Whether the words of a user mean what is called so.
enum class Match {
    kNo,
    kPrefix, // the beginning of an id
    kExact,
};
// `names`: other names of it. An id is only cut short down to 3 characters.
Match match(std::string_view words, const CgroupName &name, const std::vector<std::string> &names);

// What a runtime's file tells of a container.
struct KnownContainer {
    std::string runtime;
    std::string id;
    std::vector<std::string> names;
    std::string
        cgroup; // as the runtime calls it: below the hierarchy, or in the file system; or ""
};

// Docker: /var/lib/docker/containers/ID/config.v2.json.
std::optional<KnownContainer> parse_docker_config(std::string_view text);
// Podman: containers.json of containers-storage.
std::vector<KnownContainer> parse_podman_containers(std::string_view text);
// crun: /run/crun/ID/status; runc: /run/runc/ID/state.json. They name no cgroup where they say
// none.
std::optional<KnownContainer> parse_crun_status(std::string_view id, std::string_view text);
std::optional<KnownContainer> parse_runc_state(std::string_view text);

struct KnownPod {
    std::string uid;
    std::string name; // "namespace/name"
};
// The kubelet: a directory of /var/log/pods, NAMESPACE_NAME_UID.
std::optional<KnownPod> parse_pod_directory(std::string_view name);

} // namespace freezer

#endif
