//! Pages that are reached through a proxy: links and redirects to their own host lead through the proxy too.
//!
//! Source: `apimachinery/pkg/util/proxy/transport.go`, `upgradeaware.go`.

use std::io::{self, Read, Write};

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::{DeflateDecoder, MultiGzDecoder};
use flate2::write::{DeflateEncoder, GzEncoder};
use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION};
use http_body_util::{BodyExt, Limited};
use registry::StatusError;

use crate::resources::header;
use crate::respond::Answer;

/// Pages longer than this cannot be passed on, before or after they are compressed.
const LONGEST_PAGE: usize = 64 << 20;

/// Tells the other side under which path the client knows it.
pub(super) const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// What the other side says of who may read its answers means its own host.
const OF_ITS_OWN_HOST: [HeaderName; 4] = [
    http::header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    http::header::ACCESS_CONTROL_ALLOW_HEADERS,
    http::header::ACCESS_CONTROL_ALLOW_METHODS,
    http::header::ACCESS_CONTROL_ALLOW_ORIGIN,
];

/// Attributes that hold URLs, by the tags that have them. Source: HTML 4.01's index of attributes and HTML 5.
const LINKS: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];

/// The way through the proxy.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// The path under which the other side's `/` is, without a slash at the end.
    pub prefix: String,
    /// Host and port at which this server reaches the other side.
    pub target: String,
    /// Host and port by which the client reaches this server.
    pub asked: String,
}

impl Way {
    /// The path of the other side as the client knows it.
    pub fn path(&self, path: &str) -> String {
        joined(&self.prefix, path)
    }

    /// A URL that leads through the proxy; `None` for one that may stay as it is: relative, of another host, or of none.
    fn through(&self, url: &str) -> Option<String> {
        let scheme = scheme_of(url);
        let rest = scheme.map_or(url, |scheme| &url[scheme.len() + 1..]);
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        let is_of_another_host = !host.is_empty() && host != self.target && host != self.asked;
        if is_of_another_host || !path.starts_with('/') {
            return None;
        }
        let end = path.find(['?', '#']).unwrap_or(path.len());
        let (path, rest) = path.split_at(end);
        let path = if path.starts_with(&self.prefix) {
            path.to_owned()
        } else {
            self.path(path)
        };
        // The client's own host may stay; the target's means nothing to the client.
        let origin = match (host, scheme) {
            (host, Some(scheme)) if !host.is_empty() && host == self.asked => format!("{scheme}://{host}"),
            (host, None) if !host.is_empty() && host == self.asked => format!("//{host}"),
            _ => String::new(),
        };
        Some(format!("{origin}{path}{rest}"))
    }

    /// An answer of the other side as the client is to have it.
    ///
    /// # Errors
    /// When a page is too long, or not what its headers say.
    pub async fn answer(&self, mut answer: Answer) -> Result<Answer, StatusError> {
        for name in &OF_ITS_OWN_HOST {
            answer.headers_mut().remove(name);
        }
        let text = |headers: &HeaderMap, name: HeaderName| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let location = text(answer.headers(), LOCATION);
        if !location.is_empty() {
            if let Some(through) = self.through(&location) {
                answer.headers_mut().insert(LOCATION, header(&through));
            }
            return Ok(answer);
        }
        let media_type = text(answer.headers(), CONTENT_TYPE);
        let is_page = media_type
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim() == "text/html");
        let encoding = text(answer.headers(), CONTENT_ENCODING);
        // What is compressed in another way cannot be read here.
        let Some(encoding) = Encoding::read(&encoding).filter(|_| is_page) else {
            return Ok(answer);
        };
        let (mut parts, body) = answer.into_parts();
        let failed = |problem: String| StatusError::internal(format!("failed to rewrite URLs: {problem}"));
        let page = Limited::new(body, LONGEST_PAGE).collect().await;
        let page = page.map_err(|error| failed(error.to_string()))?.to_bytes();
        if page.is_empty() {
            return Ok(Answer::from_parts(parts, Body::empty()));
        }
        let page = encoding
            .changed(page, |page| rewritten(page, |url| self.through(url)))
            .map_err(|error| failed(error.to_string()))?;
        parts.headers.remove(CONTENT_LENGTH);
        Ok(Answer::from_parts(parts, Body::from(page)))
    }
}

