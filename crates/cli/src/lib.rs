//! Commands, kubeconfig and output.
//!
//! **Invariant:** asks the region by its public interfaces; decides nothing.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod hooks;
mod local;
mod region;

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
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
        _ => Err("this command is not built yet".into()),
    }
}
