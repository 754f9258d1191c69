//! Commands, kubeconfig and output.
//!
//! **Invariant:** asks the region by its public interfaces; decides nothing.
#![forbid(unsafe_code)]

mod access;
pub mod arguments;
mod aws;
mod change;
mod create;
mod eksctl;
mod explain;
pub mod hooks;
mod iam;
mod kubeconfig;
mod kubernetes;
mod local;
mod network;
mod output;
mod progress;
mod region;
mod role;
mod session;
mod show;
mod signing;
mod stack;
pub mod trust;

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use arguments::{Arguments, Command};
use eksctl::Given;
pub use hooks::Hooks;

/// Runs one command line (program name first) and says how it ended: 0 done, 1 failed, 2 not understood.
pub fn run(args: impl IntoIterator<Item = OsString>, hooks: &dyn Hooks) -> ExitCode {
    let line = eksctl::table::augment(Arguments::command());
    let matches = match line.try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            // Help and version go to standard output, errors to standard error; a closed pipe is not worth a report.
            return if error.print().is_ok() { code } else { ExitCode::FAILURE };
        }
    };
    match dispatch(&matches, hooks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {}", supervision::error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(matches: &ArgMatches, hooks: &dyn Hooks) -> Result<(), Box<dyn Error + Send + Sync>> {
    let given_home = matches.get_one::<PathBuf>("home");
    if let Some(given) = Given::find(matches) {
        // The schema and what is not available need no home.
        let home = region::home(given_home.map(PathBuf::as_path))?;
        return runtime()?.block_on(eksctl::run(&home, &given));
    }
    let arguments = Arguments::from_arg_matches(matches)?;
    let home = region::home(arguments.home.as_deref())?;
    match &arguments.command {
        Command::Up(options) => local::up(hooks, home, options),
        Command::Down(options) => local::down(hooks, home, options),
        Command::Image(command) => local::image(hooks, &home, command),
        Command::Env(options) => local::env(&home, options),
        Command::Account(command) => local::account(hooks, &home, command),
        Command::Trust(options) => trust::trust(&home, options),
        Command::GetToken(options) => access::get_token(&home, options),
        remote => runtime()?.block_on(speak(&home, remote)),
    }
}

/// Ondol's own commands that speak to the region.
async fn speak(home: &Path, command: &Command) -> Result<(), Box<dyn Error + Send + Sync>> {
    match command {
        Command::Status(options) => show::status(home, options).await,
        Command::Explain(options) => explain::explain(home, options).await,
        Command::Up(_)
        | Command::Down(_)
        | Command::Image(_)
        | Command::Env(_)
        | Command::Account(_)
        | Command::Trust(_)
        | Command::GetToken(_) => Err("this command does not speak to the region".into()),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