/// How a page is compressed.
#[derive(Clone, Copy)]
enum Encoding {
    Plain,
    Gzip,
    Deflate,
}

impl Encoding {
    fn read(name: &str) -> Option<Self> {
        match name {
            "" => Some(Self::Plain),
            "gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            _ => None,
        }
    }

    /// The page changed, compressed as before.
    fn changed(self, page: Bytes, change: impl FnOnce(&[u8]) -> Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain => Ok(change(&page)),
            Self::Gzip => {
                let plain = read_to_end(MultiGzDecoder::new(&page[..]))?;
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&change(&plain))?;
                encoder.finish()
            }
            Self::Deflate => {
                let plain = read_to_end(DeflateDecoder::new(&page[..]))?;
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(&change(&plain))?;
                encoder.finish()
            }
        }
    }
}

fn read_to_end(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    let most = LONGEST_PAGE as u64;
    if reader.take(most + 1).read_to_end(&mut plain)? as u64 > most {
        return Err(io::Error::other("the page is too long"));
    }
    Ok(plain)
}

/// A page with its links as `change` makes them; everything else stays byte for byte.
fn rewritten(page: &[u8], change: impl Fn(&str) -> Option<String>) -> Vec<u8> {
    let mut found: Vec<(Span<usize>, String)> = Vec::new();
    let mut links: &[&str] = &[];
    let mut is_link = false;
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, span: Span<usize>| {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                let known = LINKS.iter().find(|(tag, _)| tag.as_bytes() == name);
                links = known.map_or(&[], |(_, links)| *links);
            }
            CallbackEvent::AttributeName { name } => is_link = links.iter().any(|link| link.as_bytes() == name),
            CallbackEvent::AttributeValue { value } if is_link => {
                let value = std::str::from_utf8(value).ok();
                found.extend(value.and_then(&change).map(|changed| (span, changed)));
            }
            // What an end tag has of attributes means nothing.
            CallbackEvent::CloseStartTag { .. } | CallbackEvent::EndTag { .. } => links = &[],
            _ => {}
        }
        None::<std::convert::Infallible>
    });
    // Scripts hold no tags.
    emitter.naively_switch_states(true);
    // Reading from memory cannot fail.
    let Ok(()) = Tokenizer::new_with_emitter(page, emitter).finish();
    let mut whole = Vec::with_capacity(page.len());
    let mut copied = 0;
    for (span, changed) in found {
        whole.extend_from_slice(&page[copied..span.start]);
        whole.extend_from_slice(escaped(&changed).as_bytes());
        copied = span.end;
    }
    whole.extend_from_slice(&page[copied..]);
    whole
}

/// A text as the value of an attribute.
fn escaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => value.push_str("&amp;"),
            '\'' => value.push_str("&#39;"),
            '<' => value.push_str("&lt;"),
            '>' => value.push_str("&gt;"),
            '"' => value.push_str("&#34;"),
            other => value.push(other),
        }
    }
    value
}

/// The scheme of a URL, if it has one.
fn scheme_of(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    is_scheme.then_some(scheme)
}

