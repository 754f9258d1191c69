//! The region of moto's tests, in whose clusters and instances nothing runs: for what metadata alone costs.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::aws::Keys;
use crate::command::{TaskError, cargo, run, target};

/// Its process.
pub struct Bare {
    process: Child,
    /// Where it listens.
    pub endpoint: String,
}

impl Bare {
    /// Builds and starts it.
    pub fn start(debug: bool) -> Result<Self, TaskError> {
        let mut build = cargo();
        build.args([
            "build",
            "--quiet",
            "-p",
            "aws-api",
            "-p",
            "ondol",
            "--example",
            "moto-region",
        ]);
        if !debug {
            build.arg("--release");
        }
        run(&mut build)?;
        let program = target()
            .join(if debug { "debug" } else { "release" })
            .join("examples/moto-region");
        let started = |source| TaskError::Start {
            program: program.display().to_string(),
            source,
        };
        let mut process = Command::new(&program).stdout(Stdio::piped()).spawn().map_err(started)?;
        let mut endpoint = String::new();
        let output = process.stdout.take();
        let mut bare = Self {
            process,
            endpoint: String::new(),
        };
        if let Some(output) = output {
            BufReader::new(output).read_line(&mut endpoint).map_err(started)?;
        }
        endpoint.trim().clone_into(&mut bare.endpoint);
        Ok(bare)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The keys that it knows.
    pub fn keys() -> Keys {
        Keys {
            id: "FOOBARKEY".to_owned(),
            secret: "FOOBARSECRET".to_owned(),
            region: "ap-northeast-2".to_owned(),
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait().map(drop)) {
            eprintln!("error: end the region: {error}");
        }
    }
}
