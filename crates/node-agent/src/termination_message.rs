//! The last words of a container: a file that it was given, or the end of its log.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use cri_api::v1 as cri;

use crate::log_lines;
use crate::runtime::{annotation, mounts};

/// Bytes of a message file that are read.
const LONGEST: u64 = 4096;
/// Bytes and lines of a log that stand in for a message.
const LONGEST_FROM_LOG: usize = 2048;
const MOST_LINES: usize = 80;

/// Reads the message of an exited container: its file, else (policy FallbackToLogsOnError, after a failure) the end of its
/// log, else what the runtime says.
pub(crate) fn read(status: &cri::ContainerStatus) -> String {
    let path = status
        .annotations
        .get(annotation::MESSAGE_PATH)
        .map(String::as_str)
        .unwrap_or_default();
    let file = mounts(status)
        .get(path)
        .map(|host| read_start(host))
        .unwrap_or_default();
    if !file.is_empty() {
        return file;
    }
    let policy = status.annotations.get(annotation::MESSAGE_POLICY).map(String::as_str);
    if policy == Some("FallbackToLogsOnError") && status.exit_code != 0 && !status.log_path.is_empty() {
        return end_of_log(Path::new(&status.log_path));
    }
    status.message.clone()
}

fn read_start(path: &Path) -> String {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "termination message cannot be read");
            String::new()
        }
    }
}

fn end_of_log(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        // Log lines carry a time stamp; twice the wanted length is enough for most.
        file.seek(SeekFrom::Start(length.saturating_sub(4 * LONGEST_FROM_LOG as u64)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match read() {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "log cannot be read for a termination message");
            return String::new();
        }
    };
    let mut lines: Vec<Vec<u8>> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| log_lines::parse(line).map(|line| line.content()))
        .collect();
    lines.drain(..lines.len().saturating_sub(MOST_LINES));
    let text = String::from_utf8_lossy(&lines.concat()).into_owned();
    let cut = text.len().saturating_sub(LONGEST_FROM_LOG);
    let start = (cut..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[start..].to_owned()
}
