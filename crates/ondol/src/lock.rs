//! Who may start and end the region of a state directory, and who is its region: one at a time each, by locks that end with their holder.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use crate::home::Home;

/// A lock, held until it is dropped or its process ends.
pub struct Held {
    _file: Flock<File>,
}

/// Waits until no other `ondol up` or `ondol down` is at work on this state directory.
///
/// # Errors
/// When the lock's file cannot be made.
pub fn change(home: &Home) -> io::Result<Held> {
    let path = home.region().join("change.lock");
    loop {
        let held = match Flock::lock(open(&path)?, FlockArg::LockExclusive) {
            Ok(file) => file,
            Err((_, error)) => return Err(at(&path, error.into())),
        };
        // `ondol down --purge` removes the directory, and with it the lock that others wait for.
        let is_the_file =
            fs::metadata(&path).is_ok_and(|there| held.metadata().is_ok_and(|it| there.ino() == it.ino()));
        if is_the_file {
            return Ok(Held { _file: held });
        }
    }
}

/// Makes the calling process the region of this state directory; None if another is.
///
/// # Errors
/// When the lock's file cannot be made.
pub fn region(home: &Home) -> io::Result<Option<Held>> {
    let path = home.region().join("region.lock");
    match Flock::lock(open(&path)?, FlockArg::LockExclusiveNonblock) {
        Ok(file) => Ok(Some(Held { _file: file })),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(at(&path, error.into())),
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|error| at(directory, error))?;
    }
    let opened = File::options().create(true).truncate(false).write(true).open(path);
    opened.map_err(|error| at(path, error))
}

fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_has_one_region_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let first = region(&home).unwrap();
        assert!(first.is_some());
        assert!(region(&home).unwrap().is_none());
        drop(first);
        assert!(region(&home).unwrap().is_some());
    }

    #[test]
    fn whoever_waited_for_a_purge_locks_what_is_there_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let purging = change(&home).unwrap();
        let waiting = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| change(&home));
            fs::remove_dir_all(home.region()).unwrap();
            drop(purging);
            waiter.join()
        });
        let waiting = waiting.unwrap().unwrap();
        assert!(home.region().join("change.lock").exists());
        drop(waiting);
    }
}
