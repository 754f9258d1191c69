//! moto's own tests, run against a region of ours: how far what people test with moto holds here.
//!
//! moto's source distribution comes from the package index into `target/moto` and is not changed. What moto does otherwise than AWS is
//! listed by `crates/aws-api/tests/moto/cases.txt`, with AWS's rule, and so is what says nothing about a region; a test of EKS that fails
//! and is not listed fails the run. Outcomes are kept file by file below `target/moto/outcomes`.

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
/// Seconds that a test, and that the tests of a file together, may take.
const TEST_LIMIT: u32 = 60;
const FILE_LIMIT: u32 = 1800;
/// How often a file is begun again after a test that did not come to an end.
const MOST_RUNS: u32 = 20;

/// Which of moto's tests to run.
#[derive(Args, Default)]
pub struct Options {
    /// Services, for example `eks iam`; all of them when none is named.
    services: Vec<String>,
    /// Names every test that failed, and every one that does not apply, with the reason.
    #[arg(long)]
    failures: bool,
    /// Goes on where an earlier run of the same release was stopped, instead of beginning anew.
    #[arg(long)]
    resume: bool,
}

/// What is known of a test: what AWS does otherwise than moto, or why the test says nothing about a region.
struct Case {
    /// Whether it cannot be run against a region at all.
    inapplicable: bool,
    why: String,
}

/// Known cases by test; a name that ends with `*` means every test that begins so.
fn cases() -> Result<Vec<(String, Case)>, TaskError> {
    let path = workspace().join("crates/aws-api/tests/moto/cases.txt");
    let text = fs::read_to_string(&path).map_err(at(&path))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| {
        let (name, rule) = line.split_once(' ').unwrap_or((line, ""));
        let (inapplicable, why) = match rule.trim().strip_prefix("n/a:") {
            Some(why) => (true, why),
            None => (false, rule),
        };
        let why = why.trim().to_owned();
        (name.to_owned(), Case { inapplicable, why })
    };
    Ok(lines.map(split).collect())
}

fn find<'a>(cases: &'a [(String, Case)], name: &str) -> Option<&'a Case> {
    let fits = |known: &str| match known.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == known,
    };
    cases.iter().find(|(known, _)| fits(known)).map(|(_, case)| case)
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
    let runner = Runner {
        python: &python,
        source: &source,
        address: region.address.clone(),
    };
    let outcome = all(options, &cases, &runner);
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

/// How a service's tests came out.
#[derive(Default)]
struct Sum {
    passed: usize,
    failed: Vec<String>,
    differs: Vec<String>,
    inapplicable: Vec<String>,
}

impl Sum {
    fn of(outcomes: &Outcomes, cases: &[(String, Case)]) -> Self {
        let mut sum = Self::default();
        for (name, (outcome, why)) in outcomes {
            match (outcome.as_str(), find(cases, name)) {
                ("passed", _) => sum.passed += 1,
                ("skipped", _) => sum.inapplicable.push(format!("{name}: {why}")),
                (_, Some(case)) if case.inapplicable => sum.inapplicable.push(format!("{name}: {}", case.why)),
                (_, Some(case)) => sum.differs.push(format!("{name}: {}", case.why)),
                (_, None) => sum.failed.push(format!("{name}: {why}")),
            }
        }
        sum
    }
}

