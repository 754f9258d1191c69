//! What a container writes: from its pipes or terminal into its log, and to whoever is attached.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use clock::{Clock, SystemClock};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::unistd::{pipe2, read, write};

use super::log::{LineCutter, Log};

/// Bytes that one turn takes from one stream, so that a talkative container does not silence the others.
const BYTES_PER_TURN: usize = 64 * 1024;

/// The streams of a container.
pub struct Output {
    sources: Vec<Source>,
    followers: Vec<Follower>,
    log: Log,
}

struct Source {
    stream: usize,
    cutter: LineCutter,
    /// `None` after its end.
    descriptor: Option<OwnedFd>,
}

/// Somebody attached: the write end of a pipe.
struct Follower {
    stream: usize,
    descriptor: OwnedFd,
    /// What the pipe had no room for. Nothing more is read from the container until it is empty.
    pending: Vec<u8>,
}

impl Output {
    /// Of standard output and error, or of a terminal.
    pub fn new(descriptors: Vec<OwnedFd>, log_path: &str) -> io::Result<Self> {
        let mut sources = Vec::new();
        for (stream, descriptor) in descriptors.into_iter().enumerate() {
            never_block(&descriptor)?;
            let cutter = LineCutter::new(if stream == 0 { "stdout" } else { "stderr" });
            sources.push(Source {
                stream,
                cutter,
                descriptor: Some(descriptor),
            });
        }
        Ok(Self {
            sources,
            followers: Vec::new(),
            log: Log::open(log_path)?,
        })
    }

    /// What to wait for.
    pub fn waits(&self) -> Vec<PollFd<'_>> {
        let held_up = self.held_up();
        let mut waits = Vec::new();
        for descriptor in self
            .sources
            .iter()
            .filter_map(|source| source.descriptor.as_ref())
            .filter(|_| !held_up)
        {
            waits.push(PollFd::new(descriptor.as_fd(), PollFlags::POLLIN));
        }
        for follower in &self.followers {
            // Without a wish the kernel still tells when the other end was closed.
            let wish = if follower.pending.is_empty() {
                PollFlags::empty()
            } else {
                PollFlags::POLLOUT
            };
            waits.push(PollFd::new(follower.descriptor.as_fd(), wish));
        }
        waits
    }

    /// Whether any of the ready descriptors is one of these.
    pub fn concerns(&self, ready: &[RawFd]) -> bool {
        let sources = self
            .sources
            .iter()
            .filter_map(|source| source.descriptor.as_ref())
            .map(AsRawFd::as_raw_fd);
        let followers = self.followers.iter().map(|follower| follower.descriptor.as_raw_fd());
        sources.chain(followers).any(|descriptor| ready.contains(&descriptor))
    }

    fn held_up(&self) -> bool {
        self.followers.iter().any(|follower| !follower.pending.is_empty())
    }

    /// Moves what can be moved now.
    pub fn pump(&mut self) {
        self.flush_followers();
        if !self.held_up() {
            for place in 0..self.sources.len() {
                self.pump_source(place);
            }
        }
    }

    /// Reads once; whether there may be more.
    fn pump_source(&mut self, place: usize) -> bool {
        let mut buffer = vec![0u8; BYTES_PER_TURN];
        let source = &mut self.sources[place];
        let Some(descriptor) = &source.descriptor else {
            return false;
        };
        let mut lines = Vec::new();
        let now = format!("{:.9}", SystemClock.now());
        let length = match read(descriptor, &mut buffer) {
            Err(Errno::EAGAIN | Errno::EINTR) => return false,
            // A terminal ends with EIO when its last program has gone.
            Ok(0) | Err(_) => {
                source.cutter.finish(&now, &mut lines);
                source.descriptor = None;
                0
            }
            Ok(length) => {
                source.cutter.cut(&buffer[..length], &now, &mut lines);
                length
            }
        };
        let stream = source.stream;
        if let Err(error) = self.log.write(&lines) {
            eprintln!("shim: cannot write the log: {error}");
        }
        for follower in self.followers.iter_mut().filter(|follower| follower.stream == stream) {
            follower.pending.extend_from_slice(&buffer[..length]);
        }
        self.flush_followers();
        length > 0
    }

    fn flush_followers(&mut self) {
        self.followers.retain_mut(|follower| {
            while !follower.pending.is_empty() {
                match write(&follower.descriptor, &follower.pending) {
                    Ok(length) => drop(follower.pending.drain(..length)),
                    Err(Errno::EAGAIN | Errno::EINTR) => return true,
                    Err(_gone) => return false,
                }
            }
            !closed(follower)
        });
    }

    /// Begins to copy a stream to the pipe whose read end is returned. A stream that has ended yields its end.
    pub fn follow(&mut self, stream: usize) -> io::Result<OwnedFd> {
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
        never_block(&ours)?;
        if self
            .sources
            .iter()
            .any(|source| source.stream == stream && source.descriptor.is_some())
        {
            self.followers.push(Follower {
                stream,
                descriptor: ours,
                pending: Vec::new(),
            });
        }
        Ok(theirs)
    }

    /// Goes on in a new file.
    pub fn reopen_log(&mut self, path: &str) -> io::Result<()> {
        self.log = Log::open(path)?;
        Ok(())
    }

    /// Takes everything that the ended container left in its streams.
    pub fn finish(&mut self) {
        for place in 0..self.sources.len() {
            while self.pump_source(place) {}
        }
        let now = format!("{:.9}", SystemClock.now());
        let mut lines = Vec::new();
        for source in &mut self.sources {
            source.cutter.finish(&now, &mut lines);
        }
        if let Err(error) = self.log.write(&lines) {
            eprintln!("shim: cannot write the log: {error}");
        }
        // Somebody attached gets the rest later: the container's end must not wait for a slow reader.
        self.flush_followers();
        self.followers.retain(|follower| !follower.pending.is_empty());
    }

    /// Whether somebody attached has not read everything yet.
    pub fn is_unread(&self) -> bool {
        self.held_up()
    }
}

/// Whether the reader has gone.
fn closed(follower: &Follower) -> bool {
    let mut wait = [PollFd::new(follower.descriptor.as_fd(), PollFlags::empty())];
    matches!(nix::poll::poll(&mut wait, nix::poll::PollTimeout::ZERO), Ok(count) if count > 0)
}

fn never_block(descriptor: &OwnedFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
