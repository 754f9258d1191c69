//! What the command line needs of this machine: starting and ending the region process, and the image store.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_types::AccountId;
use aws_types::region_files::{ACCOUNTS_DIRECTORY, CREDENTIALS_FILE, ENDPOINT_FILE, RegionEndpoint};
use cli::hooks::{DownOptions, DownReport, HookError, Hooks, Image, UpOptions, UpReport};
use clock::{Random, SystemRandom};
use image_store::ImageStore;
use machine_driver::cgroup::{Enforcement, MachineGroup};
use machine_driver::{Machine, user_namespace};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::home::Home;
use crate::host::{read_json, write_json};
use crate::lock;
use crate::region::{RegionOptions, tag_of};

/// How long a region process may take to answer: it may have clusters to take up.
const START: Duration = Duration::from_secs(60);

/// What the allocators are told, jemalloc and the C library's (mallopt(3)), for this process and the machines that it starts: few
/// arenas, for each keeps what its threads once needed, and what is not used goes back to the system soon.
const ALLOCATOR: [(&str, &str); 4] = [
    ("_RJEM_MALLOC_CONF", "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0"),
    ("MALLOC_ARENA_MAX", "2"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
];

/// The hooks of the command line.
pub struct LocalCommands;

impl Hooks for LocalCommands {
    fn up(&self, options: &UpOptions) -> Result<UpReport, HookError> {
        let home = Home::new(&options.home);
        let _alone = lock::change(&home)?;
        check_kind_of_nodes(&home, options.simulated)?;
        check_store(&home, options.store.as_deref())?;
        if let Some(endpoint) = answering(&home)? {
            return Ok(report(&endpoint, options, true));
        }
        write_json(
            &RegionOptions::path(&home),
            &RegionOptions {
                region: options.region.clone(),
                port: options.port,
                load_balancer_port: options.load_balancer_port,
                simulated: options.simulated,
                store: options.store.clone(),
            },
        )?;
        wait_for_the_last(&home)?;
        let child = start(&home)?;
        let endpoint = wait_for(&home, child)?;
        Ok(report(&endpoint, options, false))
    }

    fn down(&self, options: &DownOptions) -> Result<DownReport, HookError> {
        let home = Home::new(&options.home);
        if !home.path().exists() {
            return Ok(DownReport {
                was_running: false,
                processes_ended: 0,
            });
        }
        let _alone = lock::change(&home)?;
        // Who could not enter has left nothing that must be entered for.
        if home.machines().exists() || home.images().exists() {
            enter(&home)?;
        }
        let ended = runtime()?.block_on(end_all(&home, options.grace))?;
        if options.purge {
            purge(&home)?;
        }
        Ok(DownReport {
            was_running: ended > 0,
            processes_ended: ended,
        })
    }

    fn account_create(&self, home: &Path, id: Option<&str>) -> Result<String, HookError> {
        let account = match id {
            Some(id) => AccountId::new(id)?,
            None => AccountId::new(drawn_account(&SystemRandom))?,
        };
        let first = aws_api::credentials::load_or_create(&home.join(CREDENTIALS_FILE), &SystemRandom)?;
        if account != first.account_id {
            let file = home.join(ACCOUNTS_DIRECTORY).join(format!("{account}.json"));
            aws_api::credentials::load_or_create_for(&file, account.clone(), &SystemRandom)?;
        }
        Ok(account.to_string())
    }

    fn image_load(&self, home: &Path, archive: &Path) -> Result<Vec<String>, HookError> {
        let home = Home::new(home);
        enter(&home)?;
        let loaded = ImageStore::open(home.images())?.load_archive(archive)?;
        Ok(loaded.iter().map(ToString::to_string).collect())
    }

    fn image_list(&self, home: &Path) -> Result<Vec<Image>, HookError> {
        let store = ImageStore::open(Home::new(home).images())?;
        let images = store.list()?.into_iter().flat_map(|image| {
            let names: Vec<String> = if image.tags.is_empty() {
                vec![image.id.clone()]
            } else {
                image.tags.iter().map(ToString::to_string).collect()
            };
            let (digest, size_bytes) = (image.digest_reference().to_owned(), image.size);
            names.into_iter().map(move |reference| Image {
                reference,
                digest: digest.clone(),
                size_bytes,
            })
        });
        Ok(images.collect())
    }
}

/// An account's id: twelve digits, of which AWS's first is never zero.
fn drawn_account(random: &dyn Random) -> String {
    let digit = |digit: char| char::from(b'0' + (u32::from(digit) % 10) as u8);
    let drawn: String = random.hex(11).chars().map(digit).collect();
    format!("2{drawn}")
}

/// Becomes root enough for what machines have left, which simulated ones have not.
fn enter(home: &Home) -> Result<(), HookError> {
    if !is_simulated(home)?.unwrap_or(false) {
        user_namespace::enter_if_needed(&home.region(), &home.machines())?;
    }
    Ok(())
}

/// Whether the nodes of this region are simulated; `None` before the first `ondol up`.
fn is_simulated(home: &Home) -> Result<Option<bool>, HookError> {
    let options: Option<RegionOptions> = read_json(&RegionOptions::path(home))?;
    Ok(options.map(|options| options.simulated))
}

/// Clusters stay where their objects are.
fn check_store(home: &Home, store: Option<&str>) -> Result<(), HookError> {
    if let Some(url) = store {
        store::EtcdLocation::parse(url)?;
    }
    let before: Option<RegionOptions> = read_json(&RegionOptions::path(home))?;
    let Some(before) = before.filter(|before| before.store.as_deref() != store) else {
        return Ok(());
    };
    if !home.clusters().is_dir() && running(home)?.is_none() {
        return Ok(());
    }
    let (is, flag) = match &before.store {
        Some(url) => (url.as_str(), format!("with --store {url}")),
        None => ("on this machine's disk", "without --store".to_owned()),
    };
    Err(format!(
        "the clusters of the region in {} are kept {is}: start it {flag}, remove it first with `ondol down --purge`, or use another --home",
        home.path().display()
    )
    .into())
}

/// A region that runs, or has instances, cannot change what they are made of.
fn check_kind_of_nodes(home: &Home, simulated: bool) -> Result<(), HookError> {
    let Some(before) = is_simulated(home)?.filter(|before| *before != simulated) else {
        return Ok(());
    };
    let instances = machine_directories(home)?.len();
    if instances == 0 && running(home)?.is_none() {
        return Ok(());
    }
    let (is, flag) = if before {
        ("simulated", "with --simulated")
    } else {
        ("real", "without --simulated")
    };
    Err(format!(
        "the nodes of the region in {} are {is}: start it {flag}, remove it first with `ondol down --purge`, or use another --home",
        home.path().display()
    )
    .into())
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The region that runs in this state directory: its process lives and has said where it is.
fn running(home: &Home) -> Result<Option<RegionEndpoint>, HookError> {
    if user_namespace::door(&home.region())?.is_none() {
        return Ok(None);
    }
    Ok(read_json(&home.path().join(ENDPOINT_FILE))?)
}

/// The same once it answers. One that was killed looks as if it ran until its last thread has gone.
fn answering(home: &Home) -> Result<Option<RegionEndpoint>, HookError> {
    let waited = supervision::wait_until("an answer of the region that runs", START, async || {
        let Some(endpoint) = running(home).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        ask_health(&endpoint).map_err(|error| format!("{}: {error}", endpoint.endpoint))?;
        Ok::<_, String>(Some(endpoint))
    });
    Ok(runtime()?.block_on(waited)?)
}

fn ask_health(endpoint: &RegionEndpoint) -> io::Result<()> {
    let address = endpoint.endpoint.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(START))?;
    write!(
        stream,
        "GET /_ondol/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.lines().next() {
        Some(status) if status.contains("200") => Ok(()),
        other => Err(io::Error::other(other.unwrap_or("it says nothing").to_owned())),
    }
}

/// Starts the region process; answers it and where in the log it begins to write.
fn start(home: &Home) -> Result<(Child, u64), HookError> {
    // What an earlier process said is not true of the next.
    match fs::remove_file(home.path().join(ENDPOINT_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let path = home.region().join("log");
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| at(&path, &error))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0("ondol").arg("region-server").arg(home.path());
    // What `ondol env` gave to the shell: the region trusts what the system does, not what an earlier region wrote.
    if std::env::var_os("SSL_CERT_FILE").is_some_and(|file| Path::new(&file).starts_with(home.path())) {
        command.env_remove("SSL_CERT_FILE");
    }
    for (name, value) in ALLOCATOR {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    // It may have ended before anybody looks again.
    let from = log.metadata()?.len();
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok((command.spawn()?, from))
}

/// A region process that was killed holds its files until its last thread has gone.
fn wait_for_the_last(home: &Home) -> Result<(), HookError> {
    let waited = supervision::wait_until(
        "the end of the region process before",
        START,
        async || match lock::region(home) {
            Ok(Some(_free)) => Ok(()),
            Ok(None) => Err(format!("{} is another's", home.path().display())),
            Err(error) => Err(error.to_string()),
        },
    );
    Ok(runtime()?.block_on(waited)?)
}

fn wait_for(home: &Home, (child, from): (Child, u64)) -> Result<RegionEndpoint, HookError> {
    let child = std::cell::RefCell::new(child);
    let waited = runtime()?.block_on(supervision::wait_until("the region's endpoint", START, async || {
        let ended = child.borrow_mut().try_wait().map_err(|error| error.to_string())?;
        match running(home) {
            Ok(Some(endpoint)) => Ok(Some(endpoint)),
            _ if ended.is_some() => Ok(None),
            Ok(None) => Err("it does not answer yet".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }));
    waited?.ok_or_else(|| said_since(home, from).into())
}

/// What the region process said before it ended.
fn said_since(home: &Home, from: u64) -> String {
    let log = fs::read_to_string(home.region().join("log")).unwrap_or_else(|error| error.to_string());
    let said = log.get(usize::try_from(from).unwrap_or(0)..).unwrap_or(&log).trim();
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    format!(
        "the region process ended: {}",
        last.into_iter().rev().collect::<Vec<_>>().join(" | ")
    )
}

fn report(endpoint: &RegionEndpoint, options: &UpOptions, already_running: bool) -> UpReport {
    let mut notices = Vec::new();
    if options.simulated {
        notices.push(
            "nodes are simulated: pods become Running without containers, so nothing answers behind services and load \
             balancers, and there are no logs and no exec"
                .to_owned(),
        );
    }
    let enforcement = Enforcement::here();
    if !enforcement.reason.is_empty() && !options.simulated {
        notices.push(enforcement.reason);
    }
    match endpoint.load_balancer_port {
        Some(port) if port != options.load_balancer_port && options.load_balancer_port != 0 => {
            notices.push(format!(
                "port {} cannot be had: load balancers answer by host name on port {port}",
                options.load_balancer_port
            ));
        }
        _ => {}
    }
    UpReport {
        endpoint: endpoint.endpoint.clone(),
        already_running,
        notices,
    }
}

/// Ends the region process, then every machine. Returns how many processes that were.
async fn end_all(home: &Home, grace: Duration) -> Result<usize, HookError> {
    let mut ended = 0;
    let simulated = is_simulated(home)?.unwrap_or(false);
    if let Some(region) = user_namespace::door(&home.region())? {
        let pid = i32::try_from(region.pid)?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        let asked = supervision::wait_until("the region's end", grace, async || {
            match user_namespace::door(&home.region()) {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err("it still runs".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        });
        if asked.await.is_err() {
            region.terminate().await?;
        }
        ended += 1;
    }
    let tag = tag_of(home);
    for directory in machine_directories(home)? {
        if let Some(machine) = Machine::find(&directory)? {
            machine.terminate().await?;
            ended += 1;
        }
        if let Some(name) = directory.file_name().filter(|_| !simulated) {
            let group = MachineGroup::named(&format!("{tag}/{}", name.to_string_lossy()));
            let removed = supervision::wait_until("the control group's end", grace, async || {
                group.remove().map_err(|error| supervision::error_chain(&error))
            });
            removed.await?;
        }
    }
    Ok(ended)
}

fn machine_directories(home: &Home) -> io::Result<Vec<std::path::PathBuf>> {
    match fs::read_dir(home.machines()) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Removes what Ondol made in the state directory, and the directory if nothing else is in it.
fn purge(home: &Home) -> Result<(), HookError> {
    for part in [
        home.region(),
        home.images(),
        home.machines(),
        home.path().join("clusters"),
        home.path().join("vpcs"),
    ] {
        match fs::remove_dir_all(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&part, &error).into()),
            _ => {}
        }
    }
    match fs::remove_dir(home.path()) {
        // It holds something else, or is a mount, or its place is not the user's: then it is not ours.
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty
                    | io::ErrorKind::NotFound
                    | io::ErrorKind::ResourceBusy
                    | io::ErrorKind::PermissionDenied
            ) =>
        {
            Err(at(home.path(), &error).into())
        }
        _ => Ok(()),
    }
}
