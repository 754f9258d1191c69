//! The `authorizer` variable: questions about access that an expression may ask.

/// What an expression asks: may this be done to that?
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessCheck {
    /// Who, when it is not the user of the request: a service account's namespace and name.
    pub service_account: Option<(String, String)>,
    /// The path, for requests that are not about resources.
    pub path: Option<String>,
    /// API group of the resource.
    pub group: String,
    /// Plural name of the resource.
    pub resource: String,
    /// Path below the resource.
    pub subresource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name, or empty.
    pub name: String,
    /// Field selector, or empty.
    pub field_selector: String,
    /// Label selector, or empty.
    pub label_selector: String,
    /// Verb.
    pub verb: String,
}

/// The answer to a question about access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why.
    pub reason: String,
    /// What went wrong, or `None`.
    pub error: Option<String>,
}

/// Answers questions about access.
pub trait Authorizer: Send + Sync {
    /// Decides.
    fn answer(&self, check: &AccessCheck) -> Answer;

    /// The resource that the request is about, `authorizer.requestResource`.
    fn request_resource(&self) -> Option<AccessCheck>;
}
