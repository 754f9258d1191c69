//! What a URL path and a method ask for, by upstream's rules (`apiserver/pkg/endpoints/request/requestinfo.go`).

#[cfg(test)]
mod tests;

use access_rules::{Attributes, ResourceAttributes, User};
use http::Method;
use kube_types::selector::{FieldRequirement, FieldSelector};

/// The parts of the URL that decide who may do it and who answers it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Path of the URL.
    pub path: String,
    /// API verb, or the method in lower case for a path that is no resource.
    pub verb: String,
    /// Is this about a resource of the API?
    pub is_resource: bool,
    /// `api` or `apis`.
    pub prefix: String,
    /// Group; empty for core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Namespace; empty when there is none.
    pub namespace: String,
    /// Plural resource name.
    pub resource: String,
    /// Subresource; empty when there is none.
    pub subresource: String,
    /// Object name; empty for collections, unless their field selector names one.
    pub name: String,
    /// Does the name come from a field selector, and not from the path?
    pub selected: bool,
    /// The conditions of the field selector of a list, watch or deletion of many.
    pub fields: Vec<FieldRequirement>,
    /// What follows the subresource, for proxies, with its leading slash.
    pub rest: String,
}

impl RequestInfo {
    /// Reads a request line. `query` holds the decoded pairs of the query string.
    #[must_use]
    pub fn read(method: &Method, path: &str, query: &[(String, String)]) -> Self {
        let mut info = Self {
            path: path.to_owned(),
            verb: method.as_str().to_lowercase(),
            ..Self::default()
        };
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let after_version = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => {
                info.version = (*version).to_owned();
                rest
            }
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                info.group = (*group).to_owned();
                info.version = (*version).to_owned();
                rest
            }
            _ => return info,
        };
        info.prefix = parts[0].to_owned();
        info.read_resource(method, after_version, path, query);
        info
    }

    fn read_resource(&mut self, method: &Method, parts: &[&str], path: &str, query: &[(String, String)]) {
        self.is_resource = true;
        let mut parts = parts;
        let mut forced_watch = false;
        if let ["watch", rest @ ..] = parts
            && !rest.is_empty()
        {
            forced_watch = true;
            parts = rest;
        }
        method_verb(method).clone_into(&mut self.verb);
        if let ["namespaces", namespace, rest @ ..] = parts {
            decoded(namespace).clone_into(&mut self.namespace);
            if !matches!(rest, [] | ["status" | "finalize", ..]) {
                parts = rest;
            }
        }
        self.resource = parts.first().map(|part| decoded(part)).unwrap_or_default();
        self.name = parts.get(1).map(|part| decoded(part)).unwrap_or_default();
        self.subresource = parts.get(2).map(|part| decoded(part)).unwrap_or_default();
        if parts.len() > 2 {
            self.rest = rest_of(path, parts.len() - 3);
        }
        if forced_watch {
            "watch".clone_into(&mut self.verb);
        } else if self.name.is_empty() && self.verb == "get" {
            let watch = query
                .iter()
                .find(|(key, _)| key == "watch")
                .map(|(_, value)| value.as_str());
            let watched = matches!(watch, Some(value) if !matches!(value, "0" | "false" | "False"));
            (if watched { "watch" } else { "list" }).clone_into(&mut self.verb);
        } else if self.name.is_empty() && self.verb == "delete" {
            "deletecollection".clone_into(&mut self.verb);
        }
        if matches!(self.verb.as_str(), "list" | "watch" | "deletecollection") {
            if self.name.is_empty() {
                self.name = selected_name(query);
                self.selected = !self.name.is_empty();
            }
            self.fields = selected_fields(query);
        }
    }

    /// The attributes that authorizers see.
    #[must_use]
    pub fn attributes<'a>(&'a self, user: &'a User) -> Attributes<'a> {
        let resource = self.is_resource.then(|| ResourceAttributes {
            group: &self.group,
            version: &self.version,
            resource: &self.resource,
            subresource: &self.subresource,
            namespace: &self.namespace,
            name: &self.name,
            fields: &self.fields,
        });
        Attributes {
            user,
            verb: &self.verb,
            resource,
            path: &self.path,
        }
    }

    /// Does the path name an object?
    #[must_use]
    pub fn names_object(&self) -> bool {
        !self.name.is_empty() && !self.selected
    }

    /// Requests that may last: watches, and the streams and proxies of connect subresources.
    #[must_use]
    pub fn is_long_running(&self) -> bool {
        const STREAMS: &[&str] = &["attach", "exec", "proxy", "log", "portforward"];
        self.verb == "watch" || (self.is_resource && STREAMS.contains(&self.subresource.as_str()))
    }

    /// `resource`, `namespace` or `cluster`, as metrics name it.
    #[must_use]
    pub fn scope(&self) -> &'static str {
        if !self.is_resource {
            ""
        } else if self.names_object() {
            "resource"
        } else if !self.namespace.is_empty() {
            "namespace"
        } else {
            "cluster"
        }
    }
}

fn method_verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// The end of `path` that consists of its last `count` parts, with a leading slash; a trailing slash is kept.
fn rest_of(path: &str, count: usize) -> String {
    let trailing = if path.ends_with('/') { "/" } else { "" };
    if count == 0 {
        return trailing.to_owned();
    }
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    format!("/{}{trailing}", parts[parts.len() - count..].join("/"))
}

/// A selector on `metadata.name` alone lets a list be authorized as one object.
fn selected_name(query: &[(String, String)]) -> String {
    let selector = query
        .iter()
        .find(|(key, _)| key == "fieldSelector")
        .map_or("", |(_, value)| value.as_str());
    selector
        .split(',')
        .find_map(|part| part.strip_prefix("metadata.name="))
        .map(|name| name.trim_start_matches('=').to_owned())
        .filter(|name| !name.is_empty() && !name.contains('/') && name != "." && name != "..")
        .unwrap_or_default()
}

/// A selector that cannot be read limits nothing; the request is refused for it later.
fn selected_fields(query: &[(String, String)]) -> Vec<FieldRequirement> {
    let selector = query.iter().find(|(key, _)| key == "fieldSelector");
    let selector = selector.and_then(|(_, value)| FieldSelector::parse(value).ok());
    selector
        .map(|selector| selector.requirements().to_vec())
        .unwrap_or_default()
}

fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part)
        .decode_utf8_lossy()
        .into_owned()
}
