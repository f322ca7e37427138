// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/mount_fs.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <bit>
#include <cerrno>
#include <exception>
#include <new>
#include <string_view>
#include <vector>

#include "tools/freezerctl/mount_client.h"
#include "user/files.h"

namespace freezerctl
{
namespace
{

using freezer::Cgroup;

// Cgroups come, go and change their owners behind this file system's back: nothing is to be kept.
constexpr double kNoTime = 0;

struct Listing {
    struct Entry {
        std::string name;
        mode_t type;
    };
    std::vector<Entry> entries;
};

// The open file, or the listing, of a fuse_file_info.
template <typename T> std::shared_ptr<T> &held(const fuse_file_info &info)
{
    return *std::bit_cast<std::shared_ptr<T> *>(info.fh);
}

template <typename T> void hold(fuse_file_info &info, std::shared_ptr<T> what)
{
    info.fh = std::bit_cast<std::uint64_t>(new std::shared_ptr<T>(std::move(what)));
}

template <typename T> void let_go(const fuse_file_info &info)
{
    delete &held<T>(info);
}

int stat_node(const Node &node, const Cgroup &cgroup, struct stat &out)
{
    if (node.file) {
        if (const int error = stat_control_file(*node.file, cgroup, out); error != 0)
            return error;
    } else if (::fstat(cgroup.directory(), &out) != 0) {
        return errno;
    }
    out.st_ino = node.number;
    return 0;
}

// No exception may pass through the C of libfuse. What is thrown here comes from memory that was
// not to be had, or from a limit.
template <typename Function> void answer(fuse_req_t request, const Function &function)
{
    int error = EIO;
    try {
        function(*static_cast<FreezerFs *>(fuse_req_userdata(request)));
        return;
    } catch (const std::bad_alloc &) {
        error = ENOMEM;
    } catch (const std::exception &) {
        error = EIO;
    }
    fuse_reply_err(request, error);
}

// Nothing but cgroups can be made, as in cgroupfs, where the VFS says so for want of an operation.
void refuse_node(fuse_req_t request, fuse_ino_t /*parent*/, const char * /*name*/, mode_t /*mode*/,
                 dev_t /*device*/)
{
    fuse_reply_err(request, EACCES);
}

void refuse_create(fuse_req_t request, fuse_ino_t /*parent*/, const char * /*name*/,
                   mode_t /*mode*/, fuse_file_info * /*info*/)
{
    fuse_reply_err(request, EACCES);
}

void refuse_unlink(fuse_req_t request, fuse_ino_t /*parent*/, const char * /*name*/)
{
    fuse_reply_err(request, EPERM);
}

void refuse_rename(fuse_req_t request, fuse_ino_t /*parent*/, const char * /*name*/,
                   fuse_ino_t /*new_parent*/, const char * /*new_name*/, unsigned /*flags*/)
{
    fuse_reply_err(request, EPERM);
}

void refuse_symlink(fuse_req_t request, const char * /*link*/, fuse_ino_t /*parent*/,
                    const char * /*name*/)
{
    fuse_reply_err(request, EPERM);
}

void refuse_link(fuse_req_t request, fuse_ino_t /*inode*/, fuse_ino_t /*new_parent*/,
                 const char * /*new_name*/)
{
    fuse_reply_err(request, EPERM);
}

fuse_lowlevel_ops make_operations()
{
    fuse_lowlevel_ops ops{};
    ops.init = [](void *fs, fuse_conn_info * /*connection*/) {
        static_cast<FreezerFs *>(fs)->on_mounted();
    };
    ops.lookup = [](fuse_req_t request, fuse_ino_t parent, const char *name) {
        answer(request, [&](FreezerFs &fs) { fs.lookup(request, parent, name); });
    };
    ops.forget = [](fuse_req_t request, fuse_ino_t inode, std::uint64_t lookups) {
        static_cast<FreezerFs *>(fuse_req_userdata(request))->forget(inode, lookups);
        fuse_reply_none(request);
    };
    ops.forget_multi = [](fuse_req_t request, size_t count, fuse_forget_data *all) {
        for (size_t i = 0; i < count; ++i)
            static_cast<FreezerFs *>(fuse_req_userdata(request))
                ->forget(all[i].ino, all[i].nlookup);
        fuse_reply_none(request);
    };
    ops.getattr = [](fuse_req_t request, fuse_ino_t inode, fuse_file_info * /*info*/) {
        answer(request, [&](FreezerFs &fs) { fs.getattr(request, inode); });
    };
    ops.setattr = [](fuse_req_t request, fuse_ino_t inode, struct stat *attr, int to_set,
                     fuse_file_info * /*info*/) {
        answer(request, [&](FreezerFs &fs) { fs.setattr(request, inode, *attr, to_set); });
    };
    ops.mkdir = [](fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode) {
        answer(request, [&](FreezerFs &fs) { fs.mkdir(request, parent, name, mode); });
    };
    ops.rmdir = [](fuse_req_t request, fuse_ino_t parent, const char *name) {
        answer(request, [&](FreezerFs &fs) { fs.rmdir(request, parent, name); });
    };
    ops.open = [](fuse_req_t request, fuse_ino_t inode, fuse_file_info *info) {
        answer(request, [&](FreezerFs &fs) { fs.open(request, inode, *info); });
    };
    ops.read = [](fuse_req_t request, fuse_ino_t /*inode*/, size_t size, off_t at,
                  fuse_file_info *info) {
        answer(request, [&](FreezerFs &fs) { fs.read(request, size, at, *info); });
    };
    ops.write = [](fuse_req_t request, fuse_ino_t /*inode*/, const char *data, size_t size,
                   off_t /*at*/, fuse_file_info *info) {
        answer(request, [&](FreezerFs &fs) { fs.write(request, data, size, *info); });
    };
    ops.poll = [](fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info *info,
                  fuse_pollhandle *handle) {
        answer(request, [&](FreezerFs &fs) { fs.poll(request, *info, handle); });
    };
    ops.release = [](fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info *info) {
        answer(request, [&](FreezerFs &fs) { fs.release(request, *info); });
    };
    ops.opendir = [](fuse_req_t request, fuse_ino_t inode, fuse_file_info *info) {
        answer(request, [&](FreezerFs &fs) { fs.opendir(request, inode, *info); });
    };
    ops.readdir = [](fuse_req_t request, fuse_ino_t /*inode*/, size_t size, off_t at,
                     fuse_file_info *info) {
        answer(request, [&](FreezerFs &fs) { fs.readdir(request, size, at, *info); });
    };
    ops.releasedir = [](fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info *info) {
        answer(request, [&](FreezerFs &fs) { fs.releasedir(request, *info); });
    };
    ops.mknod = refuse_node;
    ops.create = refuse_create;
    ops.unlink = refuse_unlink;
    ops.rename = refuse_rename;
    ops.symlink = refuse_symlink;
    ops.link = refuse_link;
    return ops;
}

} // namespace

const fuse_lowlevel_ops &FreezerFs::operations()
{
    static const fuse_lowlevel_ops ops = make_operations();
    return ops;
}

int FreezerFs::open_node(fuse_ino_t inode, std::shared_ptr<const Node> &node,
                         std::unique_ptr<Cgroup> &cgroup) const
{
    node = nodes_.find(inode);
    if (!node)
        return ESTALE;
    auto opened = nodes_.cgroup_of(*node);
    if (!opened)
        return errno_of(opened.error());
    cgroup = std::move(*opened);
    return 0;
}

void FreezerFs::reply_entry(fuse_req_t request, const std::shared_ptr<const Node> &parent,
                            const std::string &name, const ControlFile *file, const Cgroup &cgroup)
{
    const auto node = nodes_.look_up(parent, name, file, cgroup.id());
    fuse_entry_param entry{};
    entry.ino = node->number;
    entry.attr_timeout = kNoTime;
    entry.entry_timeout = kNoTime;
    const int error = stat_node(*node, cgroup, entry.attr);
    const bool told = error == 0 && fuse_reply_entry(request, &entry) == 0;
    if (error != 0)
        fuse_reply_err(request, error);
    if (!told)
        nodes_.forget(node->number, 1); // the kernel will not
}

void FreezerFs::lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    std::shared_ptr<const Node> node;
    std::unique_ptr<Cgroup> cgroup;
    if (const int error = open_node(parent, node, cgroup); error != 0) {
        fuse_reply_err(request, error);
        return;
    }
    if (const ControlFile *const file = find_control_file(name)) {
        reply_entry(request, node, name, file, *cgroup);
        return;
    }
    const auto child = cgroup->open_below(name);
    if (!child) {
        // A control file of the cgroup that this file system does not have.
        const int error = errno_of(child.error());
        fuse_reply_err(request, error == ENOTDIR ? ENOENT : error);
        return;
    }
    reply_entry(request, node, name, nullptr, **child);
}

