//! Applies a table: as a whole the first time, afterwards only what differs.
use service_routing::ruleset::Table;
use thiserror::Error;

use crate::encode;
use crate::message::Message;
use crate::socket::{NetfilterSocket, SocketError};

/// Why the rules are not as desired.
#[derive(Debug, Error)]
pub enum PacketFilterError {
    /// No access to the packet filter.
    #[error("open the packet filter")]
    Open(#[source] SocketError),
    /// The kernel refused the table; what was there before still is.
    #[error("apply table {table}")]
    Apply {
        /// Its name.
        table: String,
        /// The cause.
        #[source]
        source: SocketError,
    },
    /// The kernel refused to remove the table.
    #[error("remove table {table}")]
    Remove {
        /// Its name.
        table: String,
        /// The cause.
        #[source]
        source: SocketError,
    },
}

/// The packet filter of one network namespace.
pub struct PacketFilter {
    socket: NetfilterSocket,
    applied: Option<Table>,
}

impl PacketFilter {
    /// Opens the packet filter of the calling thread's namespace; it may be used from any thread afterwards.
    ///
    /// # Errors
    /// When the kernel has no nf_tables.
    pub fn open() -> Result<Self, PacketFilterError> {
        Ok(Self {
            socket: NetfilterSocket::open().map_err(PacketFilterError::Open)?,
            applied: None,
        })
    }

    /// The table that was applied last.
    #[must_use]
    pub fn applied(&self) -> Option<&Table> {
        self.applied.as_ref()
    }

    /// Makes the kernel's table of this name equal to `table`. Learned elements stay when only elements and ordinary
    /// chains differ from what was applied last.
    ///
    /// # Errors
    /// When the kernel refuses; the rules are then what they were.
    pub fn apply(&mut self, table: Table) -> Result<(), PacketFilterError> {
        if self.applied.as_ref() == Some(&table) {
            return Ok(());
        }
        if let Some(messages) = self
            .applied
            .as_ref()
            .and_then(|applied| encode::change_table(applied, &table))
        {
            match self.transact(messages) {
                Ok(()) => {
                    self.applied = Some(table);
                    return Ok(());
                }
                // Somebody changed our table: make it anew.
                Err(error) => tracing::warn!(
                    table = table.name,
                    error = &error as &dyn std::error::Error,
                    "rules are made anew"
                ),
            }
        }
        self.applied = None;
        let mut messages = encode::remove_table(&table.name);
        messages.extend(encode::create_table(&table));
        self.transact(messages).map_err(|source| PacketFilterError::Apply {
            table: table.name.clone(),
            source,
        })?;
        self.applied = Some(table);
        Ok(())
    }

    /// Makes the table of this name anew even if it was applied already: repairs what others changed.
    ///
    /// # Errors
    /// As [`PacketFilter::apply`].
    pub fn apply_anew(&mut self, table: Table) -> Result<(), PacketFilterError> {
        self.applied = None;
        self.apply(table)
    }

    /// Removes the table of this name; a missing one is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&mut self, table: &str) -> Result<(), PacketFilterError> {
        self.applied = self.applied.take().filter(|applied| applied.name != table);
        let outcome = self.transact(encode::remove_table(table));
        outcome.map_err(|source| PacketFilterError::Remove {
            table: table.to_owned(),
            source,
        })
    }

    /// One transaction; several only when an ordinary user's socket cannot take all at once.
    fn transact(&mut self, mut messages: Vec<Message>) -> Result<(), SocketError> {
        let limit = self.socket.batch_limit()?;
        let mut rest = messages.as_mut_slice();
        while !rest.is_empty() {
            let mut size = 0;
            let fits = rest.iter().take_while(|message| {
                size += message.bytes.len();
                size <= limit
            });
            let count = fits.count().max(1);
            let (now, later) = rest.split_at_mut(count);
            self.socket.transact(now)?;
            rest = later;
        }
        Ok(())
    }
}
