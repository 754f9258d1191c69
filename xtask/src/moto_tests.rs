//! moto's own tests, run against a region of ours: how far what people test with moto holds here.
//!
//! moto's source distribution comes from the package index into `target/moto` and is not changed. What moto does otherwise than AWS is
//! listed by `crates/aws-api/tests/moto/cases.txt`, with AWS's rule; a test of EKS that fails and is not listed fails the run.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::Args;

use crate::command::{TaskError, at, cargo, on_path, run, target, workspace};

/// The release that is run: newer ones come with newer ideas of AWS.
const MOTO: &str = "moto==5.2.5";
/// What moto's tests import besides.
const BESIDES: &[&str] = &["pytest", "freezegun", "requests", "boto3"];
/// Services in the order in which they are run.
const SERVICES: &[&str] = &["eks", "iam", "sts", "autoscaling", "cloudformation", "ec2"];
/// The service whose tests must pass or be listed.
const STRICT: &str = "eks";

/// Which of moto's tests to run.
#[derive(Args, Default)]
pub struct Options {
    /// Services, for example `eks iam`; all of them when none is named.
    services: Vec<String>,
    /// Names every test that failed, with the reason.
    #[arg(long)]
    failures: bool,
}

/// Cases that differ from AWS, by test: what AWS does.
fn cases() -> Result<BTreeMap<String, String>, TaskError> {
    let path = workspace().join("crates/aws-api/tests/moto/cases.txt");
    let text = fs::read_to_string(&path).map_err(at(&path))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| {
        let (name, rule) = line.split_once(' ').unwrap_or((line, ""));
        (name.to_owned(), rule.trim().to_owned())
    };
    Ok(lines.map(split).collect())
}

/// Runs the tests and prints a table.
pub fn run_tests(options: &Options) -> Result<(), TaskError> {
    let (python, source) = install()?;
    let cases = cases()?;
    run(cargo().args([
        "build",
        "--quiet",
        "-p",
        "aws-api",
        "-p",
        "ondol",
        "--example",
        "moto-region",
    ]))?;
    let mut region = start()?;
    let outcome = all(options, &cases, (python.as_path(), source.as_path()), &region.address);
    region
        .child
        .kill()
        .and_then(|()| region.child.wait())
        .map_err(|source| TaskError::Start {
            program: "the region's end".to_owned(),
            source,
        })?;
    outcome
}

fn all(
    options: &Options,
    cases: &BTreeMap<String, String>,
    (python, source): (&Path, &Path),
    address: &str,
) -> Result<(), TaskError> {
    let named = |service: &&&str| options.services.is_empty() || options.services.iter().any(|name| name == **service);
    println!(
        "{:<16}{:>8}{:>8}{:>8}{:>16}",
        "service", "passed", "failed", "listed", "not applicable"
    );
    let mut unexpected = Vec::new();
    for service in SERVICES.iter().filter(named) {
        let outcomes = test(python, source, address, service)?;
        let (mut passed, mut failed, mut listed, mut skipped) = (0, Vec::new(), 0, 0);
        for (name, (outcome, why)) in &outcomes {
            match (outcome.as_str(), cases.get(name)) {
                ("passed", _) => passed += 1,
                ("skipped", _) => skipped += 1,
                (_, Some(_)) => listed += 1,
                _ => failed.push(format!("{name}: {why}")),
            }
        }
        println!("{service:<16}{passed:>8}{:>8}{listed:>8}{skipped:>16}", failed.len());
        if options.failures || *service == STRICT {
            failed.iter().for_each(|failure| println!("  {failure}"));
        }
        if *service == STRICT {
            unexpected = failed;
        }
    }
    match unexpected.len() {
        0 => Ok(()),
        some => Err(TaskError::Unexpected(format!(
            "{some} of moto's {STRICT} tests fail and are not listed"
        ))),
    }
}

/// The region's process and where it listens.
struct Region {
    child: Child,
    address: String,
}

