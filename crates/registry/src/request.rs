//! What a request is, apart from HTTP: who asks, for what, with which body, and what goes back.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use access_rules::User;
use bytes::Bytes;
use futures::Stream;
use kube_types::GroupVersionResource;

/// Who asks and how the answer shall look.
#[derive(Clone, Debug)]
pub struct Context {
    /// The authenticated user.
    pub user: User,
    /// `User-Agent` header; the field manager's default name.
    pub user_agent: String,
    /// Identifier of the request in logs.
    pub request_id: String,
    /// Collects the texts of `Warning` headers.
    pub warnings: Warnings,
    /// Collects what is noted for the audit log.
    pub annotations: Annotations,
    /// Form of the objects in the answer, as negotiated by `Accept`.
    pub form: Form,
    /// How the answer to a request for stored objects is written.
    pub encoding: Encoding,
}

impl Context {
    /// A context with nothing but a user; objects are answered whole.
    pub fn for_user(user: User) -> Self {
        Self {
            user,
            user_agent: String::new(),
            request_id: String::new(),
            warnings: Warnings::default(),
            annotations: Annotations::default(),
            form: Form::Object,
            encoding: Encoding::Json,
        }
    }
}

/// How objects are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As JSON.
    #[default]
    Json,
    /// As Kubernetes' protobuf, envelope included.
    Protobuf,
}

/// Form of the objects in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The object or list itself.
    #[default]
    Object,
    /// `as=Table;g=meta.k8s.io;v=v1`.
    Table {
        /// What each row carries.
        include: IncludeObject,
    },
    /// `as=PartialObjectMetadata;g=meta.k8s.io;v=v1`, for single objects and watches.
    PartialObject,
    /// `as=PartialObjectMetadataList;g=meta.k8s.io;v=v1`, for lists.
    PartialObjectList,
}

/// The `includeObject` parameter of tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Rows carry no object.
    None,
    /// Rows carry the object's metadata.
    #[default]
    Metadata,
    /// Rows carry the whole object.
    Object,
}

/// Collects warnings for the client; clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Adds a warning unless the same text is there already.
    pub fn add(&self, text: impl Into<String>) {
        let text = text.into();
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !list.contains(&text) {
            list.push(text);
        }
    }

    /// Takes what was collected, in order.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Collects what is noted of a request for the audit log; clones share one map. Without a log nothing is kept.
#[derive(Clone, Debug, Default)]
pub struct Annotations(Option<Arc<Mutex<BTreeMap<String, String>>>>);

impl Annotations {
    /// Keeps what is noted.
    pub fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    /// Does anybody want to know?
    pub fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Notes a value; what was noted first under a key stays.
    pub fn add(&self, key: &str, value: impl FnOnce() -> String) {
        if let Some(map) = &self.0 {
            let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
            map.entry(key.to_owned()).or_insert_with(value);
        }
    }

    /// What was noted so far.
    pub fn all(&self) -> BTreeMap<String, String> {
        let map = self.0.as_ref();
        map.map(|map| map.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default()
    }
}

/// The resource, object and subresource that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Group, version, resource.
    pub gvr: GroupVersionResource,
    /// Namespace in the path; `None` for cluster-scoped kinds and for all namespaces.
    pub namespace: Option<String>,
    /// Name in the path.
    pub name: Option<String>,
    /// Subresource in the path.
    pub subresource: Option<String>,
}

impl Target {
    /// A collection in a namespace, or of all namespaces or a cluster-scoped kind.
    pub fn collection(gvr: GroupVersionResource, namespace: Option<&str>) -> Self {
        Self {
            gvr,
            namespace: namespace.map(str::to_owned),
            name: None,
            subresource: None,
        }
    }

    /// One object.
    pub fn object(gvr: GroupVersionResource, namespace: Option<&str>, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::collection(gvr, namespace)
        }
    }

    /// The same object's subresource.
    pub fn with_subresource(mut self, subresource: &str) -> Self {
        self.subresource = Some(subresource.to_owned());
        self
    }
}

