//! Commands, kubeconfig and output.
//!
//! **Invariant:** asks the region by its public interfaces; decides nothing.
#![forbid(unsafe_code)]

mod access;
pub mod arguments;
mod aws;
mod change;
mod create;
mod explain;
mod flags;
pub mod hooks;
mod kubeconfig;
mod local;
mod network;
mod progress;
mod region;
mod session;
mod show;
mod signing;
pub mod trust;

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, Create, Delete, Get, Scale, Utils};
pub use hooks::Hooks;

/// Runs one command line (program name first) and says how it ended: 0 done, 1 failed, 2 not understood.
pub fn run(args: impl IntoIterator<Item = OsString>, hooks: &dyn Hooks) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            // Help and version go to standard output, errors to standard error; a closed pipe is not worth a report.
            return if error.print().is_ok() { code } else { ExitCode::FAILURE };
        }
    };
    match dispatch(&arguments, hooks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {}", supervision::error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &Arguments, hooks: &dyn Hooks) -> Result<(), Box<dyn Error + Send + Sync>> {
    let home = region::home(arguments.home.as_deref())?;
    match &arguments.command {
        Command::Up(options) => local::up(hooks, home, options),
        Command::Down(options) => local::down(hooks, home, options),
        Command::Image(command) => local::image(hooks, &home, command),
        Command::Env(options) => local::env(&home, options),
        Command::Trust(options) => trust::trust(&home, options),
        Command::GetToken(options) => access::get_token(&home, options),
        remote => runtime()?.block_on(speak(&home, remote)),
    }
}

/// Commands that speak to the region.
async fn speak(home: &Path, command: &Command) -> Result<(), Box<dyn Error + Send + Sync>> {
    match command {
        Command::Status(options) => show::status(home, options).await,
        Command::Explain(options) => explain::explain(home, options).await,
        Command::Create(Create::Cluster(options)) => create::cluster(home, options).await,
        Command::Create(Create::Nodegroup(options)) => create::nodegroup(home, options).await,
        Command::Get(Get::Cluster(options)) => show::clusters(home, options).await,
        Command::Get(Get::Nodegroup(options)) => show::nodegroups(home, options).await,
        Command::Scale(Scale::Nodegroup(options)) => change::scale(home, options).await,
        Command::Delete(Delete::Cluster(options)) => change::delete_cluster(home, options).await,
        Command::Delete(Delete::Nodegroup(options)) => change::delete_nodegroup(home, options).await,
        Command::Utils(Utils::WriteKubeconfig(options)) => access::write_kubeconfig(home, options).await,
        Command::Up(_)
        | Command::Down(_)
        | Command::Image(_)
        | Command::Env(_)
        | Command::Trust(_)
        | Command::GetToken(_) => Err("this command does not speak to the region".into()),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
