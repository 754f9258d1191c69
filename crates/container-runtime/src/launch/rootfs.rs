//! A container's root: an overlay of the image's layers with proc, sys and dev, seen in the container's own mount namespace only.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::child::{ChildError, at};
use super::kernel::{Attributes, MOUNT_ATTR_RDONLY, attach_tree, change_mount, clone_tree};
use super::{devices, mounts};
use crate::layout::ContainerFiles;
use crate::record::{Launch, LaunchCgroup};

/// Most bytes of a mount's options: one page, with its end.
const MOST_OPTION_BYTES: usize = 4095;

/// Builds the root and makes it this process's root.
pub fn enter(launch: &Launch, files: &ContainerFiles) -> Result<(), ChildError> {
    let volumes = mounts::gather(launch)?;
    let devices = devices::gather(launch)?;
    let shared_memory = clone_tree(Path::new(&launch.shared_memory)).map_err(at("use", &launch.shared_memory))?;
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_SLAVE,
        None::<&str>,
    )
    .map_err(|error| at("leave the machine's mounts at", "/")(error.into()))?;
    let root = files.rootfs();
    mount_overlay(launch, files, &root)?;
    mount_kernel_views(launch, &root)?;
    change_root(&root)?;

    make_dev(launch)?;
    devices::place(&devices)?;
    attach_tree(shared_memory.as_fd(), Path::new("/dev/shm")).map_err(at("mount on", "/dev/shm"))?;
    mounts::place(&volumes)?;
    if !launch.privileged {
        mounts::mask(&launch.masked_paths)?;
        mounts::protect(&launch.read_only_paths)?;
    }
    let working_dir = Path::new(&launch.working_dir);
    fs::create_dir_all(working_dir).map_err(at("make the working directory", working_dir))?;
    if launch.read_only_rootfs {
        let read_only = Attributes {
            set: MOUNT_ATTR_RDONLY,
            propagation: 0,
            recursive: false,
        };
        change_mount(Path::new("/"), read_only).map_err(at("make read-only", "/"))?;
    }
    Ok(())
}

/// The directory that all layers lie below: options hold one page, so layers are named from there.
fn common_parent(paths: &[String]) -> Option<PathBuf> {
    let mut parent = Path::new(paths.first()?).parent()?.to_owned();
    while !paths.iter().all(|path| Path::new(path).starts_with(&parent)) {
        parent = parent.parent()?.to_owned();
    }
    Some(parent)
}

fn mount_overlay(launch: &Launch, files: &ContainerFiles, root: &Path) -> Result<(), ChildError> {
    for directory in [files.upper(), files.work(), root.to_owned()] {
        fs::create_dir_all(&directory).map_err(at("make", &directory))?;
    }
    let parent = common_parent(&launch.lower_dirs).ok_or(ChildError::NoLayers)?;
    std::env::set_current_dir(&parent).map_err(at("enter", &parent))?;
    let layers: Vec<&str> = launch
        .lower_dirs
        .iter()
        .map(|layer| {
            layer
                .strip_prefix(&*parent.to_string_lossy())
                .map_or(layer.as_str(), |rest| rest.trim_start_matches('/'))
        })
        .collect();
    let extended = if launch.user_namespace { ",userxattr" } else { "" };
    let options = format!(
        "lowerdir={},upperdir={},workdir={}{extended}",
        layers.join(":"),
        files.upper().display(),
        files.work().display()
    );
    if options.len() > MOST_OPTION_BYTES {
        return Err(ChildError::TooManyLayers {
            layers: layers.len(),
            bytes: options.len(),
        });
    }
    let flags = if launch.privileged {
        MsFlags::empty()
    } else {
        MsFlags::MS_NODEV
    };
    mount(Some("overlay"), root, Some("overlay"), flags, Some(options.as_str())).map_err(|error| {
        at(
            "mount the image's layers (an overlay) with its writable layer in",
            files.directory.as_path(),
        )(error.into())
    })
}

/// proc and sys must be mounted while the machine's own are in sight: in a user namespace the kernel allows no new one otherwise.
fn mount_kernel_views(launch: &Launch, root: &Path) -> Result<(), ChildError> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let proc = real_directory(root, "proc")?;
    mount(Some("proc"), &proc, Some("proc"), quiet, None::<&str>)
        .map_err(|error| at("mount proc on", "/proc")(error.into()))?;
    let sys = real_directory(root, "sys")?;
    let writable = if launch.privileged {
        MsFlags::empty()
    } else {
        MsFlags::MS_RDONLY
    };
    match mount(Some("sysfs"), &sys, Some("sysfs"), quiet | writable, None::<&str>) {
        // The machine's network namespace belongs to another user namespace: show the machine's own view.
        Err(nix::errno::Errno::EPERM) => {
            let tree = clone_tree(Path::new("/sys")).map_err(at("use", "/sys"))?;
            attach_tree(tree.as_fd(), &sys).map_err(at("mount on", "/sys"))?;
        }
        other => {
            other.map_err(|error| at("mount sysfs on", "/sys")(error.into()))?;
            if let Err(error) = mount_cgroups(&launch.cgroups, &sys.join("fs/cgroup"), quiet | writable) {
                // Only programs that size themselves by it miss it; the limits hold all the same.
                tracing::debug!(%error, "no cgroup view in the container");
            }
        }
    }
    let dev = real_directory(root, "dev")?;
    let no_devices = if launch.privileged {
        MsFlags::empty()
    } else {
        MsFlags::MS_NODEV
    };
    mount(
        Some("tmpfs"),
        &dev,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | no_devices,
        Some("mode=755,size=65536k"),
    )
    .map_err(|error| at("mount a tmpfs on", "/dev")(error.into()))
}

