// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_TASK_STORAGE_H
#define FREEZERCTL_USER_TASK_STORAGE_H

namespace freezer
{

// Whether records may live in task storage: see fz_use_storage in bpf/compat.bpf.h for the reasons.
// By version because asking the kernel's BTF for struct bpf_local_storage_map would parse all of it
// a second time (5 ms), and because "no" is always safe.
bool task_storage_is_safe();

} // namespace freezer

#endif
