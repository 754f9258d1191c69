//! What runtime and shim say to each other: packets on a unix socket, with file descriptors alongside.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect,
    listen, recvmsg, sendmsg, socket,
};
use prost::Message;

/// Most bytes of one packet; below the kernel's usual limit for a unix socket's buffer.
pub const MOST_BYTES: usize = 160 * 1024;
/// Most descriptors of one packet.
const MOST_DESCRIPTORS: usize = 3;

/// Runtime to shim.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// Comes back in the reply; never 0.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// What to do.
    #[prost(oneof = "Action", tags = "2, 3, 4, 5, 6, 7, 9, 10")]
    pub action: Option<Action>,
}

/// What a shim can be asked.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Action {
    /// Make and run a container's first process.
    #[prost(message, tag = "2")]
    Start(Start),
    /// Send a signal to a container.
    #[prost(message, tag = "3")]
    Signal(Signal),
    /// Run a further process in a container.
    #[prost(message, tag = "4")]
    Exec(Exec),
    /// End a further process.
    #[prost(message, tag = "5")]
    KillExec(KillExec),
    /// Follow a container's streams.
    #[prost(message, tag = "6")]
    Attach(Attach),
    /// Open the log file anew.
    #[prost(message, tag = "7")]
    ReopenLog(ReopenLog),
    /// End: no container runs any more.
    #[prost(message, tag = "9")]
    Shutdown(Shutdown),
    /// Name what runs.
    #[prost(message, tag = "10")]
    List(List),
}

/// See [`Action::Start`].
#[derive(Clone, PartialEq, Message)]
pub struct Start {
    /// The container.
    #[prost(string, tag = "1")]
    pub container_id: String,
    /// Its directory, with the launch record in it.
    #[prost(string, tag = "2")]
    pub directory: String,
}

/// See [`Action::Signal`].
#[derive(Clone, PartialEq, Message)]
pub struct Signal {
    /// The container.
    #[prost(string, tag = "1")]
    pub container_id: String,
    /// Number of the signal.
    #[prost(int32, tag = "2")]
    pub signal: i32,
}

/// See [`Action::Exec`].
#[derive(Clone, PartialEq, Message)]
pub struct Exec {
    /// The container.
    #[prost(string, tag = "1")]
    pub container_id: String,
    /// Program and arguments.
    #[prost(string, repeated, tag = "2")]
    pub args: Vec<String>,
    /// With a terminal.
    #[prost(bool, tag = "3")]
    pub terminal: bool,
    /// With an open standard input.
    #[prost(bool, tag = "4")]
    pub stdin: bool,
}

/// See [`Action::KillExec`].
#[derive(Clone, PartialEq, Message)]
pub struct KillExec {
    /// The process, as the reply to [`Action::Exec`] named it.
    #[prost(int32, tag = "1")]
    pub pid: i32,
}

/// See [`Action::Attach`].
#[derive(Clone, PartialEq, Message)]
pub struct Attach {
    /// The container.
    #[prost(string, tag = "1")]
    pub container_id: String,
    /// Descriptor 1 of the reply.
    #[prost(bool, tag = "2")]
    pub stdin: bool,
}

/// See [`Action::ReopenLog`].
#[derive(Clone, PartialEq, Message)]
pub struct ReopenLog {
    /// The container.
    #[prost(string, tag = "1")]
    pub container_id: String,
}

/// See [`Action::Shutdown`].
#[derive(Clone, PartialEq, Message)]
pub struct Shutdown {}

/// See [`Action::List`].
#[derive(Clone, PartialEq, Message)]
pub struct List {}

/// Shim to runtime.
#[derive(Clone, PartialEq, Message)]
pub struct Report {
    /// The request that this answers; 0 = something happened.
    #[prost(uint64, tag = "1")]
    pub reply_to: u64,
    /// Why the request failed; empty = it did not.
    #[prost(string, tag = "2")]
    pub error: String,
    /// The process that was made.
    #[prost(int32, tag = "3")]
    pub pid: i32,
    /// The container that ended, or the one that was started.
    #[prost(string, tag = "4")]
    pub container_id: String,
    /// The exec that ended, by its process.
    #[prost(int32, tag = "5")]
    pub ended_exec: i32,
    /// Its exit code.
    #[prost(int32, tag = "6")]
    pub code: i32,
    /// Containers that run ([`Action::List`]).
    #[prost(string, repeated, tag = "7")]
    pub running: Vec<String>,
    /// Descriptors that come along, in this order; see [`DescriptorRole`].
    #[prost(enumeration = "DescriptorRole", repeated, tag = "8")]
    pub descriptors: Vec<i32>,
}

/// What a descriptor beside a report is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum DescriptorRole {
    /// Write end of standard input.
    Stdin = 0,
    /// Read end of standard output.
    Stdout = 1,
    /// Read end of standard error.
    Stderr = 2,
    /// A terminal's controlling side.
    Terminal = 3,
}

/// A socket that keeps packets apart.
fn new_socket(nonblocking: bool) -> io::Result<OwnedFd> {
    let mut flags = SockFlag::SOCK_CLOEXEC;
    flags.set(SockFlag::SOCK_NONBLOCK, nonblocking);
    Ok(socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?)
}

/// The socket's address by way of its directory's descriptor, because an address holds 107 bytes and a state directory may be deep.
fn address(path: &Path) -> io::Result<(std::fs::File, UnixAddr)> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("a socket needs a file name"))?;
    let directory = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(parent)?;
    let short = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(name);
    Ok((directory, UnixAddr::new(&short)?))
}

/// Listens on `path`, in place of what is there.
pub fn listen_on(path: &Path) -> io::Result<OwnedFd> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = new_socket(true)?;
    let (_directory, address) = address(path)?;
    bind(listener.as_raw_fd(), &address)?;
    listen(&listener, Backlog::new(16)?)?;
    Ok(listener)
}

/// Connects to the shim that listens on `path`.
pub fn connect_to(path: &Path) -> io::Result<OwnedFd> {
    let stream = new_socket(true)?;
    let (_directory, address) = address(path)?;
    connect(stream.as_raw_fd(), &address)?;
    Ok(stream)
}

/// Sends one packet, whole or not at all.
pub fn send(to: BorrowedFd<'_>, message: &impl Message, descriptors: &[RawFd]) -> io::Result<()> {
    let bytes = message.encode_to_vec();
    if bytes.len() > MOST_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} bytes are more than a packet holds", bytes.len()),
        ));
    }
    let control: &[ControlMessage<'_>] = if descriptors.is_empty() {
        &[]
    } else {
        &[ControlMessage::ScmRights(descriptors)]
    };
    sendmsg::<()>(
        to.as_raw_fd(),
        &[IoSlice::new(&bytes)],
        control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
}

/// Receives one packet; `None` when the other side has gone.
pub fn receive<M: Message + Default>(from: BorrowedFd<'_>) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let mut buffer = vec![0u8; MOST_BYTES];
    let mut control = nix::cmsg_space!([RawFd; MOST_DESCRIPTORS]);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<()>(
        from.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            descriptors.extend(numbers.into_iter().map(own));
        }
    }
    let length = message.bytes;
    if length == 0 {
        return Ok(None);
    }
    let decoded = M::decode(&buffer[..length]).map_err(io::Error::other)?;
    Ok(Some((decoded, descriptors)))
}

#[allow(unsafe_code, reason = "the kernel hands descriptors over as numbers")]
fn own(number: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, in answer to recvmsg, and nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(number) }
}
