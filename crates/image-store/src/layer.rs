//! One layer of an image: from a compressed tar to a directory that overlayfs can stack.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use nix::sys::stat::{Mode, SFlag, mknod};
use ruzstd::decoding::StreamingDecoder;
use sha2::{Digest, Sha256};
use tar::{Archive, Entry, EntryType};

use crate::ImageError;

/// In a layer, `.wh.NAME` says that NAME of the layers below is gone (OCI image specification, `layer.md`).
const WHITEOUT: &str = ".wh.";

/// In a layer, this file says that nothing of the layers below shows through its directory.
const OPAQUE: &str = ".wh..wh..opq";

/// Which extended attribute overlayfs reads: `trusted.` needs the machine's root, `user.` works in a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attributes {
    Trusted,
    User,
}

impl Attributes {
    pub fn of_this_process() -> Self {
        let whole = fs::read_to_string("/proc/self/uid_map")
            .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]));
        if whole { Self::Trusted } else { Self::User }
    }

    fn opaque(self) -> &'static std::ffi::CStr {
        match self {
            Self::Trusted => c"trusted.overlay.opaque",
            Self::User => c"user.overlay.opaque",
        }
    }
}

/// A reader that hashes what passes through it.
pub(crate) struct Hashing<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> Hashing<R> {
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            digest: Sha256::new(),
        }
    }

    /// Reads what is left and returns the digest of all, as `sha256:…`.
    pub fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(format!("sha256:{}", hex::encode(self.digest.finalize())))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}

/// Digest of bytes at hand.
pub(crate) fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// Opens a layer's file, whatever it is compressed with: the first bytes say it, media types are often wrong.
pub(crate) fn decompressed(path: &Path) -> Result<Box<dyn Read>, ImageError> {
    let open = || File::open(path).map_err(ImageError::disk("open layer", path));
    let mut magic = Vec::new();
    open()?
        .take(4)
        .read_to_end(&mut magic)
        .map_err(ImageError::disk("read layer", path))?;
    let file = BufReader::with_capacity(1 << 16, open()?);
    match magic.as_slice() {
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd] => StreamingDecoder::new(file)
            .map(|decoder| Box::new(decoder) as Box<dyn Read>)
            .map_err(|error| ImageError::Unsupported {
                what: format!("layer {}", path.display()),
                reason: error.to_string(),
            }),
        _ => Ok(Box::new(file)),
    }
}

/// Unpacks a layer into an empty directory and returns the digest of its uncompressed form and its size in bytes.
pub(crate) fn unpack(layer: Box<dyn Read>, into: &Path, attributes: Attributes) -> Result<(String, u64), ImageError> {
    let mut hashing = Hashing::new(layer);
    let mut size = 0;
    let mut modes = BTreeMap::new();
    {
        let mut archive = Archive::new(&mut hashing);
        archive.set_preserve_permissions(true);
        archive.set_preserve_ownerships(true);
        archive.set_preserve_mtime(true);
        archive.set_unpack_xattrs(attributes == Attributes::Trusted);
        for entry in archive.entries().map_err(ImageError::disk("read layer into", into))? {
            let entry = entry.map_err(ImageError::disk("read layer into", into))?;
            size += entry.size();
            unpack_entry(entry, into, attributes, &mut modes)?;
        }
    }
    // A directory may forbid writing into it, so its mode is set once all is in it.
    for (directory, mode) in modes.into_iter().rev() {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&directory, permissions).map_err(ImageError::disk("set the mode of", directory))?;
    }
    let digest = hashing.finish().map_err(ImageError::disk("read layer into", into))?;
    Ok((digest, size))
}

fn unpack_entry<R: Read>(
    mut entry: Entry<'_, R>,
    into: &Path,
    attributes: Attributes,
    modes: &mut BTreeMap<PathBuf, u32>,
) -> Result<(), ImageError> {
    let path = entry
        .path()
        .map_err(ImageError::disk("read layer into", into))?
        .into_owned();
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let outside = || ImageError::Unsupported {
        what: format!("layer entry {}", path.display()),
        reason: "leads outside the image".into(),
    };
    if path.components().any(|part| matches!(part, Component::ParentDir)) {
        return Err(outside());
    }
    if name == OPAQUE {
        let directory = parent_in(into, &path)?;
        return set_attribute(&directory, attributes.opaque(), b"y")
            .map_err(ImageError::disk("mark opaque", directory));
    }
    if let Some(gone) = name.strip_prefix(WHITEOUT) {
        let whiteout = parent_in(into, &path)?.join(gone);
        return mknod(&whiteout, SFlag::S_IFCHR, Mode::empty(), 0)
            .map_err(|error| ImageError::disk("make whiteout", whiteout)(error.into()));
    }
    let kind = entry.header().entry_type();
    if attributes == Attributes::User && matches!(kind, EntryType::Char | EntryType::Block) {
        // A user namespace may not make devices; containers get theirs from the runtime.
        return Ok(());
    }
    if kind == EntryType::Directory {
        let mode = entry
            .header()
            .mode()
            .map_err(ImageError::disk("read layer into", into))?;
        modes.insert(into.join(&path), mode & 0o7777);
    }
    let unpacked = entry
        .unpack_in(into)
        .map_err(ImageError::disk("unpack", into.join(&path)))?;
    if unpacked { Ok(()) } else { Err(outside()) }
}

/// The directory of an entry, made if the layer names it later or never; a link on the way would lead elsewhere and is refused.
fn parent_in(into: &Path, path: &Path) -> Result<PathBuf, ImageError> {
    let mut directory = into.to_path_buf();
    for part in path.parent().into_iter().flat_map(Path::components) {
        let Component::Normal(part) = part else { continue };
        directory.push(part);
        if directory.is_symlink() {
            return Err(ImageError::Unsupported {
                what: format!("layer entry {}", path.display()),
                reason: "leads through a link".into(),
            });
        }
    }
    fs::create_dir_all(&directory).map_err(ImageError::disk("make", &directory))?;
    Ok(directory)
}

#[allow(unsafe_code, reason = "nix has no wrapper of setxattr")]
fn set_attribute(path: &Path, name: &std::ffi::CStr, value: &[u8]) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: two terminated strings and a buffer with its length, all of which outlive the call.
    let done = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
