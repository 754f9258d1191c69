//! One running container in its shim.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use clock::{Clock, SystemClock};

use super::output::Output;
use super::{ShimError, process};
use crate::launch::{self, Spawned, Streams};
use crate::layout::ContainerFiles;
use crate::record::{self, ExitedRecord, Launch, PidNamespace, StartedRecord};
use crate::wire::{DescriptorRole, Exec};

/// A container whose first process has not been reaped yet.
pub struct Container {
    /// Its first process.
    pub pid: i32,
    /// What it writes.
    pub output: Output,
    id: String,
    launch: Launch,
    files: ContainerFiles,
    stdin: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
}

/// Reads what the runtime wrote down for the container.
pub fn read_launch(id: &str, directory: &str) -> Result<(Launch, ContainerFiles), ShimError> {
    let files = ContainerFiles {
        directory: PathBuf::from(directory),
    };
    let launch = record::read::<Launch>(&files.launch())?.ok_or_else(|| ShimError::NoLaunch(id.to_owned()))?;
    Ok((launch, files))
}

fn now() -> i64 {
    i64::try_from(SystemClock.now().as_nanosecond()).unwrap_or(i64::MAX)
}

impl Container {
    /// Makes the first process, and writes down that it runs before anyone is told.
    pub fn start(
        id: &str,
        launch: Launch,
        files: ContainerFiles,
        joined: Option<&File>,
        home: &File,
    ) -> Result<Self, ShimError> {
        let spawned = launch::start_container(&launch, &files, joined, home)?;
        let started = StartedRecord {
            pid: spawned.pid,
            start_time: process::start_time(spawned.pid),
            started_at: now(),
        };
        record::write(&files.started(), &started).inspect_err(|_| process::kill(spawned.pid))?;
        let failed = |step| {
            let container = id.to_owned();
            move |source| ShimError::Container {
                step,
                container,
                source,
            }
        };
        let (sources, stdin, terminal) = match spawned.streams {
            Streams::Pipes { stdin, stdout, stderr } => (vec![stdout, stderr], stdin, None),
            Streams::Terminal(terminal) => (
                vec![terminal.try_clone().map_err(failed("copy the terminal"))?],
                None,
                Some(terminal),
            ),
        };
        let output = Output::new(sources, &launch.log_path).map_err(failed("open the log"))?;
        Ok(Self {
            pid: spawned.pid,
            output,
            id: id.to_owned(),
            launch,
            files,
            stdin,
            terminal,
        })
    }

    /// Sends a signal to the first process.
    pub fn signal(&self, number: i32) -> Result<(), ShimError> {
        process::signal(self.pid, number).map_err(self.failed("signal the first process"))
    }

    /// Runs a further process.
    pub fn exec(&self, exec: &Exec, home: &File) -> Result<Spawned, ShimError> {
        Ok(launch::start_exec(
            &self.launch,
            self.pid,
            &exec.args,
            (exec.terminal, exec.stdin),
            home,
        )?)
    }

    /// Hands out copies of the streams.
    pub fn attach(&mut self, stdin: bool) -> Result<(Vec<i32>, Vec<OwnedFd>), ShimError> {
        let mut roles = Vec::new();
        let mut descriptors = Vec::new();
        if let Some(terminal) = &self.terminal {
            roles.push(DescriptorRole::Terminal as i32);
            descriptors.push(terminal.try_clone().map_err(self.failed("copy the terminal"))?);
        } else if stdin {
            let open = self.stdin.as_ref().ok_or_else(|| ShimError::NoStdin(self.id.clone()))?;
            roles.push(DescriptorRole::Stdin as i32);
            descriptors.push(open.try_clone().map_err(self.failed("copy standard input"))?);
        }
        let followed = if self.terminal.is_some() {
            vec![DescriptorRole::Stdout]
        } else {
            vec![DescriptorRole::Stdout, DescriptorRole::Stderr]
        };
        for (stream, role) in followed.into_iter().enumerate() {
            let end = self.output.follow(stream).map_err(self.failed("follow the output"))?;
            roles.push(role as i32);
            descriptors.push(end);
        }
        if self.launch.stdin_once {
            // The attached client holds the only end now; when it leaves, the program reads the end of its input.
            self.stdin = None;
        }
        Ok((roles, descriptors))
    }

    /// Opens the log file anew, after it was renamed away.
    pub fn reopen_log(&mut self) -> Result<(), ShimError> {
        let failed = self.failed("reopen the log");
        self.output.reopen_log(&self.launch.log_path).map_err(failed)
    }

    /// Writes down how the container ended, after its last output.
    /// The output is returned for those who have not read it all.
    pub fn finish(mut self, code: i32) -> Result<Output, ShimError> {
        if self.launch.pid_namespace() != PidNamespace::Own {
            process::kill_cgroups(&self.launch.cgroups);
        }
        self.output.finish();
        let oom_killed = process::oom_kills(&self.launch.cgroups) > 0;
        let exited = ExitedRecord {
            code,
            finished_at: now(),
            oom_killed,
            ..ExitedRecord::default()
        };
        record::write(&self.files.exited(), &exited)?;
        Ok(self.output)
    }

    fn failed(&self, step: &'static str) -> impl FnOnce(std::io::Error) -> ShimError + use<> {
        let container = self.id.clone();
        move |source| ShimError::Container {
            step,
            container,
            source,
        }
    }
}

/// The ends of a further process's streams, with the roles they have.
pub fn hand_over(streams: Streams) -> (Vec<i32>, Vec<OwnedFd>) {
    let mut roles = Vec::new();
    let mut descriptors = Vec::new();
    let mut add = |role: DescriptorRole, descriptor: OwnedFd| {
        roles.push(role as i32);
        descriptors.push(descriptor);
    };
    match streams {
        Streams::Terminal(terminal) => add(DescriptorRole::Terminal, terminal),
        Streams::Pipes { stdin, stdout, stderr } => {
            if let Some(stdin) = stdin {
                add(DescriptorRole::Stdin, stdin);
            }
            add(DescriptorRole::Stdout, stdout);
            add(DescriptorRole::Stderr, stderr);
        }
    }
    (roles, descriptors)
}
