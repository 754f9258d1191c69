//! Where a runtime serves exec, attach and port-forward.

use std::path::PathBuf;

/// A streaming URL of the runtime: over TCP, or over a unix socket as `unix:///path.sock:/exec/token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamingUrl {
    Tcp { authority: String, path: String },
    Unix { socket: PathBuf, path: String },
}

impl StreamingUrl {
    pub(crate) fn parse(url: &str) -> Option<Self> {
        if let Some(rest) = url.strip_prefix("unix://") {
            let (socket, path) = rest.rsplit_once(".sock:")?;
            return Some(Self::Unix {
                socket: format!("{socket}.sock").into(),
                path: path.to_owned(),
            });
        }
        let rest = url.strip_prefix("http://")?;
        let (authority, path) = rest.split_once('/')?;
        Some(Self::Tcp {
            authority: authority.to_owned(),
            path: format!("/{path}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streaming_urls() {
        assert_eq!(
            StreamingUrl::parse("unix:///run/o/streaming.sock:/exec/ab"),
            Some(StreamingUrl::Unix {
                socket: "/run/o/streaming.sock".into(),
                path: "/exec/ab".into()
            })
        );
        assert_eq!(
            StreamingUrl::parse("http://127.0.0.1:9000/attach/ab"),
            Some(StreamingUrl::Tcp {
                authority: "127.0.0.1:9000".into(),
                path: "/attach/ab".into()
            })
        );
        assert_eq!(StreamingUrl::parse("ftp://x/y"), None);
    }
}
