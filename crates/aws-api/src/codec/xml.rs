//! XML answers and errors of the query protocols.

use aws_types::shapes::{Kind, Operation, Protocol, Service, Shape};
use jiff::Timestamp;
use serde_json::Value;

/// A successful answer.
pub fn answer(service: &Service, name: &str, operation: &Operation, value: &Value, request_id: &str) -> String {
    let mut xml = Writer::default();
    let root = format!("{name}Response");
    let namespace = service
        .metadata
        .xml_namespace
        .as_deref()
        .map_or_else(default_namespace(service), str::to_owned);
    xml.text.push_str(&format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{namespace}\">"
    ));
    let output = operation.output.as_deref().map(|shape| service.shape(shape));
    if service.metadata.protocol == Protocol::Ec2 {
        xml.leaf("requestId", request_id);
        if let Some(shape) = output {
            xml.members(service, shape, value);
        }
    } else {
        if let Some(shape) = output {
            let wrapper = operation
                .result_wrapper
                .as_deref()
                .map_or_else(|| format!("{name}Result"), str::to_owned);
            xml.element(&wrapper, |xml| xml.members(service, shape, value));
        }
        xml.element("ResponseMetadata", |xml| xml.leaf("RequestId", request_id));
    }
    xml.text.push_str(&format!("</{root}>"));
    xml.text
}

fn default_namespace(service: &Service) -> impl FnOnce() -> String {
    let version = service.metadata.api_version.to_string();
    move || format!("http://ec2.amazonaws.com/doc/{version}/")
}

/// An error of the query protocol.
pub fn query_error(namespace: Option<&str>, code: &str, message: &str, ours: bool, request_id: &str) -> String {
    let mut xml = Writer::default();
    let namespace = namespace.map(|name| format!(" xmlns=\"{name}\"")).unwrap_or_default();
    xml.text.push_str(&format!("<ErrorResponse{namespace}>"));
    xml.element("Error", |xml| {
        xml.leaf("Type", if ours { "Receiver" } else { "Sender" });
        xml.leaf("Code", code);
        xml.leaf("Message", message);
    });
    xml.leaf("RequestId", request_id);
    xml.text.push_str("</ErrorResponse>");
    xml.text
}

/// An error of EC2.
pub fn ec2_error(code: &str, message: &str, request_id: &str) -> String {
    let mut xml = Writer::default();
    xml.text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.element("Response", |xml| {
        xml.element("Errors", |xml| {
            xml.element("Error", |xml| {
                xml.leaf("Code", code);
                xml.leaf("Message", message);
            });
        });
        xml.leaf("RequestID", request_id);
    });
    xml.text
}

/// An error of a service that speaks REST in XML: S3.
pub fn rest_error(code: &str, message: &str, request_id: &str) -> String {
    let mut xml = Writer::default();
    xml.text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.element("Error", |xml| {
        xml.leaf("Code", code);
        xml.leaf("Message", message);
        xml.leaf("RequestId", request_id);
    });
    xml.text
}

/// Writes a document from its outside to its inside.
#[derive(Default)]
pub struct Writer {
    /// What is written so far.
    pub text: String,
}

impl Writer {
    /// The whole document below an element in a namespace.
    pub fn root(&mut self, name: &str, namespace: &str, inner: impl FnOnce(&mut Self)) {
        self.text.push_str(&format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{name} xmlns=\"{namespace}\">"
        ));
        inner(self);
        self.text.push_str(&format!("</{name}>"));
    }

    /// Text between two tags.
    pub fn content(&mut self, text: &str) {
        self.text.push_str(&quick_xml::escape::escape(text));
    }

    /// An element with what is inside.
    pub fn element(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.text.extend(["<", name, ">"]);
        inner(self);
        self.text.extend(["</", name, ">"]);
    }

    /// An element with nothing but text inside.
    pub fn leaf(&mut self, name: &str, text: &str) {
        self.element(name, |xml| xml.content(text));
    }

    fn members(&mut self, service: &Service, shape: &Shape, value: &Value) {
        for (name, member) in &shape.members.0 {
            if let Some(value) = value.get(&**name).filter(|value| !value.is_null()) {
                let wire = member.location_name.as_deref().unwrap_or(name);
                self.value(service, service.shape(&member.shape), wire, value);
            }
        }
    }

    fn value(&mut self, service: &Service, shape: &Shape, name: &str, value: &Value) {
        match shape.kind {
            Kind::Structure => self.element(name, |xml| xml.members(service, shape, value)),
            Kind::List => self.list(service, shape, name, value),
            Kind::Map => self.element(name, |xml| {
                let Some(member) = &shape.value else { return };
                for (key, value) in value.as_object().into_iter().flatten() {
                    xml.element("entry", |xml| {
                        xml.leaf("key", key);
                        xml.value(service, service.shape(&member.shape), "value", value);
                    });
                }
            }),
            Kind::Timestamp => self.leaf(name, &timestamp(value)),
            _ => match value {
                Value::String(text) => self.leaf(name, text),
                other => self.leaf(name, &other.to_string()),
            },
        }
    }

    fn list(&mut self, service: &Service, shape: &Shape, name: &str, value: &Value) {
        let Some(member) = &shape.member else { return };
        let element = service.shape(&member.shape);
        let items = value.as_array().into_iter().flatten();
        if shape.flattened {
            let name = member.location_name.as_deref().unwrap_or(name);
            items.for_each(|item| self.value(service, element, name, item));
        } else {
            let item_name = member.location_name.as_deref().unwrap_or("member");
            self.element(name, |xml| {
                items.for_each(|item| xml.value(service, element, item_name, item))
            });
        }
    }
}

/// Timestamps are epoch seconds inside and ISO 8601 in XML.
fn timestamp(value: &Value) -> String {
    let moment = value
        .as_f64()
        .and_then(|seconds| Timestamp::from_millisecond((seconds * 1000.0) as i64).ok());
    moment.map_or_else(
        || value.as_str().unwrap_or_default().to_owned(),
        |moment| moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
    )
}
