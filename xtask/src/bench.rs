//! How fast and how small Ondol is, beside what the kernel or a peer takes in the same run.
//!
//! The load comes from this program, so it runs optimised like what it measures: an unoptimised build starts itself again.
//! Nothing here is asserted; figures of a shared machine say little alone, so processor time is shown beside wall time.

mod api;
mod client;
mod figures;
mod many;
mod page;
mod peers;
mod pods;
mod processes;
mod region;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use supervision::Supervisor;

use self::figures::milliseconds;
use self::region::Region;
use crate::command::{TaskError, cargo, run, target};
use crate::demo::build;

/// How long the system pods may take to run, and how long nothing happens before memory is read.
const PATIENCE: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_secs(5);

/// What is measured.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    subject: Option<Subject>,
    /// Pods created one by one.
    #[arg(long, default_value_t = 30)]
    pods: usize,
    /// Build without optimisation: for trying the benchmark itself.
    #[arg(long, global = true)]
    debug: bool,
    /// What an optimised build of this program is told by the one that starts it.
    #[arg(long, global = true, hide = true)]
    built: bool,
}

#[derive(Subcommand)]
enum Subject {
    /// The API server alone: creates, reads, lists and watches under load.
    Api(api::Options),
    /// A region with many clusters: its operations, and what each cluster costs.
    Region(many::Options),
}

/// Measures and prints; whatever happens, what was started is ended.
pub fn run_bench(options: &Options) -> Result<(), TaskError> {
    if !options.debug && !options.built {
        return again_optimised();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| TaskError::Unexpected(format!("start the runtime: {error}")))?;
    let supervisor = Supervisor::new("bench");
    runtime.block_on(async {
        let measured = async {
            match &options.subject {
                Some(Subject::Api(subject)) => api::measure(subject, options.debug, &supervisor).await,
                Some(Subject::Region(subject)) => many::measure(subject, options.debug, &supervisor).await,
                None => whole(options, &supervisor).await,
            }
        };
        let outcome = tokio::select! {
            outcome = measured => outcome,
            interrupted = tokio::signal::ctrl_c() => Err(TaskError::Unexpected(format!("interrupted: {interrupted:?}"))),
        };
        supervisor.drain(Duration::from_secs(5)).await;
        outcome
    })
}

fn again_optimised() -> Result<(), TaskError> {
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "--package", "xtask", "--"]);
    command.args(std::env::args_os().skip(1)).arg("--built");
    run(&mut command)
}

/// A region with a cluster of two nodes: its memory at rest, its pods, and the way to a page.
async fn whole(options: &Options, supervisor: &Supervisor) -> Result<(), TaskError> {
    let ondol = build(options.debug)?;
    let region = Region::start(&ondol)?;
    let measured = in_region(&region, &ondol, options, supervisor).await;
    let ended = region.end();
    measured.and(ended)
}

async fn in_region(region: &Region, ondol: &Path, options: &Options, supervisor: &Supervisor) -> Result<(), TaskError> {
    let created = region.create_cluster()?;
    println!("create cluster, two nodes ready: {}", milliseconds(created));
    let server = region.server(supervisor)?;
    pods::wait_for_system(&mut server.connect().await?, PATIENCE).await?;
    supervision::sleep(REST).await;
    let together = processes::print_memory("memory at rest, one cluster with two nodes", &region.processes()?);
    println!(
        "  all processes together: {} (aim: under 150 MiB)",
        figures::mebibytes(together.proportional)
    );
    pods::measure(region, &server, options.pods).await?;
    print_peers(ondol);
    region.delete_cluster()?;
    let (created, answered) = page::measure(region, supervisor).await?;
    println!(
        "\nfrom `ondol create cluster` to the page: {:.2} s ({:.2} s until the command returned; aim: under 5 s)",
        answered.as_secs_f64(),
        created.as_secs_f64()
    );
    Ok(())
}

fn print_peers(ondol: &Path) {
    match peers::start_in_namespaces(ondol) {
        Some(durations) => println!(
            "  beside it, `unshare` starting the same program in namespaces: {}",
            milliseconds(durations.median())
        ),
        None => println!("  beside it: `unshare` cannot make namespaces here"),
    }
}

/// A directory of the benchmark's own below `target`, empty.
fn fresh_directory(name: &str) -> Result<PathBuf, TaskError> {
    let directory = target().join(name);
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(crate::command::at(&directory)(error));
        }
        _ => {}
    }
    std::fs::create_dir_all(&directory).map_err(crate::command::at(&directory))?;
    Ok(directory)
}
