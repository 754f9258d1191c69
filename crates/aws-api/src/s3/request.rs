//! What a request to S3 asks for: S3 says it by method, host, path and query. Source: the S3 API reference, "Making requests".

use percent_encoding::percent_decode_str;
use quick_xml::events::Event;

use super::listing::Wanted;
use crate::codec::query;

/// A request that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    ListBuckets,
    CreateBucket(String),
    HeadBucket(String),
    DeleteBucket(String),
    GetBucketLocation(String),
    ListObjects(String, Wanted),
    PutObject(Place),
    GetObject(Place),
    HeadObject(Place),
    DeleteObject(Place),
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub bucket: String,
    pub key: String,
}

/// S3's own limit of a page.
const PAGE: usize = 1000;

impl Asked {
    /// Reads method, `Host`, path and query as they were sent; `None` for what is not served.
    pub fn read(method: &str, host: &str, path: &str, query: &str) -> Option<Self> {
        let (bucket, key) = split(host, path);
        let query = query::parameters(query.as_bytes());
        let given = |name: &str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        // Parameters name a part of a bucket or object: what part it is decides who answers.
        let known = |names: &[&str]| query.iter().all(|(name, _)| names.contains(&name.as_str()));
        if bucket.is_empty() {
            return (method == "GET" && known(&["x-id", "max-buckets", "prefix"])).then_some(Self::ListBuckets);
        }
        if key.is_empty() {
            return match method {
                "PUT" if known(&["x-id"]) => Some(Self::CreateBucket(bucket)),
                "HEAD" => Some(Self::HeadBucket(bucket)),
                "DELETE" if known(&["x-id"]) => Some(Self::DeleteBucket(bucket)),
                "GET" if given("location").is_some() => Some(Self::GetBucketLocation(bucket)),
                "GET" if given("list-type") == Some("2") => {
                    let text = |name: &str| given(name).unwrap_or_default().to_owned();
                    let most = given("max-keys").and_then(|most| most.parse().ok());
                    let wanted = Wanted {
                        prefix: text("prefix"),
                        delimiter: text("delimiter"),
                        after: given("continuation-token").map_or_else(|| text("start-after"), str::to_owned),
                        most: most.map_or(PAGE, |most: usize| most.min(PAGE)),
                    };
                    Some(Self::ListObjects(bucket, wanted))
                }
                _ => None,
            };
        }
        let place = Place { bucket, key };
        // A presigned URL has its signature in the query.
        let plain = query
            .iter()
            .all(|(name, _)| name == "x-id" || name.starts_with("X-Amz-"));
        match method {
            "PUT" if plain => Some(Self::PutObject(place)),
            "GET" if plain => Some(Self::GetObject(place)),
            "HEAD" => Some(Self::HeadObject(place)),
            "DELETE" if plain => Some(Self::DeleteObject(place)),
            _ => None,
        }
    }

    /// The action that policies name, and the ARN of what it is about.
    pub fn action(&self) -> (&'static str, String) {
        let of_bucket = |bucket: &str| format!("arn:aws:s3:::{bucket}");
        let of_object = |place: &Place| format!("arn:aws:s3:::{}/{}", place.bucket, place.key);
        match self {
            Self::ListBuckets => ("ListAllMyBuckets", "*".to_owned()),
            Self::CreateBucket(bucket) => ("CreateBucket", of_bucket(bucket)),
            Self::HeadBucket(bucket) | Self::ListObjects(bucket, _) => ("ListBucket", of_bucket(bucket)),
            Self::DeleteBucket(bucket) => ("DeleteBucket", of_bucket(bucket)),
            Self::GetBucketLocation(bucket) => ("GetBucketLocation", of_bucket(bucket)),
            Self::PutObject(place) => ("PutObject", of_object(place)),
            Self::GetObject(place) | Self::HeadObject(place) => ("GetObject", of_object(place)),
            Self::DeleteObject(place) => ("DeleteObject", of_object(place)),
        }
    }
}

/// Bucket and key of a host and path: `bucket.s3.us-west-2.amazonaws.com/key` and `s3.us-west-2.amazonaws.com/bucket/key`.
pub(crate) fn split(host: &str, path: &str) -> (String, String) {
    let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let host = host.split(':').next().unwrap_or_default();
    let path = path.strip_prefix('/').unwrap_or(path);
    if let Some(bucket) = of_host(host) {
        return (bucket.to_owned(), text(path));
    }
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    (text(bucket), text(key))
}

