//! A user without any rights, made for a test and removed after it, who has the programs in a directory of their own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Provisions;

/// The user, whose directory holds `bin` and the state directory.
pub struct User {
    name: String,
    directory: PathBuf,
}

impl User {
    /// Makes a user; `ranges` are options of `useradd` that say which subordinate ids it has. Err says why that cannot be done here.
    pub fn make(purpose: &str, ranges: &[&str], provisions: &Provisions) -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("only root can make a user".to_owned());
        }
        for program in ["useradd", "userdel", "runuser", "newuidmap", "newgidmap"] {
            let found = Command::new(program).arg("--help").output();
            found.map_err(|error| format!("{program}: {error}"))?;
        }
        let name = format!("{purpose}{}", std::process::id());
        let mut command = Command::new("useradd");
        command
            .args(["--no-create-home", "--shell", "/bin/sh"])
            .args(ranges)
            .arg(&name);
        let made = command.output().map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(format!("useradd: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let user = Self {
            directory: std::env::temp_dir().join(&name),
            name,
        };
        let bin = user.bin();
        fs::create_dir_all(&bin).expect("a directory can be made");
        let ondol = Path::new(env!("CARGO_BIN_EXE_ondol"));
        for (program, from) in [("ondol", ondol), ("kubectl", &provisions.tools.join("kubectl"))] {
            fs::copy(from, bin.join(program)).expect("a program can be copied");
            fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755))
                .expect("it can be made executable");
        }
        Ok(user)
    }

    /// Programs that this user may run.
    pub fn bin(&self) -> PathBuf {
        self.directory.join("bin")
    }

    /// Makes an empty directory of the user's own.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        fs::create_dir_all(&path).expect("a directory can be made");
        self.owns(&path);
        path
    }

    /// Gives a file to the user.
    pub fn owns(&self, path: &Path) {
        let status = Command::new("chown").arg("-R").arg(&self.name).arg(path).status();
        assert!(status.expect("chown starts").success());
    }

    /// A command that this user runs.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("runuser");
        command.args(["-u", &self.name, "--"]).arg(program).current_dir("/");
        command
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // Files of the user's other ids are among them; root may remove those too.
        fs::remove_dir_all(&self.directory).expect("the user's directory can be removed");
        let gone = Command::new("userdel")
            .arg(&self.name)
            .output()
            .expect("userdel starts");
        if !gone.status.success() {
            println!("userdel: {}", String::from_utf8_lossy(&gone.stderr));
        }
    }
}
