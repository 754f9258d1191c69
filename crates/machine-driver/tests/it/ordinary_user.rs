//! Machines of a user without any rights, made for the test and removed after it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::{fs, io};

use machine_driver::user_namespace::{Privilege, enter_if_needed, leave_door};
use machine_driver::{Machine, launch};

use crate::machines::{Bench, block_on};
use crate::possible;

/// A user of the test, and a directory of its own with a copy of this program.
struct User {
    name: String,
    home: PathBuf,
}

impl User {
    fn make(name: &str, ranges: &str) -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("not root, so no user can be made".to_owned());
        }
        for program in ["useradd", "userdel", "runuser", "newuidmap", "newgidmap"] {
            found(program).map_err(|error| format!("{program}: {error}"))?;
        }
        let name = format!("{name}{}", std::process::id());
        let mut command = Command::new("useradd");
        command
            .args(["--no-create-home", "--shell", "/bin/sh"])
            .args(ranges.split_whitespace())
            .arg(&name);
        let made = command.output().map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(format!("useradd: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let home = std::env::temp_dir().join(&name);
        let user = Self { name, home };
        fs::create_dir_all(user.home.join("machines/i-1")).unwrap();
        fs::create_dir_all(user.home.join("region")).unwrap();
        fs::copy(std::env::current_exe().unwrap(), user.program()).unwrap();
        fs::set_permissions(user.program(), fs::Permissions::from_mode(0o755)).unwrap();
        let owned = Command::new("chown")
            .arg("-R")
            .arg(&user.name)
            .arg(&user.home)
            .status()
            .unwrap();
        assert!(owned.success());
        Ok(user)
    }

    fn program(&self) -> PathBuf {
        self.home.join("program")
    }

    /// Runs this program as the user.
    fn run(&self, step: &str) -> Output {
        let mut command = Command::new("runuser");
        command
            .args(["-u", &self.name, "--"])
            .arg(self.program())
            .args(["ordinary-user", step])
            .arg(&self.home);
        command.current_dir("/").output().unwrap()
    }

    fn succeeds(&self, step: &str) -> String {
        let output = self.run(step);
        let log = fs::read_to_string(self.home.join("machines/i-1/log")).unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{step}: {said}\nlog: {log}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // The user's machine, if a failed test has left it.
        if let Ok(Some(machine)) = Machine::find(&self.home.join("machines/i-1")) {
            block_on(machine.terminate()).unwrap();
        }
        fs::remove_dir_all(&self.home).unwrap();
        let gone = Command::new("userdel").arg(&self.name).output().unwrap();
        assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
    }
}

fn found(program: &str) -> io::Result<()> {
    Command::new(program).arg("--help").output().map(drop)
}

pub fn an_ordinary_user_has_machines_too() {
    // useradd gives ranges of its own accord where /etc/login.defs says so, as distributions do.
    let Some(user) = possible(User::make("ondolt", "")) else {
        return;
    };
    let started = user.succeeds("start");
    let pid: u32 = started.trim().parse().unwrap();
    // Everything of the user is gone but the machine; a new process finds namespace and machine again.
    assert_eq!(user.succeeds("find").trim(), pid.to_string());
    assert_eq!(user.succeeds("find").trim(), pid.to_string());
    user.succeeds("end");
    assert_eq!(Machine::find(&user.home.join("machines/i-1")).unwrap(), None);
    // With nothing left to join, a new namespace is made.
    let again = user.succeeds("start");
    assert_ne!(again, started);
    user.succeeds("end");
}

pub fn a_user_without_ranges_is_told_what_helps() {
    let Some(user) = possible(User::make("ondoln", "--key SUB_UID_COUNT=0 --key SUB_GID_COUNT=0")) else {
        return;
    };
    let output = user.run("start");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let expected = format!(
        "/etc/subuid has no range for user {}; add one, for example with `sudo usermod",
        user.name
    );
    assert!(said.contains(&expected), "{said}");
}

/// Not a test: what the user does. The namespace is entered before anything else, as `ondol` does it.
pub fn in_namespace(step: &str, home: &Path) -> ExitCode {
    let (region, machines) = (home.join("region"), home.join("machines"));
    match enter_if_needed(&region, &machines) {
        Ok(privilege) => assert_eq!(privilege, Privilege::UserNamespace),
        Err(error) => {
            eprintln!("{}", supervision::error_chain(&error));
            return ExitCode::FAILURE;
        }
    }
    assert!(nix::unistd::geteuid().is_root());
    leave_door(&region).unwrap();
    let directory = machines.join("i-1");
    let bench = std::mem::ManuallyDrop::new(Bench::at(&directory));
    block_on(async {
        match step {
            "start" => {
                let machine = launch(&bench.spec(&[]), None).await.unwrap();
                let facts = bench.facts(None).await;
                assert_eq!((facts["parent"].as_str(), facts["loopback"].as_str()), ("1", "true"));
                // Root here, the user outside, and a range of other users.
                let ids: Vec<&str> = facts["uid_map"].split(' ').collect();
                assert_eq!((ids[0], ids[2], ids.len()), ("0", "1", 6), "{ids:?}");
                println!("{}", machine.pid);
            }
            "find" => {
                let found = Machine::find(&directory).unwrap().expect("the machine runs on");
                println!("{}", found.pid);
            }
            _ => {
                let found = Machine::find(&directory).unwrap().expect("the machine runs on");
                found.terminate().await.unwrap();
                fs::remove_file(directory.join("facts")).unwrap();
            }
        }
    });
    ExitCode::SUCCESS
}
