//! From cached bytes to what goes back: objects, lists, tables, partial objects, events.

use std::sync::Arc;

use bytes::Bytes;
use clock::Clock;
use jiff::Timestamp;
use kube_types::dynamic::{Map, Object, Value, json};
use kube_types::protobuf::{self, ProtobufError};

use crate::cache::{Item, encode};
use crate::pipeline::{Created, Resource, Selection};
use crate::registry::Registry;
use crate::request::{Body, Context, Encoding, Form, IncludeObject, Reply, WatchEvent, WatchEventKind};
use crate::status::StatusError;

const META: &str = "meta.k8s.io/v1";

impl Registry {
    /// The answer to a request about one object.
    pub(crate) fn render_written(
        &self,
        context: &Context,
        resource: &Resource,
        created: Created,
    ) -> Result<Reply, StatusError> {
        let renderer = Renderer::new(resource.clone(), context, self.clock.clone());
        let bytes = match created {
            Created::Stored(item) => renderer.one(&item)?,
            Created::DryRun(object) => renderer.unstored(object)?,
        };
        Ok(Reply {
            encoding: context.encoding,
            ..Reply::ok(bytes)
        })
    }

    /// The answer to a list.
    pub(crate) fn render_list(
        &self,
        context: &Context,
        resource: &Resource,
        selection: &Selection,
    ) -> Result<Reply, StatusError> {
        let renderer = Renderer::new(resource.clone(), context, self.clock.clone());
        renderer.list(selection)
    }
}

/// Writes objects of one resource in one form and encoding.
pub(crate) struct Renderer {
    resource: Resource,
    form: Form,
    encoding: Encoding,
    clock: Arc<dyn Clock>,
}

impl Renderer {
    pub fn new(resource: Resource, context: &Context, clock: Arc<dyn Clock>) -> Self {
        Self {
            resource,
            form: context.form,
            encoding: context.encoding,
            clock,
        }
    }

    /// One object.
    pub fn one(&self, item: &Item) -> Result<Bytes, StatusError> {
        match self.form {
            Form::Object if self.resource.kind.converts() => self.write(&self.resource.to_requested(item.object()).0),
            Form::Object => match self.encoding {
                Encoding::Json => Ok(item.bytes.clone()),
                Encoding::Protobuf => Ok(item.protobuf().map_err(not_in_protobuf)?.bytes.clone()),
            },
            Form::PartialObjectList => Err(not_a_list()),
            Form::Table { .. } | Form::PartialObject => self.unstored(item.object()),
        }
    }

    /// One object that is not in the cache, in the stored version.
    pub fn unstored(&self, object: Object) -> Result<Bytes, StatusError> {
        let kind = &self.resource.kind;
        let converted = self.resource.to_requested(object);
        match self.form {
            Form::Object if self.encoding == Encoding::Protobuf => self.write(&converted.0),
            Form::Object => {
                let body = &converted.0;
                // The same order of fields as stored objects have, but with the resourceVersion that is in the object.
                let bytes = encode(&kind.kind, &kind.api_version(), body).map_err(StatusError::internal)?;
                match converted.resource_version().and_then(|version| version.parse().ok()) {
                    Some(revision) => Ok(Item::assemble(Arc::default(), &bytes, revision).bytes),
                    None => Ok(bytes),
                }
            }
            Form::PartialObject => self.write(&partial(&converted)),
            Form::PartialObjectList => Err(not_a_list()),
            Form::Table { include } => {
                let version = converted.resource_version().unwrap_or_default().to_owned();
                let rows = vec![self.row(&converted, include, self.clock.now())];
                self.write(&self.table(rows, json!({"resourceVersion": version}), true))
            }
        }
    }

