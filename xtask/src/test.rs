//! Every test of the project, in the order in which a failure is cheapest to find.

use clap::Args;

use crate::command::{self, TaskError, cargo};
use crate::{etcd, kube_facts, test_images, tools};

/// What of the whole test to run.
#[derive(Args)]
pub struct Options {
    /// Only the tests that need no real client and no container image.
    #[arg(long)]
    without_clients: bool,
}

/// Format and lints, then every test; end to end ones find their clients and images by environment variable.
pub fn run(options: &Options) -> Result<(), TaskError> {
    run_step("format", || command::run(cargo().args(["fmt", "--all", "--check"])))?;
    run_step("lints", || {
        command::run(cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]);
    match run_step("fixtures", kube_facts::fixtures) {
        Ok(directory) => {
            tests.env("ONDOL_TEST_KUBERNETES_FIXTURES", directory);
        }
        Err(error) => println!("only the objects that tests make themselves are used: {error}"),
    }
    if !options.without_clients {
        match run_step("clients and images", prepare) {
            Ok((bin, images)) => {
                tests
                    .env("PATH", path_with(&bin)?)
                    .env("ONDOL_TEST_TOOLS", bin)
                    .env("ONDOL_TEST_IMAGES", images);
            }
            Err(error) if std::env::var_os("CI").is_some() => return Err(error),
            Err(error) => println!("end to end tests will be skipped: {error}"),
        }
    }
    run_step("tests", || command::run(&mut tests))?;
    run_step("the API on etcd", etcd::test_api)
}

fn prepare() -> Result<(std::path::PathBuf, std::path::PathBuf), TaskError> {
    let tools = tools::install()?;
    let images = test_images::build_all()?;
    let directory = images
        .first()
        .and_then(|image| image.parent())
        .map(std::path::Path::to_path_buf)
        .unwrap_or_default();
    Ok((tools.bin, directory))
}

fn run_step<T>(name: &str, step: impl FnOnce() -> Result<T, TaskError>) -> Result<T, TaskError> {
    println!("== {name}");
    step()
}

/// `PATH` with the real clients first, for tests that look for `kubectl` there.
fn path_with(bin: &std::path::Path) -> Result<std::ffi::OsString, TaskError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(bin.to_path_buf()).chain(std::env::split_paths(&path));
    std::env::join_paths(all).map_err(|error| TaskError::Unexpected(error.to_string()))
}