void FreezerFs::forget(fuse_ino_t inode, std::uint64_t lookups)
{
    nodes_.forget(inode, lookups);
}

void FreezerFs::getattr(fuse_req_t request, fuse_ino_t inode)
{
    std::shared_ptr<const Node> node;
    std::unique_ptr<Cgroup> cgroup;
    struct stat st {
    };
    int error = open_node(inode, node, cgroup);
    if (error == 0)
        error = stat_node(*node, *cgroup, st);
    if (error != 0)
        fuse_reply_err(request, error);
    else
        fuse_reply_attr(request, &st, kNoTime);
}

// A size (O_TRUNC of a shell's ">") and times mean nothing here; they are taken and forgotten, as
// by cgroupfs.
void FreezerFs::setattr(fuse_req_t request, fuse_ino_t inode, const struct stat &attr, int to_set)
{
    std::shared_ptr<const Node> node;
    std::unique_ptr<Cgroup> cgroup;
    int error = open_node(inode, node, cgroup);
    struct stat st {
    };
    if (error == 0) {
        const ActingAs acting(Client::of(request));
        const auto uid = to_set & FUSE_SET_ATTR_UID ? attr.st_uid : static_cast<uid_t>(-1);
        const auto gid = to_set & FUSE_SET_ATTR_GID ? attr.st_gid : static_cast<gid_t>(-1);
        if (!acting.possible())
            error = EACCES;
        else if (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
            error = node->file ? chown_control_file(*node->file, *cgroup, uid, gid)
                    : ::fchown(cgroup->directory(), uid, gid) != 0 ? errno
                                                                   : 0;
        if (error == 0 && (to_set & FUSE_SET_ATTR_MODE))
            error = node->file ? chmod_control_file(*node->file, *cgroup, attr.st_mode)
                    : ::fchmod(cgroup->directory(), attr.st_mode & 07777) != 0 ? errno
                                                                               : 0;
    }
    if (error == 0)
        error = stat_node(*node, *cgroup, st);
    if (error != 0)
        fuse_reply_err(request, error);
    else
        fuse_reply_attr(request, &st, kNoTime);
}

void FreezerFs::mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
    std::shared_ptr<const Node> node;
    std::unique_ptr<Cgroup> cgroup;
    int error = open_node(parent, node, cgroup);
    if (error == 0 && find_control_file(name))
        error = EEXIST;
    if (error == 0) {
        const ActingAs acting(Client::of(request));
        if (!acting.possible())
            error = EACCES;
        else if (::mkdirat(cgroup->directory(), name, mode) != 0)
            error = errno;
    }
    if (error != 0) {
        fuse_reply_err(request, error);
        return;
    }
    const auto child = cgroup->open_below(name);
    if (child)
        reply_entry(request, node, name, nullptr, **child);
    else
        fuse_reply_err(request, errno_of(child.error()));
}

