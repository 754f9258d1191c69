//! From cached bytes to what goes back: objects, lists, tables, partial objects, events.

use std::sync::Arc;

use bytes::Bytes;
use clock::Clock;
use jiff::Timestamp;
use kube_types::dynamic::{Map, Object, Value, json};

use crate::cache::{Item, encode};
use crate::pipeline::{Created, Resource, Selection};
use crate::registry::Registry;
use crate::request::{Body, Context, Form, IncludeObject, Reply, WatchEvent, WatchEventKind};
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
        let renderer = Renderer::new(resource.clone(), context.form, self.clock.clone());
        let bytes = match created {
            Created::Stored(item) => renderer.one(&item)?,
            Created::DryRun(object) => renderer.unstored(object)?,
        };
        Ok(Reply::ok(bytes))
    }

    /// The answer to a list.
    pub(crate) fn render_list(
        &self,
        context: &Context,
        resource: &Resource,
        selection: &Selection,
    ) -> Result<Reply, StatusError> {
        let renderer = Renderer::new(resource.clone(), context.form, self.clock.clone());
        renderer.list(selection)
    }
}

/// Writes objects of one resource in one form.
pub(crate) struct Renderer {
    resource: Resource,
    form: Form,
    clock: Arc<dyn Clock>,
}

impl Renderer {
    pub fn new(resource: Resource, form: Form, clock: Arc<dyn Clock>) -> Self {
        Self { resource, form, clock }
    }

    /// One object.
    pub fn one(&self, item: &Item) -> Result<Bytes, StatusError> {
        match self.form {
            Form::Object if !self.resource.kind.converts() => Ok(item.bytes.clone()),
            Form::Object => to_bytes(&self.resource.to_requested(item.object()).0),
            Form::PartialObjectList => Err(not_a_list()),
            Form::Table { .. } | Form::PartialObject => self.unstored(item.object()),
        }
    }

    /// One object that is not in the cache, in the stored version.
    pub fn unstored(&self, object: Object) -> Result<Bytes, StatusError> {
        let kind = &self.resource.kind;
        let converted = self.resource.to_requested(object);
        match self.form {
            Form::Object => {
                let body = &converted.0;
                // The same order of fields as stored objects have, but with the resourceVersion that is in the object.
                let bytes = encode(&kind.kind, &kind.api_version(), body).map_err(StatusError::internal)?;
                match converted.resource_version().and_then(|version| version.parse().ok()) {
                    Some(revision) => Ok(Item::assemble(Arc::default(), &bytes, revision).bytes),
                    None => Ok(bytes),
                }
            }
            Form::PartialObject => to_bytes(&partial(&converted)),
            Form::PartialObjectList => Err(not_a_list()),
            Form::Table { include } => {
                let version = converted.resource_version().unwrap_or_default().to_owned();
                let rows = vec![self.row(&converted, include, self.clock.now())];
                to_bytes(&self.table(rows, json!({"resourceVersion": version}), true))
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
                let head = json!({"kind": kind.list_kind, "apiVersion": kind.api_version(), "metadata": metadata});
                let items = selection.items.iter().map(|item| {
                    if kind.custom.is_some() {
                        // Items of these lists say what they are, as upstream's do.
                        Ok(item.bytes.slice(1..))
                    } else if kind.converts() {
                        self.converted_body(item)
                    } else {
                        Ok(item.body())
                    }
                });
                pieces(&head, items)
            }
            Form::PartialObjectList => {
                let head = json!({"kind": "PartialObjectMetadataList", "apiVersion": META, "metadata": metadata});
                let items = selection.items.iter().map(|item| {
                    let whole = to_bytes(&partial(&item.object()))?;
                    Ok(whole.slice(1..))
                });
                pieces(&head, items)
            }
            Form::PartialObject => Err(not_a_single_object()),
            Form::Table { include } => {
                let now = self.clock.now();
                let rows = selection
                    .items
                    .iter()
                    .map(|item| self.row(&self.resource.to_requested(item.object()), include, now))
                    .collect();
                Ok(Reply::ok(to_bytes(&self.table(rows, metadata, true))?))
            }
        }
    }

    fn converted_body(&self, item: &Item) -> Result<Bytes, StatusError> {
        let mut object = self.resource.to_requested(item.object());
        object.0.remove("kind");
        object.0.remove("apiVersion");
        Ok(to_bytes(&object.0)?.slice(1..))
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
            Err(error) => WatchEvent::error(&error),
        }
    }

    /// A bookmark; `initial_end` marks the end of the initial events of a watch-list.
    pub fn bookmark(&self, revision: u64, initial_end: bool) -> WatchEvent {
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let kind = &self.resource.kind;
        let object = match self.form {
            Form::Table { .. } => {
                let object = json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata});
                let row = json!({"cells": [], "object": object});
                Value::Object(self.table(vec![row], json!({"resourceVersion": revision.to_string()}), false))
            }
            Form::PartialObject | Form::PartialObjectList => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": metadata})
            }
            Form::Object => json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata}),
        };
        WatchEvent {
            kind: WatchEventKind::Bookmark,
            object: object.to_string().into(),
            revision,
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

/// A list whose items stay in the buffers that they are in.
fn pieces(head: &Value, items: impl Iterator<Item = Result<Bytes, StatusError>>) -> Result<Reply, StatusError> {
    let mut head = head.to_string();
    head.pop();
    head.push_str(",\"items\":[");
    let mut body = vec![Bytes::from(head)];
    for (index, item) in items.enumerate() {
        body.push(Bytes::from_static(if index == 0 { b"{" } else { b",{" }));
        body.push(item?);
    }
    body.push(Bytes::from_static(b"]}"));
    Ok(Reply {
        code: 200,
        body: Body(body),
    })
}

fn to_bytes(value: &Map<String, Value>) -> Result<Bytes, StatusError> {
    Ok(serde_json::to_vec(value).map_err(StatusError::internal)?.into())
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
