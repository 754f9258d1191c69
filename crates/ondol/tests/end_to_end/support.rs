//! An Ondol of a test's own, driven through its binary and other people's clients.

pub mod cluster;
pub mod footprint;
pub mod processes;
pub mod user;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use supervision::wait_until;
use tempfile::TempDir;

use footprint::Footprint;
use user::User;

/// The manifests that users are shown.
pub const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

/// How long a state may take to come about on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a program printed, and whether it succeeded.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The standard output of a program that must succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The standard error of a program that must fail.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_ne!(self.code, Some(0), "it succeeded:\n{}", self.stdout);
        self.stderr
    }
}

/// The real clients and test images, which `cargo xtask test` prepares.
pub struct Provisions {
    tools: PathBuf,
    images: PathBuf,
}

impl Provisions {
    /// The archive of a test image.
    pub fn archive(&self, name: &str) -> PathBuf {
        self.images.join(format!("{name}.tar"))
    }
}

/// The provisions; `None` on a user's machine without them, after saying so. In CI their absence is a failure.
pub fn provisions() -> Option<Provisions> {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    match (path("ONDOL_TEST_TOOLS"), path("ONDOL_TEST_IMAGES")) {
        (Some(tools), Some(images)) => Some(Provisions { tools, images }),
        _ => {
            assert!(
                std::env::var_os("CI").is_none(),
                "ONDOL_TEST_TOOLS and ONDOL_TEST_IMAGES are not set: run `cargo xtask test`"
            );
            println!("skipped: the real clients are prepared by `cargo xtask test`");
            None
        }
    }
}

/// One Ondol, with a state directory and ports of its own.
pub struct Ondol {
    /// Kept until the Ondol is gone.
    _directory: Option<TempDir>,
    home: PathBuf,
    provisions: Provisions,
    user: Option<User>,
    footprint: RefCell<Footprint>,
}

impl Ondol {
    /// Starts a region on free ports.
    pub fn up(provisions: Provisions) -> Self {
        let ondol = Self::down_yet(provisions);
        ondol.start().ok();
        ondol
    }

    /// Starts a region whose nodes are simulated, with a cluster of three of them.
    pub fn simulated(provisions: Provisions) -> Self {
        let ondol = Self::down_yet(provisions);
        ondol
            .run(["up", "--simulated", "--port", "0", "--load-balancer-port", "0"])
            .ok();
        ondol
            .run([
                "create",
                "cluster",
                "--name",
                "s",
                "--nodes",
                "3",
                "--node-type",
                "t3.large",
            ])
            .ok();
        ondol
    }

