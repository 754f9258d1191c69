//! The file: one event a line; a file that is full is put aside, and old ones are removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

/// Where the log is, and how much of it is kept (upstream's `--audit-log-*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// The file that is written.
    pub path: PathBuf,
    /// Bytes at which it is put aside.
    pub largest: u64,
    /// Files that were put aside are removed after so many days; `None` = never for their age.
    pub days: Option<u32>,
    /// So many of them are kept; `None` = all.
    pub backups: Option<usize>,
}

impl LogOptions {
    /// A file that is put aside at 100 MB, as upstream's is, and of which ten are kept.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            largest: 100 << 20,
            days: None,
            backups: Some(10),
        }
    }
}

/// The open file.
pub(super) struct LogFile {
    options: LogOptions,
    file: File,
    length: u64,
}

impl LogFile {
    pub(super) fn open(options: LogOptions) -> io::Result<Self> {
        if let Some(directory) = options.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = append(&options.path)?;
        let length = file.metadata()?.len();
        Ok(Self { options, file, length })
    }

    /// Writes a line; first puts the file aside when it would become too large.
    pub(super) fn write(&mut self, line: &[u8], now: Timestamp) -> io::Result<()> {
        let more = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.length > 0 && self.length.saturating_add(more) > self.options.largest {
            self.put_aside(now)?;
        }
        self.file.write_all(line)?;
        self.length += more;
        Ok(())
    }

    fn put_aside(&mut self, now: Timestamp) -> io::Result<()> {
        fs::rename(&self.options.path, self.backup(now))?;
        self.file = append(&self.options.path)?;
        self.length = 0;
        self.remove_old(now)
    }

    /// `audit-2026-01-02T15-04-05.000.log` for `audit.log`, as lumberjack names them.
    fn backup(&self, now: Timestamp) -> PathBuf {
        let (stem, extension) = self.parts();
        let stamp = now.strftime("%Y-%m-%dT%H-%M-%S.%3f");
        self.options.path.with_file_name(format!("{stem}-{stamp}{extension}"))
    }

    fn parts(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
        let stem = text(self.options.path.file_stem()).unwrap_or_default();
        let extension = text(self.options.path.extension()).map(|extension| format!(".{extension}"));
        (stem, extension.unwrap_or_default())
    }

    fn remove_old(&self, now: Timestamp) -> io::Result<()> {
        let (stem, extension) = self.parts();
        let directory = self.options.path.parent().unwrap_or(Path::new("."));
        let mut kept = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let stamp = name
                .strip_prefix(&format!("{stem}-"))
                .and_then(|rest| rest.strip_suffix(&extension));
            if let Some(stamp) = stamp.filter(|stamp| stamp.starts_with(|first: char| first.is_ascii_digit())) {
                kept.push((stamp.to_owned(), entry.path()));
            }
        }
        // Stamps sort as their moments do; the newest first.
        kept.sort_by(|a, b| b.0.cmp(&a.0));
        let oldest = self.options.days.map(|days| {
            let oldest = now - SignedDuration::from_hours(24 * i64::from(days));
            oldest.strftime("%Y-%m-%dT%H-%M-%S.%3f").to_string()
        });
        for (index, (stamp, path)) in kept.into_iter().enumerate() {
            let too_many = self.options.backups.is_some_and(|most| index >= most);
            if too_many || oldest.as_ref().is_some_and(|oldest| stamp < *oldest) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