    /// A list.
    pub fn list(&self, selection: &Selection) -> Result<Reply, StatusError> {
        let mut metadata = json!({"resourceVersion": selection.revision.to_string()});
        if let Some(next) = &selection.next {
            metadata["continue"] = next.as_str().into();
        }
        if let Some(remaining) = selection.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        let kind = &self.resource.kind;
        match self.form {
            Form::Object => {
                let items = selection.items.iter().map(|item| self.item(item));
                self.pieces(&kind.api_version(), &kind.list_kind, &metadata, items)
            }
            Form::PartialObjectList => {
                let items = selection
                    .items
                    .iter()
                    .map(|item| self.write_item(partial(&item.object())));
                self.pieces(META, "PartialObjectMetadataList", &metadata, items)
            }
            Form::PartialObject => Err(not_a_single_object()),
            Form::Table { include } => {
                let now = self.clock.now();
                let rows = selection
                    .items
                    .iter()
                    .map(|item| self.row(&self.resource.to_requested(item.object()), include, now))
                    .collect();
                let table = self.write(&self.table(rows, metadata, true))?;
                Ok(Reply {
                    encoding: self.encoding,
                    ..Reply::ok(table)
                })
            }
        }
    }

    /// An item of a list: in JSON what follows the opening brace.
    fn item(&self, item: &Item) -> Result<Bytes, StatusError> {
        match self.encoding {
            _ if self.resource.kind.converts() => {
                let mut object = self.resource.to_requested(item.object());
                if self.encoding == Encoding::Json {
                    object.0.remove("kind");
                    object.0.remove("apiVersion");
                }
                self.write_item(object.0)
            }
            // Items of custom resources say what they are, as upstream's do.
            Encoding::Json if self.resource.kind.custom.is_some() => Ok(item.bytes.slice(1..)),
            Encoding::Json => Ok(item.body()),
            Encoding::Protobuf => Ok(item.protobuf().map_err(not_in_protobuf)?.item()),
        }
    }

    fn write_item(&self, object: Map<String, Value>) -> Result<Bytes, StatusError> {
        match self.encoding {
            Encoding::Json => Ok(to_json(&object)?.slice(1..)),
            Encoding::Protobuf => {
                let envelope = protobuf::encode(&object).map_err(not_in_protobuf)?;
                Ok(Bytes::from(envelope.bytes).slice(envelope.content))
            }
        }
    }

    /// A whole object that names its kind.
    fn write(&self, object: &Map<String, Value>) -> Result<Bytes, StatusError> {
        match self.encoding {
            Encoding::Json => to_json(object),
            Encoding::Protobuf => Ok(protobuf::encode(object).map_err(not_in_protobuf)?.bytes.into()),
        }
    }

