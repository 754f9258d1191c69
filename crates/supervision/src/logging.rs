//! Where log lines go and which are kept.

use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people: time, level, target, message, fields.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What `init_logging` sets up.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// A filter as `info,kube_api=debug`. When absent the variable `ONDOL_LOG` is taken, else `info`.
    pub filter: Option<String>,
    /// How a line looks.
    pub format: LogFormat,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error("log filter {filter:?} is not understood")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else in this process has set up logging before.
    #[error("cannot set up logging")]
    AlreadySet(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends log lines to standard error, filtered. Call once, in `main`.
///
/// # Errors
/// When the filter cannot be parsed or logging was set up before.
pub fn init_logging(options: &LogOptions) -> Result<(), LoggingError> {
    let filter = options
        .filter
        .clone()
        .or_else(|| std::env::var("ONDOL_LOG").ok())
        .unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::try_new(&filter).map_err(|source| LoggingError::Filter { filter, source })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // A line that cannot be written (the log's disk is full) is lost: told on the same standard error, it would be a panic.
        .log_internal_errors(false);
    match options.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    }
    .map_err(LoggingError::AlreadySet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_filter_is_named() {
        let options = LogOptions {
            filter: Some("kube_api=loud".to_owned()),
            ..LogOptions::default()
        };
        let error = init_logging(&options).unwrap_err();
        assert_eq!(error.to_string(), "log filter \"kube_api=loud\" is not understood");
    }
}
