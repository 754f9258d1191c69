//! KMS plugins as key services.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use kms_plugin::{Encrypted, Plugin, PluginError};

use super::envelope::{KeyService, KeyServiceError, Wrapped};

/// A plugin that is called from when it is first needed.
pub(super) struct PluginService {
    name: String,
    socket: PathBuf,
    timeout: Duration,
    plugin: OnceLock<Result<Plugin, KeyServiceError>>,
}

impl PluginService {
    pub fn new(name: &str, socket: PathBuf, timeout: Duration) -> Self {
        Self {
            name: name.to_owned(),
            socket,
            timeout,
            plugin: OnceLock::new(),
        }
    }

    fn plugin(&self) -> Result<&Plugin, KeyServiceError> {
        let started = self.plugin.get_or_init(|| {
            let started = Plugin::start(&self.name, &self.socket, self.timeout);
            started.map_err(|error| KeyServiceError(supervision::error_chain(&error)))
        });
        started.as_ref().map_err(Clone::clone)
    }
}

fn failed(error: PluginError) -> KeyServiceError {
    KeyServiceError(error.0)
}

impl KeyService for PluginService {
    fn key_id(&self) -> String {
        self.plugin().map(Plugin::key_id).unwrap_or_default()
    }

    fn encrypt(&self, plain: &[u8]) -> Result<Wrapped, KeyServiceError> {
        let encrypted = self.plugin()?.encrypt(plain).map_err(failed)?;
        Ok(Wrapped {
            cipher: encrypted.cipher,
            key_id: encrypted.key_id,
            annotations: encrypted.annotations,
        })
    }

    fn decrypt(&self, wrapped: &Wrapped) -> Result<Vec<u8>, KeyServiceError> {
        let Wrapped {
            cipher,
            key_id,
            annotations,
        } = wrapped.clone();
        let encrypted = Encrypted {
            cipher,
            key_id,
            annotations,
        };
        self.plugin()?.decrypt(&encrypted).map_err(failed)
    }

    /// What is in memory may be read while the plugin is away.
    fn ready(&self) -> Result<(), KeyServiceError> {
        Ok(())
    }

    fn check_writable(&self) -> Result<(), KeyServiceError> {
        let plugin = self.plugin()?;
        // The first answer is worth waiting for.
        if plugin.key_id().is_empty() {
            return plugin.check_health().map_err(failed);
        }
        plugin.check_writable().map_err(failed)
    }

    fn check_health(&self) -> Result<(), KeyServiceError> {
        self.plugin()?.check_health().map_err(failed)
    }
}