/// Two paths as one, without empty parts and ways back; the slash at the end stays.
fn joined(prefix: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in prefix.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> Way {
        Way {
            prefix: "/api/v1/namespaces/n/pods/p/proxy".to_owned(),
            target: "10.0.0.1:8080".to_owned(),
            asked: "localhost:8001".to_owned(),
        }
    }

    #[test]
    fn urls_of_the_pages_own_host_lead_through_the_proxy() {
        for (url, wanted) in [
            ("/rewriteme", Some("/api/v1/namespaces/n/pods/p/proxy/rewriteme")),
            (
                "/a/../b//c/?q=/x#f",
                Some("/api/v1/namespaces/n/pods/p/proxy/b/c/?q=/x#f"),
            ),
            ("/", Some("/api/v1/namespaces/n/pods/p/proxy/")),
            (
                "/api/v1/namespaces/n/pods/p/proxy/there",
                Some("/api/v1/namespaces/n/pods/p/proxy/there"),
            ),
            ("http://10.0.0.1:8080/a", Some("/api/v1/namespaces/n/pods/p/proxy/a")),
            ("//10.0.0.1:8080/a", Some("/api/v1/namespaces/n/pods/p/proxy/a")),
            (
                "https://localhost:8001/a",
                Some("https://localhost:8001/api/v1/namespaces/n/pods/p/proxy/a"),
            ),
            ("http://example.com/a", None),
            ("http://10.0.0.1:8080", None),
            ("relative", None),
            ("?q", None),
            ("#f", None),
            ("", None),
            ("mailto:a@example.com", None),
            ("javascript:go('/a')", None),
        ] {
            assert_eq!(way().through(url).as_deref(), wanted, "{url}");
        }
    }

    #[test]
    fn links_are_changed_where_they_are_and_nothing_else() {
        let through = |url: &str| url.starts_with('/').then(|| format!("/P{url}"));
        for (page, wanted) in [
            ("<a href=\"/rewriteme\">test</a>", "<a href=\"/P/rewriteme\">test</a>"),
            (
                "<A\r\n HREF='/a' title='/a'>/a</A>",
                "<A\r\n HREF='/P/a' title='/a'>/a</A>",
            ),
            ("<img src=/a.png alt=b><p src=/c>", "<img src=/P/a.png alt=b><p src=/c>"),
            ("<a href=\"/a?b=1&amp;c=2\">", "<a href=\"/P/a?b=1&amp;c=2\">"),
            (
                "<script src='/s.js'>if (a<b) document.write('<a href=\"/a\">')</script><a href=/b>",
                "<script src='/P/s.js'>if (a<b) document.write('<a href=\"/a\">')</script><a href=/P/b>",
            ),
            (
                "<!-- <a href='/a'> --><a href='b'>",
                "<!-- <a href='/a'> --><a href='b'>",
            ),
            ("<video poster='/p' src='/v'>", "<video poster='/P/p' src='/P/v'>"),
            ("<a href='/é'>ü\u{fffd}</a>", "<a href='/P/é'>ü\u{fffd}</a>"),
            ("no page", "no page"),
        ] {
            let found = String::from_utf8(rewritten(page.as_bytes(), through)).unwrap();
            assert_eq!(found, wanted);
        }
        let broken = b"<a href='/\xff'>\xfe<a href='/a'>";
        assert_eq!(rewritten(broken, through), b"<a href='/\xff'>\xfe<a href='/P/a'>");
    }

    #[test]
    fn compressed_pages_stay_compressed() {
        for encoding in [Encoding::Plain, Encoding::Gzip, Encoding::Deflate] {
            let same = |page: &[u8]| page.to_vec();
            let packed = match encoding {
                Encoding::Plain => b"page".to_vec(),
                Encoding::Gzip => {
                    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                    encoder.write_all(b"page").unwrap();
                    encoder.finish().unwrap()
                }
                Encoding::Deflate => {
                    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
                    encoder.write_all(b"page").unwrap();
                    encoder.finish().unwrap()
                }
            };
            let changed = encoding.changed(packed.into(), |_| b"other".to_vec()).unwrap();
            let mut seen = Vec::new();
            let again = encoding.changed(changed.into(), |page| {
                seen = page.to_vec();
                same(page)
            });
            assert!(again.is_ok() && seen == b"other");
        }
    }
}