    /// A list whose items stay in the buffers that they are in.
    fn pieces(
        &self,
        api_version: &str,
        kind: &str,
        metadata: &Value,
        items: impl Iterator<Item = Result<Bytes, StatusError>>,
    ) -> Result<Reply, StatusError> {
        let mut body = vec![Bytes::new()];
        match self.encoding {
            Encoding::Json => {
                let mut head = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata}).to_string();
                head.pop();
                head.push_str(",\"items\":[");
                body[0] = head.into();
                for (index, item) in items.enumerate() {
                    body.push(Bytes::from_static(if index == 0 { b"{" } else { b",{" }));
                    body.push(item?);
                }
                body.push(Bytes::from_static(b"]}"));
            }
            Encoding::Protobuf => {
                for item in items {
                    body.push(item?);
                }
                let length = body.iter().map(Bytes::len).sum();
                let metadata = metadata.as_object().cloned().unwrap_or_default();
                let (head, tail) =
                    protobuf::list_frame(api_version, kind, &metadata, length).map_err(not_in_protobuf)?;
                body[0] = head.into();
                body.push(Bytes::from_static(tail));
            }
        }
        Ok(Reply {
            code: 200,
            body: Body(body),
            encoding: self.encoding,
        })
    }

    fn row(&self, object: &Object, include: IncludeObject, now: Timestamp) -> Value {
        let cells = self.resource.kind.cells(&object.0, now);
        let mut row = json!({"cells": cells});
        match include {
            IncludeObject::None => {}
            IncludeObject::Metadata => row["object"] = Value::Object(partial(object)),
            IncludeObject::Object => row["object"] = Value::Object(object.0.clone()),
        }
        row
    }

    fn table(&self, rows: Vec<Value>, metadata: Value, headed: bool) -> Map<String, Value> {
        let columns = if headed {
            self.resource.kind.headings()
        } else {
            Vec::new()
        };
        let mut table = Map::new();
        table.insert("kind".to_owned(), "Table".into());
        table.insert("apiVersion".to_owned(), META.into());
        table.insert("metadata".to_owned(), metadata);
        table.insert("columnDefinitions".to_owned(), columns.into());
        table.insert("rows".to_owned(), rows.into());
        table
    }

    /// One event of a watch.
    pub fn event(&self, kind: WatchEventKind, item: &Item) -> WatchEvent {
        match self.one(item) {
            Ok(object) => WatchEvent {
                kind,
                object,
                revision: item.revision,
            },
            Err(error) => self.error(&error),
        }
    }

    /// An event that ends the stream.
    pub fn error(&self, error: &StatusError) -> WatchEvent {
        let status = Object::from_typed(error.status()).unwrap_or_default();
        WatchEvent {
            kind: WatchEventKind::Error,
            object: self.write(&status.0).unwrap_or_default(),
            revision: 0,
        }
    }

    /// A bookmark; `initial_end` marks the end of the initial events of a watch-list.
    pub fn bookmark(&self, revision: u64, initial_end: bool) -> WatchEvent {
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let kind = &self.resource.kind;
        let of = |kind: &str, api_version: &str| {
            let metadata = metadata.clone();
            Map::from_iter([
                ("kind".to_owned(), kind.into()),
                ("apiVersion".to_owned(), api_version.into()),
                ("metadata".to_owned(), metadata),
            ])
        };
        let object = match self.form {
            Form::Table { .. } => {
                let object = of(&kind.kind, &kind.api_version());
                let row = json!({"cells": [], "object": object});
                self.table(vec![row], json!({"resourceVersion": revision.to_string()}), false)
            }
            Form::PartialObject | Form::PartialObjectList => of("PartialObjectMetadata", META),
            Form::Object => of(&kind.kind, &kind.api_version()),
        };
        match self.write(&object) {
            Ok(object) => WatchEvent {
                kind: WatchEventKind::Bookmark,
                object,
                revision,
            },
            Err(error) => self.error(&error),
        }
    }
}

/// The object's metadata under its own kind.
fn partial(object: &Object) -> Map<String, Value> {
    let mut partial = Map::new();
    partial.insert("kind".to_owned(), "PartialObjectMetadata".into());
    partial.insert("apiVersion".to_owned(), META.into());
    partial.insert(
        "metadata".to_owned(),
        Value::Object(object.metadata().cloned().unwrap_or_default()),
    );
    partial
}

fn to_json(value: &Map<String, Value>) -> Result<Bytes, StatusError> {
    Ok(serde_json::to_vec(value).map_err(StatusError::internal)?.into())
}

/// 406: only built-in kinds have a protobuf form. Worded as upstream's encoder words it for custom resources.
fn not_in_protobuf(error: ProtobufError) -> StatusError {
    match error {
        ProtobufError::UnknownKind { .. } => StatusError::new(
            406,
            "NotAcceptable",
            "object *unstructured.Unstructured does not implement the protobuf marshalling interface and cannot be \
             encoded to a protobuf message",
        ),
        other => StatusError::internal(other),
    }
}

fn not_a_list() -> StatusError {
    StatusError::new(
        406,
        "NotAcceptable",
        "you requested PartialObjectMetadataList, but the requested object is not a list",
    )
}

fn not_a_single_object() -> StatusError {
    let message = "you requested PartialObjectMetadata, but the requested object is a list";
    StatusError::new(406, "NotAcceptable", message)
}