/// The container's own cgroups, as its cgroup namespace shows them.
fn mount_cgroups(cgroups: &[LaunchCgroup], target: &Path, flags: MsFlags) -> io::Result<()> {
    match cgroups {
        [] => {}
        [only] if only.controllers.is_empty() => mount(Some("cgroup"), target, Some("cgroup2"), flags, None::<&str>)?,
        several => {
            mount(
                Some("tmpfs"),
                target,
                Some("tmpfs"),
                flags - MsFlags::MS_RDONLY,
                Some("mode=755"),
            )?;
            for cgroup in several {
                let own = target.join(&cgroup.controllers);
                fs::create_dir(&own)?;
                mount(
                    Some("cgroup"),
                    &own,
                    Some("cgroup"),
                    flags,
                    Some(cgroup.controllers.as_str()),
                )?;
            }
        }
    }
    Ok(())
}

/// A directory of the image that is not a link to elsewhere.
fn real_directory(root: &Path, name: &str) -> Result<PathBuf, ChildError> {
    let path = root.join(name);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err(at("mount on", &path)(io::Error::from_raw_os_error(libc::ENOTDIR))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir(&path).map_err(at("make", &path))?;
            Ok(path)
        }
        Err(error) => Err(at("look at", &path)(error)),
    }
}

fn change_root(root: &Path) -> Result<(), ChildError> {
    let change = || -> nix::Result<()> {
        nix::unistd::chdir(root)?;
        // The old root lands on top of the new one, and is taken away from there.
        nix::unistd::pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        nix::unistd::chdir("/")
    };
    change().map_err(|error| at("change the root to", root)(error.into()))
}

/// The parts of /dev that are no device files of the machine.
fn make_dev(launch: &Launch) -> Result<(), ChildError> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    for directory in ["/dev/pts", "/dev/shm", "/dev/mqueue"] {
        fs::create_dir(directory).map_err(at("make", directory))?;
    }
    mount(
        Some("devpts"),
        "/dev/pts",
        Some("devpts"),
        quiet,
        Some("newinstance,ptmxmode=0666,mode=0620"),
    )
    .map_err(|error| at("mount devpts on", "/dev/pts")(error.into()))?;
    match mount(
        Some("mqueue"),
        "/dev/mqueue",
        Some("mqueue"),
        quiet | MsFlags::MS_NODEV,
        None::<&str>,
    ) {
        // An IPC namespace of another user namespace: message queues are not for us.
        Err(nix::errno::Errno::EPERM) if launch.user_namespace => {}
        other => other.map_err(|error| at("mount mqueue on", "/dev/mqueue")(error.into()))?,
    }
    let links = [
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
        ("pts/ptmx", "/dev/ptmx"),
    ];
    for (to, link) in links {
        std::os::unix::fs::symlink(to, link).map_err(at("make", link))?;
    }
    Ok(())
}

/// Tries [`check_overlay`] in a mount namespace of its own; for a thread that ends afterwards.
pub fn check_overlay_apart(directory: &Path, user_namespace: bool) -> io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS | nix::sched::CloneFlags::CLONE_NEWNS)?;
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_SLAVE,
        None::<&str>,
    )?;
    check_overlay(directory, user_namespace)
}

/// Whether a directory's file system can hold the writable layer of an overlay; the error says what the kernel thinks.
fn check_overlay(directory: &Path, user_namespace: bool) -> io::Result<()> {
    let area = directory.join(".overlay-check");
    let [lower, upper, work, root] = ["lower", "upper", "work", "root"].map(|name| area.join(name));
    for directory in [&lower, &upper, &work, &root] {
        fs::create_dir_all(directory)?;
    }
    let extended = if user_namespace { ",userxattr" } else { "" };
    let options = format!(
        "lowerdir={},upperdir={},workdir={}{extended}",
        lower.display(),
        upper.display(),
        work.display()
    );
    let result = mount(
        Some("overlay"),
        &root,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    );
    if result.is_ok() {
        umount2(&root, MntFlags::MNT_DETACH)?;
    }
    fs::remove_dir_all(&area)?;
    result.map_err(io::Error::from)
}
