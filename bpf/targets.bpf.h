/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Which cgroups are watched, and whether a task or a cgroup lies in one of them.
 *
 * A target matches its whole subtree. Walking a task's ancestors up to the root would cost its
 * depth for every test; instead the library names the few depths at which targets lie, and only the
 * ancestors there are looked up: one lookup when one cgroup is watched, or ten thousand siblings.
 * Targets may be nested, so a task can lie in several.
 */
#ifndef FREEZERCTL_TARGETS_BPF_H
#define FREEZERCTL_TARGETS_BPF_H

#include "bpf/compat.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fz_config);
} fz_config SEC(".maps");

/* Cgroup to slot. The library sets the sizes of this and the maps by slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct fz_cgroup_key);
	__type(value, __u32);
} fz_target_index SEC(".maps");

static __always_inline const struct fz_config *fz_get_config(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fz_config, &zero);
}

static __always_inline __u32 *fz_target_at(__u64 cgroup_id, __u32 hierarchy)
{
	struct fz_cgroup_key key = {.id = cgroup_id, .hierarchy = hierarchy};

	return bpf_map_lookup_elem(&fz_target_index, &key);
}

/* The slot of the target that this very cgroup is, or NULL. Any hierarchy's cgroup may be asked. */
static __always_inline __u32 *fz_target_of_cgroup(const struct cgroup *cgrp)
{
	return fz_target_at(BPF_CORE_READ(cgrp, kn, id), BPF_CORE_READ(cgrp, root, hierarchy_id));
}

/*
 * The slot of the target that holds a v2 cgroup at the i-th watched depth, or NULL. For use in
 * fz_for_each_target_slot.
 */
static __always_inline __u32 *fz_target_above(const struct cgroup *cgrp, __u32 cgrp_level,
					      const struct fz_config *config, __u32 i)
{
	__u32 level = config->levels[i & (FZ_LEVELS_MAX - 1)];

	if (level > cgrp_level)
		return NULL;
	return fz_target_at(fz_cgroup_ancestor_id(cgrp, level), 0);
}

/*
 * Runs the body once for each target that holds the v2 cgroup `cgrp`; `slot` points to its number.
 * A macro because a BPF callback would need 5.13 (bpf_for_each_map_elem) and hide the body.
 */
#define fz_for_each_target_slot(slot, cgrp, cgrp_level, config, i)                                 \
	for (__u32 i = 0, *slot; i < FZ_LEVELS_MAX && i < (config)->level_count; i++)              \
		if ((slot = fz_target_above(cgrp, cgrp_level, config, i)))

#endif