    /// A state directory in which no region runs yet.
    pub fn down_yet(provisions: Provisions) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("o")
            .tempdir()
            .expect("a temporary directory can be made");
        Self {
            home: directory.path().to_path_buf(),
            _directory: Some(directory),
            provisions,
            user: None,
            footprint: RefCell::new(Footprint::before()),
        }
    }

    /// The same for an ordinary user, who runs everything.
    pub fn of_user(provisions: Provisions, user: User) -> Self {
        Self {
            home: user.directory("o"),
            _directory: None,
            provisions,
            user: Some(user),
            footprint: RefCell::new(Footprint::before()),
        }
    }

    /// Starts the region process, as a user does after it was killed.
    pub fn start(&self) -> Said {
        self.run(["up", "--port", "0", "--load-balancer-port", "0"])
    }

    /// Ends the region process as a crash does.
    pub fn kill_region(&self) {
        let text = std::fs::read(self.home().join("region/endpoint.json")).expect("the region runs");
        let endpoint: aws_types::region_files::RegionEndpoint =
            serde_json::from_slice(&text).expect("its file is JSON");
        let pid = i32::try_from(endpoint.pid).expect("a process id");
        let region = self.processes().ours.into_iter().find(|process| process.id.pid == pid);
        let region = region.expect("the region runs").id;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
            .expect("the region can be killed");
        // Until its last thread has gone, it looks as if it ran.
        while region.lives() {
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// The state directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A file with this content, which the user may read.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.home.join(name);
        std::fs::write(&path, content).expect("a file can be written");
        if let Some(user) = &self.user {
            user.owns(&path);
        }
        path.display().to_string()
    }

    /// A manifest that users are shown, where the user may read it.
    pub fn example(&self, name: &str) -> String {
        let text = std::fs::read_to_string(Path::new(EXAMPLES).join(name)).expect("the example is there");
        self.file(name, &text)
    }

    /// The kubeconfig that this Ondol's clusters are written to.
    pub fn kubeconfig(&self) -> PathBuf {
        self.home().join("kubeconfig")
    }

    /// Runs `ondol`.
    pub fn run<const N: usize>(&self, arguments: [&str; N]) -> Said {
        self.command(&self.binary(), arguments)
    }

    /// Runs the real kubectl as the user that `create cluster` wrote down.
    pub fn kubectl<const N: usize>(&self, arguments: [&str; N]) -> Said {
        self.command(&self.tool("kubectl"), arguments)
    }

    /// The same with any number of arguments.
    pub fn kubectl_with(&self, arguments: &[&str]) -> Said {
        self.command(&self.tool("kubectl"), arguments)
    }

    /// Runs the real AWS CLI against this region.
    pub fn aws<const N: usize>(&self, arguments: [&str; N]) -> Said {
        self.command(&self.tool("aws"), arguments)
    }

    /// The same with any number of arguments.
    pub fn aws_with(&self, arguments: &[&str]) -> Said {
        self.command(&self.tool("aws"), arguments)
    }

    /// Runs a script by the Python that has boto3.
    pub fn python(&self, script: &str, argument: &str) -> Said {
        self.command(&self.tool("python"), ["-c", script, argument])
    }

    /// The program.
    pub fn binary(&self) -> PathBuf {
        self.bin(
            Path::new(env!("CARGO_BIN_EXE_ondol"))
                .parent()
                .expect("it is in a directory"),
        )
        .join("ondol")
    }

    /// Where a real client is.
    pub fn tool(&self, name: &str) -> PathBuf {
        self.bin(&self.provisions.tools).join(name)
    }

    /// A directory of programs, or the one where an ordinary user has them.
    fn bin(&self, others: &Path) -> PathBuf {
        self.user.as_ref().map_or_else(|| others.to_path_buf(), User::bin)
    }

    /// The archive of a test image.
    pub fn archive(&self, name: &str) -> String {
        self.provisions.archive(name).display().to_string()
    }

    /// Loads a test image.
    pub fn load_image(&self, name: &str) {
        let mut archive = self.provisions.archive(name);
        if let Some(user) = &self.user {
            let copy = user.directory("archives").join(format!("{name}.tar"));
            std::fs::copy(&archive, &copy).expect("the archive can be copied");
            archive = copy;
        }
        self.run(["image", "load", &archive.to_string_lossy()]).ok();
    }

    fn command<S: AsRef<OsStr>>(&self, program: &Path, arguments: impl IntoIterator<Item = S>) -> Said {
        let mut command = self
            .user
            .as_ref()
            .map_or_else(|| Command::new(program), |user| user.command(program));
        command.args(arguments).envs(self.environment());
        Said::of(
            command
                .output()
                .unwrap_or_else(|error| panic!("{} starts: {error}", program.display())),
        )
    }

    /// What `ondol env` tells a shell, and a PATH with the real clients.
    pub fn environment(&self) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        let (tools, binary) = (self.tool(""), self.binary());
        let binary = binary.parent().unwrap_or(Path::new("/"));
        let mut environment = vec![
            (
                "PATH".to_owned(),
                format!("{}:{}:{path}", tools.display(), binary.display()),
            ),
            ("ONDOL_HOME".to_owned(), self.home().display().to_string()),
            ("KUBECONFIG".to_owned(), self.kubeconfig().display().to_string()),
            ("HOME".to_owned(), self.home().display().to_string()),
        ];
        if self.home().join("region/endpoint.json").exists() {
            let said = Command::new(env!("CARGO_BIN_EXE_ondol"))
                .arg("env")
                .env("ONDOL_HOME", self.home())
                .output();
            // It says nothing while the region is being started again.
            let said = Said::of(said.expect("ondol starts"));
            let exports = said
                .stdout
                .lines()
                .filter_map(|line| line.strip_prefix("export ")?.split_once('='));
            environment
                .extend(exports.map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned())));
        }
        environment
    }

    /// Remembers what there is of this Ondol on the machine.
    pub fn look(&self) {
        self.footprint.borrow_mut().look(self);
    }

    /// What is there of all that was seen, and must not be when the Ondol is down.
    pub fn left(&self) -> Vec<String> {
        self.footprint.borrow().left(self.home())
    }

    /// Ends everything and checks that nothing of it is left on the machine.
    pub fn down(self) {
        self.look();
        self.run(["down", "--purge"]).ok();
        assert_eq!(self.left(), Vec::<String>::new(), "left after `ondol down`");
    }

    /// The address of load balancers by host name, as the region process wrote it down.
    pub fn http_address(&self) -> String {
        let text = std::fs::read(self.home().join("region/endpoint.json")).expect("the region runs");
        let endpoint: aws_types::region_files::RegionEndpoint =
            serde_json::from_slice(&text).expect("its file is JSON");
        let port = endpoint.load_balancer_port.expect("load balancers listen");
        format!("127.0.0.1:{port}")
    }
}

impl Drop for Ondol {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.processes().ours.is_empty() {
            return;
        }
        let log = std::fs::read_to_string(self.home().join("region/log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(60).collect();
        println!(
            "the region's log ended with:\n{}",
            tail.into_iter().rev().collect::<Vec<_>>().join("\n")
        );
        let said = self.run(["down", "--purge"]);
        if said.code != Some(0) {
            println!("ondol down failed: {}", said.stderr);
        }
    }
}

/// Fetches a page by HTTP/1.1 from `address`, asking for it under `host`. The status line and the body, or why not.
pub fn fetch(address: &str, host: &str) -> Result<(String, String), String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .map_err(|error| error.to_string())?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .map_err(|error| format!("{address}: {error}"))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("no answer: {answer:?}"))?;
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}

/// Waits until a command says what it should.
pub async fn until(what: &str, say: impl Fn() -> Said, is_so: impl Fn(&str) -> bool) -> String {
    let waited = wait_until(what, PATIENCE, async || {
        let said = say();
        if said.code == Some(0) && is_so(&said.stdout) {
            Ok(said.stdout)
        } else {
            Err(format!("{said:?}"))
        }
    });
    waited.await.unwrap_or_else(|error| panic!("{error}"))
}

/// Waits until the page of a load balancer comes.
pub async fn page_comes(ondol: &Ondol, host: &str, expected: &str) {
    let address = ondol.http_address();
    let waited = wait_until("the page", PATIENCE, async || match fetch(&address, host) {
        Ok((status, body)) if status.contains("200") && body.contains(expected) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    waited.await.unwrap_or_else(|error| panic!("{error}"));
}