void FreezerFs::rmdir(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    std::shared_ptr<const Node> node;
    std::unique_ptr<Cgroup> cgroup;
    int error = open_node(parent, node, cgroup);
    if (error == 0) {
        const ActingAs acting(Client::of(request));
        if (!acting.possible())
            error = EACCES;
        else if (::unlinkat(cgroup->directory(), name, AT_REMOVEDIR) != 0)
            error = errno;
    }
    fuse_reply_err(request, error);
}

void FreezerFs::open(fuse_req_t request, fuse_ino_t inode, fuse_file_info &info)
{
    std::shared_ptr<const Node> node;
    std::unique_ptr<Cgroup> cgroup;
    int error = open_node(inode, node, cgroup);
    std::shared_ptr<OpenFile> file;
    if (error == 0)
        error = node->file ? ControlFiles::open(*node->file, std::move(cgroup), info.flags,
                                                Client::of(request), file)
                           : EISDIR;
    if (error != 0) {
        fuse_reply_err(request, error);
        return;
    }
    info.direct_io = 1; // each read(2) and write(2) gets here, whatever size the file seems to have
    hold(info, std::move(file));
    if (fuse_reply_open(request, &info) != 0)
        let_go<OpenFile>(info); // interrupted: there will be no release
}

void FreezerFs::read(fuse_req_t request, size_t size, off_t at, const fuse_file_info &info)
{
    std::string text;
    if (const int error = files_.read(*held<OpenFile>(info), Client::of(request), size, at, text);
        error != 0)
        fuse_reply_err(request, error);
    else
        fuse_reply_buf(request, text.data(), text.size());
}