fn all(options: &Options, cases: &[(String, Case)], runner: &Runner<'_>) -> Result<(), TaskError> {
    let named = |service: &&&str| options.services.is_empty() || options.services.iter().any(|name| name == **service);
    println!(
        "{:<16}{:>8}{:>8}{:>18}{:>16}",
        "service", "passed", "failed", "AWS does not", "not applicable"
    );
    let mut unexpected = 0;
    for service in SERVICES.iter().filter(named) {
        let sum = Sum::of(&runner.test(service, options.resume)?, cases);
        println!(
            "{service:<16}{:>8}{:>8}{:>18}{:>16}",
            sum.passed,
            sum.failed.len(),
            sum.differs.len(),
            sum.inapplicable.len()
        );
        if options.failures || *service == STRICT {
            sum.failed.iter().for_each(|line| println!("  failed: {line}"));
        }
        if options.failures {
            sum.differs.iter().for_each(|line| println!("  AWS does not: {line}"));
            sum.inapplicable
                .iter()
                .for_each(|line| println!("  not applicable: {line}"));
        }
        if *service == STRICT {
            unexpected = sum.failed.len();
        }
    }
    match unexpected {
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

/// What runs the tests.
struct Runner<'a> {
    python: &'a Path,
    source: &'a Path,
    address: String,
}

impl Runner<'_> {
    /// The outcome of each test of a service, file by file.
    fn test(&self, service: &str, resume: bool) -> Result<Outcomes, TaskError> {
        let folder = target().join("moto/outcomes").join(service);
        if folder.exists() && !resume {
            fs::remove_dir_all(&folder).map_err(at(&folder))?;
        }
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let tests = self.source.join(format!("tests/test_{service}"));
        let mut all = Outcomes::new();
        let entries: Vec<_> = fs::read_dir(&tests)
            .map_err(at(&tests))?
            .collect::<Result<_, _>>()
            .map_err(at(&tests))?;
        let mut files: Vec<String> = entries
            .into_iter()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            // The last one drives moto's own web application, without a server.
            .filter(|name| name.starts_with("test_") && name.ends_with(".py") && name != "test_server.py")
            .collect();
        files.sort();
        for file in files {
            let outcomes = folder.join(&file).with_extension("txt");
            self.run(service, &file, &outcomes)?;
            all.extend(read(&outcomes)?);
        }
        Ok(all)
    }

    /// Runs what has no outcome yet of a file. A run that ends in the middle of a test, or is ended by the time limit of its file,
    /// counts that test as failed and goes on after it.
    fn run(&self, service: &str, file: &str, outcomes: &Path) -> Result<(), TaskError> {
        let running = outcomes.with_extension("txt.now");
        for _ in 0..MOST_RUNS {
            let output = self
                .pytest(service, file, outcomes)
                .output()
                .map_err(|source| TaskError::Start {
                    program: "pytest".to_owned(),
                    source,
                })?;
            if !running.exists() {
                // Nothing collected is pytest's code 5: everything has its outcome, or the file has no test.
                if !outcomes.exists() && output.status.code() != Some(5) {
                    let said = String::from_utf8_lossy(&output.stdout).into_owned();
                    eprintln!("{service}/{file} cannot be run:\n{said}");
                }
                return Ok(());
            }
            let name = fs::read_to_string(&running).map_err(at(&running))?;
            let mut text = if outcomes.exists() {
                fs::read_to_string(outcomes).map_err(at(outcomes))?
            } else {
                String::new()
            };
            text.push_str(&format!("failed\t{name}\tthe run ended in the middle of it\n"));
            fs::write(outcomes, text).map_err(at(outcomes))?;
            fs::remove_file(&running).map_err(at(&running))?;
        }
        Ok(())
    }

    fn pytest(&self, service: &str, file: &str, outcomes: &Path) -> Command {
        let plugin = workspace().join("crates/aws-api/tests/moto");
        let mut command = Command::new(self.python);
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
                "-p",
                "no:faulthandler",
            ])
            .arg(format!("tests/test_{service}/{file}"))
            .current_dir(self.source)
            .env("PYTHONPATH", format!("{}:{}", self.source.display(), plugin.display()))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("TEST_SERVER_MODE", "true")
            .env("TEST_SERVER_MODE_ENDPOINT", &self.address)
            .env("REGION_SERVICE", service)
            .env("REGION_OUTCOMES", outcomes)
            .env("REGION_FILE_LIMIT", FILE_LIMIT.to_string())
            .env("REGION_TEST_LIMIT", TEST_LIMIT.to_string())
            .env("AWS_ACCESS_KEY_ID", "FOOBARKEY")
            .env("AWS_SECRET_ACCESS_KEY", "FOOBARSECRET")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        command
    }
}

/// The outcomes in a file; none when it is not there.
fn read(outcomes: &Path) -> Result<Outcomes, TaskError> {
    if !outcomes.exists() {
        return Ok(Outcomes::new());
    }
    let text = fs::read_to_string(outcomes).map_err(at(outcomes))?;
    let line = |line: &str| {
        let mut parts = line.splitn(3, '\t').map(str::to_owned);
        let (outcome, name) = (parts.next()?, parts.next()?);
        Some((name, (outcome, parts.next().unwrap_or_default())))
    };
    Ok(text.lines().filter_map(line).collect())
}