/// Form of a request body, from `Content-Type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`, also assumed where nothing is said.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/json-patch+json`.
    JsonPatch,
    /// `application/merge-patch+json`.
    MergePatch,
    /// `application/strategic-merge-patch+json`.
    StrategicMergePatch,
    /// `application/apply-patch+yaml`.
    ApplyPatch,
    /// Anything else, as it was sent.
    Other(String),
}

impl MediaType {
    /// Reads a `Content-Type` header; parameters such as `charset` are ignored.
    pub fn parse(header: &str) -> Self {
        match header.split(';').next().unwrap_or_default().trim() {
            "" | "application/json" => Self::Json,
            "application/yaml" | "text/yaml" | "application/x-yaml" => Self::Yaml,
            "application/json-patch+json" => Self::JsonPatch,
            "application/merge-patch+json" => Self::MergePatch,
            "application/strategic-merge-patch+json" => Self::StrategicMergePatch,
            "application/apply-patch+yaml" => Self::ApplyPatch,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// A request body that has been read whole.
#[derive(Clone, Debug)]
pub struct RequestBody {
    /// Form of the bytes.
    pub media_type: MediaType,
    /// The body.
    pub bytes: Bytes,
}

impl RequestBody {
    /// A JSON body.
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self {
            media_type: MediaType::Json,
            bytes: bytes.into(),
        }
    }

    /// A body of another form.
    pub fn new(media_type: MediaType, bytes: impl Into<Bytes>) -> Self {
        Self {
            media_type,
            bytes: bytes.into(),
        }
    }
}

/// A successful answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status: 200, 201 or 202.
    pub code: u16,
    /// The object, list, table or status.
    pub body: Body,
    /// How the body is written. What is not a stored object is always JSON.
    pub encoding: Encoding,
}

impl Reply {
    /// 200 with one piece of JSON.
    pub fn ok(bytes: impl Into<Bytes>) -> Self {
        Self {
            code: 200,
            body: Body(vec![bytes.into()]),
            encoding: Encoding::Json,
        }
    }
}

/// A document in pieces; lists share the pieces with the cache.
#[derive(Clone, Debug, Default)]
pub struct Body(pub Vec<Bytes>);

impl Body {
    /// Length in bytes of all pieces.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// True when there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All pieces in one buffer; no copy when there is one piece.
    pub fn into_bytes(mut self) -> Bytes {
        if self.0.len() == 1 {
            return self.0.remove(0);
        }
        let mut whole = Vec::with_capacity(self.len());
        for piece in &self.0 {
            whole.extend_from_slice(piece);
        }
        whole.into()
    }
}

/// A running watch.
pub struct WatchReply {
    /// Events in revision order; ends when the deadline passes or the watcher cannot keep up.
    pub events: Pin<Box<dyn Stream<Item = WatchEvent> + Send>>,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEventKind {
    /// It came into the selection.
    Added,
    /// It changed within the selection.
    Modified,
    /// It left the selection or was deleted.
    Deleted,
    /// Nothing: all up to the object's revision has been seen.
    Bookmark,
    /// The watch has failed; the object is a `Status`.
    Error,
}

impl WatchEventKind {
    /// The `type` of the event on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// What happened.
    pub kind: WatchEventKind,
    /// The object in the form and encoding asked for.
    pub object: Bytes,
    /// Revision of the event; 0 for errors.
    pub revision: u64,
}

impl WatchEvent {
    /// Appends the event as one line of a JSON watch stream, newline included.
    pub fn write_line(&self, into: &mut Vec<u8>) {
        into.reserve(self.object.len() + 40);
        into.extend_from_slice(b"{\"type\":\"");
        into.extend_from_slice(self.kind.as_str().as_bytes());
        into.extend_from_slice(b"\",\"object\":");
        into.extend_from_slice(&self.object);
        into.extend_from_slice(b"}\n");
    }

    /// Appends the event as one frame of a protobuf watch stream.
    pub fn write_frame(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&kube_types::protobuf::watch_frame(self.kind.as_str(), &self.object));
    }
}
