//! Pull, load, unpack and garbage-collect images.
//!
//! **Invariant:** a layer is unpacked once, and only after its digest was checked.
//!
//! One store serves every machine of this Ondol: each layer is a directory that overlayfs stacks below a container's own. Region process and
//! machines share it on disk; a lock file orders them, and everything appears by rename, so a killed process leaves at most a temporary file.

mod archive;
mod builtin;
mod catalogue;
mod error;
mod image;
mod layer;
mod pull;
mod reference;
mod service;
mod store;

pub use error::ImageError;
pub use image::{Image, ProcessDefaults, Source};
pub use pull::Credentials;
pub use reference::Reference;
pub use service::ImageService;
pub use store::ImageStore;
