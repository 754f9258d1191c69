//! The binary: read configuration, wire, run, drain.
//!
//! **Invariant:** no logic: what can be tested lives in a crate below.
//!
//! One program is everything: the command line, the region process, a machine's processes, and what runs in the built-in image. The first word says which.

mod commands;
mod failure;
mod home;
mod host;
mod lock;
mod machine;
mod network;
mod page;
mod processes;
mod region;
mod trust;
mod vpc_services;

use std::ffi::OsString;
use std::future::Future;
use std::path::Path;
use std::process::ExitCode;

use machine_driver::user_namespace;
use supervision::{LogOptions, Supervisor};

use crate::failure::Failure;
use crate::home::Home;

/// Requests make and drop many small things on all threads: with the C library's allocator they take twice as long
/// (docs/performance.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let role = arguments.get(1).and_then(|word| word.to_str()).unwrap_or_default();
    let rest = arguments.get(2..).unwrap_or_default();
    let subject = rest.first().map(Path::new).unwrap_or(Path::new(""));
    // The first three have one thread and little memory: no runtime, no logging before them.
    let outcome = match role {
        "shim" => return ExitCode::from(u8::try_from(container_runtime::shim_main(rest)).unwrap_or(1)),
        "machine-launch" => {
            machine_driver::launcher_main(subject).map_err(|said| Failure::new("launch the machine", said))
        }
        "machine" => machine::first_process(subject),
        machine_driver::PROBE => return ExitCode::from(machine_driver::probe_main()),
        "region-server" => region_server(subject),
        "machine-runtime" => small(|supervisor| machine::runtime(subject, supervisor)),
        "machine-agent" => small(|supervisor| machine::agent(subject, supervisor)),
        "machine-proxy" => small(|supervisor| machine::proxy(subject, supervisor)),
        "network-agent" => small(|supervisor| network::run(rest, supervisor)),
        "metrics-server" => small(network::metrics_server),
        "serve-page" => small(|supervisor| page::run(rest, supervisor)),
        _ => return cli::run(arguments, &commands::LocalCommands),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ondol {role}: {}", supervision::error_chain(&failure));
            ExitCode::FAILURE
        }
    }
}

/// What every process that speaks TLS or writes a log begins with.
fn begin() -> Result<(), Failure> {
    supervision::init_logging(&LogOptions::default()).map_err(Failure::of("set up logging"))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .install_default()
        .map_err(|_provider| Failure::new("choose the TLS provider", "one was chosen before"))
}

/// Runs one of a machine's processes: one thread, ended by SIGTERM.
fn small<'a, F: Future<Output = Result<(), Failure>> + 'a>(
    run: impl FnOnce(&'a Supervisor) -> F,
) -> Result<(), Failure> {
    begin()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::of("start the runtime"))?;
    let supervisor: &'static Supervisor = Box::leak(Box::new(Supervisor::new("ondol")));
    runtime.block_on(async {
        let stop = region::stop_signal()?;
        tokio::select! {
            outcome = run(supervisor) => outcome,
            () = stop => {
                supervisor.drain(std::time::Duration::from_secs(5)).await;
                Ok(())
            }
        }
    })
}

fn region_server(home: &Path) -> Result<(), Failure> {
    let home = Home::new(home);
    // The terminal that started us may go away.
    nix::unistd::setsid().map_err(Failure::of("begin a session"))?;
    let options = region::RegionOptions::read(&home)?;
    if !options.simulated {
        user_namespace::enter_if_needed(&home.region(), &home.machines()).map_err(Failure::of(
            "enter the user namespace that nodes with containers need (`ondol up --simulated` needs none)",
        ))?;
        machine_driver::probe().map_err(Failure::of(
            "make the namespaces that nodes with containers need (`ondol up --simulated` needs none)",
        ))?;
    }
    let alone = lock::region(&home).map_err(Failure::of("lock the state directory"))?;
    if alone.is_none() {
        let said = format!("{}: another region process has it", home.path().display());
        return Err(Failure::new("lock the state directory", said));
    }
    user_namespace::leave_door(&home.region()).map_err(Failure::of("record the region process"))?;
    begin()?;
    // A region that rests has no allocation in whose course unused pages would be given back.
    tikv_jemalloc_ctl::background_thread::write(true).map_err(Failure::of("start the allocator's thread"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime
        .map_err(Failure::of("start the runtime"))?
        .block_on(region::run(home, options))
}
