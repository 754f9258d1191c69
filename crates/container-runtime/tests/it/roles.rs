//! What this binary is besides the test harness: a machine's first process, its runtime, a shim.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use clock::{SystemClock, SystemRandom};
use container_runtime::{
    Config, ImageRootfs, Images, NeighbourError, Parts, PodAddresses, PodNetwork, PodNetworkRequest,
};
use cri_api::v1;
use cri_api::v1::image_service_server::ImageService;
use futures::future::BoxFuture;
use nix::sched::{CloneFlags, unshare};
use supervision::Supervisor;
use tonic::{Request, Response, Status};

/// Runs before the test harness has made a thread: in another role the harness never starts.
#[used]
#[unsafe(link_section = ".init_array")]
static ROLE: extern "C" fn() = take_role;

extern "C" fn take_role() {
    let args: Vec<OsString> = std::env::args_os().collect();
    let role = args.get(1).and_then(|role| role.to_str()).unwrap_or_default();
    let code = match role {
        "role-shim" => container_runtime::shim_main(&args[2..]),
        "role-runtime" => runtime_role(Path::new(&args[2])),
        "role-init" => init_role(Path::new(&args[2])),
        "role-machine" => machine_role(Path::new(&args[2])),
        _ => return,
    };
    std::process::exit(code)
}

/// Makes the machine's namespaces; its first child is process 1 there.
fn machine_role(directory: &Path) -> i32 {
    let flags = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    unshare(flags).unwrap();
    let mut child = role("role-init", directory);
    // SAFETY: prctl only, between fork and exec.
    unsafe { child.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)) };
    child.spawn().unwrap().wait().unwrap().code().unwrap_or(1)
}

/// Process 1: mounts what a machine has, starts the runtime again whenever it ends, and reaps.
fn init_role(directory: &Path) -> i32 {
    use nix::mount::{MsFlags, mount};
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .unwrap();
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>).unwrap();
    let run = directory.join("run");
    mount(Some("tmpfs"), &run, Some("tmpfs"), MsFlags::empty(), Some("mode=755")).unwrap();
    mount(None::<&str>, &run, None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
    nix::unistd::sethostname("machine").unwrap();
    loop {
        #[allow(clippy::zombie_processes, reason = "process 1 waits for every child below")]
        let runtime = role("role-runtime", directory).spawn().unwrap();
        let runtime = nix::unistd::Pid::from_raw(runtime.id().cast_signed());
        std::fs::write(directory.join("runtime.pid"), runtime.to_string()).unwrap();
        while nix::sys::wait::waitpid(None, None).is_ok_and(|status| status.pid() != Some(runtime)) {}
    }
}

fn role(name: &str, directory: &Path) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(name).arg(directory);
    command
}

/// Serves CRI in `directory`, until it is killed.
fn runtime_role(directory: &Path) -> i32 {
    supervision::init_logging(&supervision::LogOptions::default()).unwrap();
    let parent = std::fs::read_to_string(directory.join("cgroup")).unwrap();
    let config = Config {
        root_dir: directory.join("root"),
        run_dir: directory.join("run/runtime"),
        socket: directory.join("cri.sock"),
        shim_command: vec!["/proc/self/exe".into(), "role-shim".into()],
        cgroup_parent: (!parent.is_empty()).then_some(parent),
        version: "test".to_owned(),
    };
    let parts = Parts {
        images: Arc::new(Layer(PathBuf::from(
            std::fs::read_to_string(directory.join("layer")).unwrap(),
        ))),
        network: Arc::new(LoopbackOnly),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        supervisor: Supervisor::new("runtime"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match runtime.block_on(container_runtime::serve(config, parts, NoImages)) {
        Ok(()) => 0,
        Err(error) => panic!("{}", supervision::error_chain(&error)),
    }
}

/// Image `busybox`, and `busybox:www` with a user.
struct Layer(PathBuf);

impl Images for Layer {
    fn rootfs(&self, reference: &str) -> Result<Option<ImageRootfs>, NeighbourError> {
        let image = ImageRootfs {
            id: "sha256:0".to_owned(),
            digest_reference: "docker.io/library/busybox@sha256:0".to_owned(),
            lower_dirs: vec![self.0.clone()],
            command: vec!["sh".to_owned()],
            ..ImageRootfs::default()
        };
        Ok(match reference {
            "busybox" => Some(image),
            "busybox:www" => Some(ImageRootfs {
                user: "www".to_owned(),
                ..image
            }),
            _ => None,
        })
    }
}

struct LoopbackOnly;

impl PodNetwork for LoopbackOnly {
    fn attach<'a>(&'a self, request: PodNetworkRequest<'a>) -> BoxFuture<'a, Result<PodAddresses, NeighbourError>> {
        assert!(request.netns_path.exists());
        Box::pin(async {
            Ok(PodAddresses {
                ips: vec!["10.0.0.5".parse()?],
            })
        })
    }

    fn detach<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), NeighbourError>> {
        Box::pin(async { Ok(()) })
    }

    fn not_ready(&self) -> Option<String> {
        None
    }
}

struct NoImages;

#[tonic::async_trait]
impl ImageService for NoImages {
    async fn pull_image(&self, _: Request<v1::PullImageRequest>) -> Result<Response<v1::PullImageResponse>, Status> {
        Err(Status::unimplemented("no pulls here"))
    }
    async fn image_status(
        &self,
        _: Request<v1::ImageStatusRequest>,
    ) -> Result<Response<v1::ImageStatusResponse>, Status> {
        Err(Status::unimplemented("no images here"))
    }
    async fn list_images(&self, _: Request<v1::ListImagesRequest>) -> Result<Response<v1::ListImagesResponse>, Status> {
        Err(Status::unimplemented("no images here"))
    }
    async fn remove_image(
        &self,
        _: Request<v1::RemoveImageRequest>,
    ) -> Result<Response<v1::RemoveImageResponse>, Status> {
        Err(Status::unimplemented("no images here"))
    }
    async fn image_fs_info(
        &self,
        _: Request<v1::ImageFsInfoRequest>,
    ) -> Result<Response<v1::ImageFsInfoResponse>, Status> {
        Err(Status::unimplemented("no images here"))
    }
}