fn start() -> Result<Region, TaskError> {
    let program = target().join("debug/examples/moto-region");
    let started = |source| TaskError::Start {
        program: program.display().to_string(),
        source,
    };
    let mut child = Command::new(&program).stdout(Stdio::piped()).spawn().map_err(started)?;
    let mut address = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut address).map_err(started)?;
    }
    Ok(Region {
        child,
        address: address.trim().to_owned(),
    })
}

/// A Python with moto and what its tests need, and moto's unpacked sources.
fn install() -> Result<(PathBuf, PathBuf), TaskError> {
    let directory = target().join("moto");
    let (environment, source) = (target().join("tools/moto"), directory.join("source"));
    let python = environment.join("bin/python");
    if !python.exists() {
        let system = on_path("python3").ok_or_else(|| TaskError::Missing("python3 is not on PATH".into()))?;
        run(Command::new(system).args(["-m", "venv"]).arg(&environment))?;
    }
    fs::create_dir_all(&directory).map_err(at(&directory))?;
    let ready = directory.join("ready");
    if !ready.exists() {
        let pip = ["-m", "pip", "--quiet", "--disable-pip-version-check"];
        run(Command::new(&python)
            .args(pip)
            .arg("install")
            .args(BESIDES)
            .arg(format!("moto[server]{}", &MOTO[4..])))?;
        run(Command::new(&python)
            .args(pip)
            .args(["download", "--no-deps", "--no-binary", "moto", "-d"])
            .arg(&directory)
            .arg(MOTO))?;
        fs::create_dir_all(&source).map_err(at(&source))?;
        let archive = directory.join(format!("moto-{}.tar.gz", &MOTO[6..]));
        run(Command::new("tar")
            .arg("xzf")
            .arg(&archive)
            .args(["--strip-components=1", "-C"])
            .arg(&source))?;
        fs::write(&ready, MOTO).map_err(at(&ready))?;
    }
    Ok((python, source))
}

type Outcomes = BTreeMap<String, (String, String)>;

/// The outcome of each test of a service.
fn test(python: &Path, source: &Path, address: &str, service: &str) -> Result<Outcomes, TaskError> {
    let outcomes = target().join(format!("moto/{service}.txt"));
    if outcomes.exists() {
        fs::remove_file(&outcomes).map_err(at(&outcomes))?;
    }
    let plugin = workspace().join("crates/aws-api/tests/moto");
    let mut command = Command::new(python);
    command
        .args([
            "-m",
            "pytest",
            "-q",
            "--no-header",
            "-p",
            "region_plugin",
            "-p",
            "no:cacheprovider",
            // These drive moto's own web application, without a server.
            "--ignore-glob=*test_server.py",
            "--continue-on-collection-errors",
        ])
        .arg(format!("tests/test_{service}"))
        .current_dir(source)
        .env("PYTHONPATH", format!("{}:{}", source.display(), plugin.display()))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("TEST_SERVER_MODE", "true")
        .env("TEST_SERVER_MODE_ENDPOINT", address)
        .env("REGION_OUTCOMES", &outcomes)
        .env("AWS_ACCESS_KEY_ID", "FOOBARKEY")
        .env("AWS_SECRET_ACCESS_KEY", "FOOBARSECRET")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    // That tests fail is an outcome, not an error of the run.
    let output = command.output().map_err(|source| TaskError::Start {
        program: "pytest".to_owned(),
        source,
    })?;
    let Ok(text) = fs::read_to_string(&outcomes) else {
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        return Err(TaskError::Unexpected(format!(
            "pytest left no outcomes of {service}:\n{said}"
        )));
    };
    let line = |line: &str| {
        let mut parts = line.splitn(3, '\t').map(str::to_owned);
        let (outcome, name) = (parts.next()?, parts.next()?);
        Some((name, (outcome, parts.next().unwrap_or_default())))
    };
    Ok(text.lines().filter_map(line).collect())
}