void FreezerFs::write(fuse_req_t request, const char *data, size_t size, const fuse_file_info &info)
{
    const int error = files_.write(*held<OpenFile>(info), Client::of(request), {data, size});
    if (error != 0)
        fuse_reply_err(request, error);
    else
        fuse_reply_write(request, size);
}

void FreezerFs::poll(fuse_req_t request, const fuse_file_info &info, fuse_pollhandle *handle)
{
    const auto &file = held<OpenFile>(info);
    if (file->file.kind == ControlFile::Kind::kState) {
        watcher_.poll(request, file, handle);
        return;
    }
    if (handle)
        fuse_pollhandle_destroy(handle);
    fuse_reply_poll(request, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
}

void FreezerFs::release(fuse_req_t request, const fuse_file_info &info)
{
    const auto &file = held<OpenFile>(info);
    if (file->file.kind == ControlFile::Kind::kState)
        watcher_.forget(file.get());
    let_go<OpenFile>(info);
    fuse_reply_err(request, 0);
}

void FreezerFs::opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info &info)
{
    std::shared_ptr<const Node> node;
    std::unique_ptr<Cgroup> cgroup;
    int error = open_node(inode, node, cgroup);
    auto listing = std::make_shared<Listing>();
    if (error == 0) {
        listing->entries = {{".", S_IFDIR}, {"..", S_IFDIR}};
        for (const ControlFile &file : control_files()) {
            struct stat st {
            };
            if (stat_control_file(file, *cgroup, st) == 0)
                listing->entries.push_back({file.name, S_IFREG});
        }
        auto names = freezer::list_directories_at(cgroup->directory());
        if (!names)
            error = errno_of(names.error());
        else
            for (std::string &name : *names) {
                if (!find_control_file(name))
                    listing->entries.push_back({std::move(name), S_IFDIR});
            }
    }
    if (error != 0) {
        fuse_reply_err(request, error);
        return;
    }
    hold(info, std::move(listing));
    if (fuse_reply_open(request, &info) != 0)
        let_go<Listing>(info);
}

void FreezerFs::readdir(fuse_req_t request, size_t size, off_t at, const fuse_file_info &info)
{
    const Listing &listing = *held<Listing>(info);
    std::vector<char> buffer(size);
    size_t used = 0;
    for (size_t i = at > 0 ? static_cast<size_t>(at) : 0; i < listing.entries.size(); ++i) {
        struct stat st {
        };
        st.st_ino = ~0U; // not known before it is looked up
        st.st_mode = listing.entries[i].type;
        const size_t needed =
            fuse_add_direntry(request, buffer.data() + used, size - used,
                              listing.entries[i].name.c_str(), &st, static_cast<off_t>(i + 1));
        if (needed > size - used)
            break;
        used += needed;
    }
    fuse_reply_buf(request, buffer.data(), used);
}

void FreezerFs::releasedir(fuse_req_t request, const fuse_file_info &info)
{
    let_go<Listing>(info);
    fuse_reply_err(request, 0);
}

} // namespace freezerctl