/// The bucket that a host of S3 names.
fn of_host(host: &str) -> Option<&str> {
    let name = host.strip_suffix(".amazonaws.com")?;
    let at = name.find(".s3.").or_else(|| name.find(".s3-")).or_else(|| {
        let at = name.len().checked_sub(3)?;
        name.ends_with(".s3").then_some(at)
    })?;
    Some(&name[..at])
}

/// Whether a host is one of S3's.
pub(crate) fn is_host(host: &str) -> bool {
    let name = host.strip_suffix(".amazonaws.com");
    name.is_some_and(|name| name == "s3" || name.starts_with("s3.") || name.starts_with("s3-"))
        || of_host(host).is_some()
}

/// The region that a request to make a bucket names.
pub(crate) fn location_constraint(body: &[u8]) -> Option<String> {
    let mut reader = quick_xml::Reader::from_str(std::str::from_utf8(body).ok()?);
    let mut is_inside = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => is_inside = tag.local_name().as_ref() == "LocationConstraint",
            Event::Text(text) if is_inside => return Some((*text).to_owned()),
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// The content of a body that was sent in signed or checked chunks; `None` when it is none.
/// Source: "Signature calculations: transferring payload in multiple chunks".
pub(crate) fn content(body: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut content) = (body, Vec::new());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let head = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(head.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(content);
        }
        content.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(bucket: &str, key: &str) -> Place {
        Place {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        }
    }

    #[test]
    fn method_path_and_query_say_what_is_asked() {
        let here = "127.0.0.1:4566";
        let read = |method: &str, path: &str, query: &str| Asked::read(method, here, path, query);
        assert_eq!(read("GET", "/", ""), Some(Asked::ListBuckets));
        assert_eq!(read("PUT", "/one", ""), Some(Asked::CreateBucket("one".into())));
        assert_eq!(read("PUT", "/one/", "versioning="), None);
        assert_eq!(
            read("GET", "/one", "location"),
            Some(Asked::GetBucketLocation("one".into()))
        );
        assert_eq!(
            read("GET", "/one/a%20b/c", "x-id=GetObject"),
            Some(Asked::GetObject(place("one", "a b/c")))
        );
        assert_eq!(read("PUT", "/one/key", "uploadId=7&partNumber=1"), None);
        let list = read("GET", "/one", "list-type=2&prefix=a%2F&max-keys=5000");
        let wanted = Wanted {
            prefix: "a/".into(),
            most: 1000,
            ..Wanted::default()
        };
        let wanted = Asked::ListObjects("one".into(), wanted);
        assert_eq!(list, Some(wanted));
        let get = Asked::GetObject(place("one", "a"));
        assert_eq!(get.action(), ("GetObject", "arn:aws:s3:::one/a".to_owned()));
    }

    #[test]
    fn a_bucket_is_named_by_host_or_path() {
        let cases = [
            (
                "s3.us-west-2.amazonaws.com",
                "/amazon-eks/a/b.yaml",
                "amazon-eks",
                "a/b.yaml",
            ),
            ("s3.amazonaws.com", "/one/b", "one", "b"),
            ("one.s3.amazonaws.com", "/a/b", "one", "a/b"),
            ("one.two.s3.eu-west-1.amazonaws.com", "/b", "one.two", "b"),
            ("one.s3-us-west-2.amazonaws.com", "/b", "one", "b"),
            ("localhost:4566", "/one/b", "one", "b"),
        ];
        for (host, path, bucket, key) in cases {
            assert_eq!(split(host, path), (bucket.to_owned(), key.to_owned()), "{host}{path}");
            assert_eq!(is_host(host), host != "localhost:4566", "{host}");
        }
        assert!(!is_host("eks.us-west-2.amazonaws.com"));
    }

    #[test]
    fn a_new_bucket_names_its_region() {
        let body = br#"<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"#;
        assert_eq!(location_constraint(body).as_deref(), Some("eu-west-1"));
        assert_eq!(location_constraint(b""), None);
        assert_eq!(location_constraint(b"<a"), None);
    }

    #[test]
    fn chunks_are_joined() {
        let signed = b"5;chunk-signature=ab\r\nhello\r\n0;chunk-signature=cd\r\n\r\n";
        assert_eq!(content(signed).as_deref(), Some(&b"hello"[..]));
        let trailed = b"2\r\nhe\r\n3\r\nllo\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        assert_eq!(content(trailed).as_deref(), Some(&b"hello"[..]));
        for broken in [&b"5\r\nhell"[..], b"x\r\n", b"", b"5\r\nhello0\r\n"] {
            assert_eq!(content(broken), None);
        }
    }
}
