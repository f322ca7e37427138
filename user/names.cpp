// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/names.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace freezer
{
namespace
{

using nlohmann::json;

constexpr size_t kShortestPrefix = 3;

bool is_hex(std::string_view text)
{
    return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_container_id(std::string_view text)
{
    return text.size() == kContainerIdLength && is_hex(text);
}

// A pod's uid: a UUID, or for static pods 32 hexadecimal digits of a hash.
bool is_pod_uid(std::string_view text)
{
    constexpr std::string_view kUuid = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (text.size() == 32)
        return is_hex(text);
    if (text.size() != kUuid.size())
        return false;
    for (size_t i = 0; i < text.size(); ++i) {
        if (kUuid[i] == '-' ? text[i] != '-' : !is_hex(text.substr(i, 1)))
            return false;
    }
    return true;
}

// The rest of the text between a beginning and an end; nullopt where it has other ones.
std::optional<std::string_view> between(std::string_view text, std::string_view begin,
                                        std::string_view end)
{
    if (text.size() < begin.size() + end.size() || !text.starts_with(begin) || !text.ends_with(end))
        return std::nullopt;
    return text.substr(begin.size(), text.size() - begin.size() - end.size());
}

std::string_view last_part(std::string_view path)
{
    return path.substr(path.rfind('/') + 1); // npos + 1: all of it
}

std::string_view parent_part(std::string_view path)
{
    const size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? "" : last_part(path.substr(0, slash));
}

bool has_part(std::string_view path, std::string_view part)
{
    for (size_t at = path.find(part); at != std::string_view::npos; at = path.find(part, at + 1)) {
        const size_t end = at + part.size();
        if ((at == 0 || path[at - 1] == '/') && (end == path.size() || path[end] == '/'))
            return true;
    }
    return false;
}

bool has_unit_suffix(std::string_view name)
{
    static constexpr std::array<std::string_view, 6> kSuffixes{".service", ".scope", ".slice",
                                                               ".socket",  ".mount", ".swap"};
    return std::any_of(kSuffixes.begin(), kSuffixes.end(), [&](std::string_view suffix) {
        return name.size() > suffix.size() && name.ends_with(suffix);
    });
}

// "a-b" from "a\x2db": as systemd writes what a unit's name cannot hold.
std::string unescape_unit(std::string_view text)
{
    const auto digit = [](char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; };
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] == 'x' &&
            is_hex(text.substr(i + 2, 2))) {
            out += static_cast<char>(digit(text[i + 2]) * 16 + digit(text[i + 3]));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::optional<CgroupName> container_of(std::string_view path)
{
    const auto named = [](std::string_view runtime, std::string id) {
        return CgroupName{NameKind::kContainer, std::string(runtime), std::move(id)};
    };
    const std::string_view part = last_part(path);

    // The runtimes' prefixes before an id: a scope of systemd's, or a directory of their own making
    // (podman). "libpod-conmon-ID" and "crio-conmon-ID" hold no id in that place.
    struct Prefix {
        std::string_view text;
        std::string_view runtime;
    };
    static constexpr std::array<Prefix, 5> kPrefixes{{{"docker-", "docker"},
                                                      {"libpod-", "podman"},
                                                      {"cri-containerd-", "containerd"},
                                                      {"crio-", "cri-o"},
                                                      {"nerdctl-", "containerd"}}};
    for (const Prefix &prefix : kPrefixes) {
        for (const std::string_view end : {std::string_view(".scope"), std::string_view()}) {
            const auto id = between(part, prefix.text, end);
            if (id && is_container_id(*id))
                return named(prefix.runtime, std::string(*id));
        }
    }
    if (is_container_id(part)) {
        if (parent_part(path) == "docker")
            return named("docker", std::string(part));
        return named(has_part(path, "kubepods") ? "kubernetes" : "oci", std::string(part));
    }
    // Names that a user gave.
    for (const std::string_view runtime : {"runc", "crun"}) {
        const auto id = between(part, std::string(runtime) + "-", ".scope");
        if (id && !id->empty())
            return named(runtime, unescape_unit(*id));
    }
    if (const auto name = between(part, "lxc.payload.", ""); name && !name->empty())
        return named("lxc", std::string(*name));
    if (parent_part(path) == "lxc")
        return named("lxc", std::string(part));
    if (const auto name = between(part, "machine-", ".scope"); name && !name->empty())
        return named("machine", unescape_unit(*name));
    return std::nullopt;
}

std::optional<CgroupName> pod_of(std::string_view path)
{
    const std::string_view part = last_part(path);
    std::string uid;
    // The systemd driver: "kubepods-burstable-podUID.slice", with _ for the dashes of the uid, and
    // "kubelet-" before it in kind.
    if (const size_t at = part.rfind("-pod");
        part.find("kubepods") != std::string_view::npos && at != std::string_view::npos) {
        if (const auto text = between(part.substr(at), "-pod", ".slice")) {
            uid = *text;
            std::replace(uid.begin(), uid.end(), '_', '-');
        }
    } else if (has_part(path, "kubepods")) {
        uid = between(part, "pod", "").value_or("");
    }
    if (!is_pod_uid(uid))
        return std::nullopt;
    return CgroupName{NameKind::kPod, "kubernetes", uid};
}

// "" unless it is text.
std::string text_at(const json &object, const char *key)
{
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

json parse(std::string_view text)
{
    return json::parse(text, nullptr, false); // discarded: is neither object nor array
}

} // namespace

const char *to_string(NameKind kind)
{
    switch (kind) {
    case NameKind::kUnit:
        return "unit";
    case NameKind::kContainer:
        return "container";
    case NameKind::kPod:
        return "pod";
    }
    return "";
}

std::string unit_of(std::string_view path)
{
    std::string_view part = last_part(path);
    // cg_escape() of systemd: before names that the kernel might take for files of its own.
    if (part.starts_with('_'))
        part.remove_prefix(1);
    return has_unit_suffix(part) ? std::string(part) : "";
}

std::optional<CgroupName> name_of(std::string_view path)
{
    if (auto container = container_of(path))
        return container;
    if (auto pod = pod_of(path))
        return pod;
    const std::string_view part = last_part(path);
    if (part.starts_with("libpod-conmon-") || part.starts_with("crio-conmon-") ||
        part.starts_with("lxc.monitor"))
        return std::nullopt;
    std::string unit = unit_of(path);
    if (unit.empty())
        return std::nullopt;
    return CgroupName{NameKind::kUnit, "systemd", std::move(unit)};
}

Match match(std::string_view words, const CgroupName &name, const std::vector<std::string> &names)
{
    if (words.empty())
        return Match::kNo;
    if (words == name.id || std::find(names.begin(), names.end(), words) != names.end())
        return Match::kExact;
    if (name.kind == NameKind::kUnit)
        return std::string(words) + ".service" == name.id ? Match::kExact : Match::kNo;
    return words.size() >= kShortestPrefix && name.id.starts_with(words) ? Match::kPrefix
                                                                         : Match::kNo;
}

std::optional<KnownContainer> parse_docker_config(std::string_view text)
{
    const json config = parse(text);
    KnownContainer container{"docker", text_at(config, "ID"), {}, {}};
    if (container.id.empty())
        return std::nullopt;
    std::string name = text_at(config, "Name");
    if (name.starts_with('/'))
        name.erase(0, 1);
    if (!name.empty())
        container.names.push_back(std::move(name));
    return container;
}

std::vector<KnownContainer> parse_podman_containers(std::string_view text)
{
    std::vector<KnownContainer> containers;
    const json all = parse(text);
    if (!all.is_array())
        return containers;
    for (const json &entry : all) {
        KnownContainer container{"podman", text_at(entry, "id"), {}, {}};
        if (container.id.empty())
            continue;
        if (const auto names = entry.find("names"); names != entry.end() && names->is_array()) {
            for (const json &name : *names) {
                if (name.is_string())
                    container.names.push_back(name.get<std::string>());
            }
        }
        containers.push_back(std::move(container));
    }
    return containers;
}

std::optional<KnownContainer> parse_crun_status(std::string_view id, std::string_view text)
{
    const json status = parse(text);
    if (!status.is_object())
        return std::nullopt;
    return KnownContainer{"crun", std::string(id), {}, text_at(status, "cgroup-path")};
}

std::optional<KnownContainer> parse_runc_state(std::string_view text)
{
    const json state = parse(text);
    KnownContainer container{"runc", text_at(state, "id"), {}, {}};
    if (container.id.empty())
        return std::nullopt;
    // v2: under the empty key; v1: one for each controller.
    if (const auto paths = state.find("cgroup_paths"); paths != state.end()) {
        container.cgroup = text_at(*paths, "");
        if (container.cgroup.empty())
            container.cgroup = text_at(*paths, "freezer");
    }
    return container;
}

std::optional<KnownPod> parse_pod_directory(std::string_view name)
{
    // No part holds a "_".
    const size_t first = name.find('_');
    const size_t last = name.rfind('_');
    if (first == std::string_view::npos || first == last)
        return std::nullopt;
    const std::string_view uid = name.substr(last + 1);
    if (!is_pod_uid(uid))
        return std::nullopt;
    return KnownPod{std::string(uid), std::string(name.substr(0, first)) + "/" +
                                          std::string(name.substr(first + 1, last - first - 1))};
}

} // namespace freezer
