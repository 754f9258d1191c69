//! What the controllers and the scheduler of a cluster would do now about an object.

use aws_api::host::{AnswerForm, HostError, HostErrorKind, Question};
use kube_types::ObjectKey;
use plan::Kind;
use reconcile_loop::Explained;
use serde::Serialize;

use super::{LocalHost, failed};

/// Everything that is known about what happens next to an object.
#[derive(Serialize)]
struct Explanation {
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    controllers: Vec<Explained>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler: Option<scheduler::Explanation>,
}

impl Explanation {
    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(scheduler) = &self.scheduler {
            text.push_str(&scheduler.to_string());
        }
        self.controllers.iter().for_each(|one| text.push_str(&one.to_string()));
        if text.is_empty() {
            text = format!("no controller decides about a {} by itself\n", self.kind);
        }
        text
    }
}

fn missing(question: &Question, why: String) -> HostError {
    HostError {
        kind: HostErrorKind::Permanent,
        ..failed("find", &format!("{}/{}", question.kind, question.name))(why)
    }
}

impl LocalHost {
    pub(super) fn explained(&self, question: &Question) -> Result<String, HostError> {
        let cluster = self.cluster(&question.cluster)?;
        let kind = Kind::parse(&question.kind).ok_or_else(|| {
            let known: Vec<String> = Kind::ALL.iter().map(ToString::to_string).collect();
            let why = format!(
                "no controller looks at such a kind; these are known: {}",
                known.join(", ")
            );
            missing(question, why)
        })?;
        let namespace = kind.is_namespaced().then(|| question.namespace.clone());
        let key = ObjectKey {
            namespace: namespace.clone(),
            name: question.name.clone(),
        };
        if !cluster.controllers.knows(kind, &key) {
            return Err(missing(question, "there is no such object".to_owned()));
        }
        let explanation = Explanation {
            kind,
            namespace,
            name: question.name.clone(),
            controllers: cluster.controllers.explain(kind, &key),
            scheduler: (kind == Kind::Pod).then(|| cluster.scheduler.explain(&key)).flatten(),
        };
        let object = question.name.as_str();
        match question.form {
            AnswerForm::Text => Ok(explanation.text()),
            AnswerForm::Json => serde_json::to_string_pretty(&explanation).map_err(failed("write the plan", object)),
            AnswerForm::Yaml => serde_saphyr::to_string(&explanation).map_err(failed("write the plan", object)),
        }
    }
}
