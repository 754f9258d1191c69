//! The one request pipeline: admission, defaults, validation, storage, watch; and the table of every kind.
//!
//! **Invariant:** no handler of one kind and verb.
#![forbid(unsafe_code)]

mod access;
mod admission;
mod bootstrap;
mod cache;
mod cached;
pub mod columns;
mod compaction;
mod convert;
mod custom;
pub mod encryption;
mod escalation;
pub mod kinds;
pub mod options;
mod pipeline;
mod policy_status;
mod registry;
mod render;
pub mod request;
mod reviews;
mod services;
pub mod status;
mod subresources;
pub mod webhook;

pub use access::Authorizer;
pub use access_rules::{Attributes, Decision, User};
pub use admission::fargate::FargateProfiles;
pub use admission::pod_identity::PodIdentities;
pub use encryption::{Encryption, EncryptionConfiguration, EncryptionError, KeyService, KeyServiceError, Wrapped};
pub use kinds::{KindTable, ResourceKind};
pub use options::{DeleteOptions, GetOptions, ListOptions, WatchOptions, WriteOptions};
pub use registry::{
    IssuedToken, Options, Registry, RegistryError, ReviewedToken, StoreObserver, TokenClaims, TokenError, TokenIssuer,
};
pub use request::{
    Annotations, Body, Context, Encoding, Form, IncludeObject, MediaType, Reply, RequestBody, Target, Warnings,
};
pub use request::{WatchEvent, WatchEventKind, WatchReply};
pub use status::{StatusError, Subject};
