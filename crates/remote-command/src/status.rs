//! The `v1.Status` that ends a command on the error channel, worded as upstream's kubelet does.

use serde::Serialize;

use crate::streams::ExitOutcome;

#[derive(Serialize)]
struct Status<'a> {
    metadata: Metadata,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

#[derive(Serialize)]
struct Metadata {}

#[derive(Serialize)]
struct Details<'a> {
    causes: Vec<Cause<'a>>,
}

#[derive(Serialize)]
struct Cause<'a> {
    reason: &'a str,
    message: String,
}

/// The error channel's content for protocols v4 and later: always a Status, `Success` included.
pub(crate) fn status_json(outcome: &ExitOutcome) -> Vec<u8> {
    let status = match outcome {
        ExitOutcome::Exited(0) => Status {
            metadata: Metadata {},
            status: "Success",
            message: None,
            reason: None,
            details: None,
            code: None,
        },
        ExitOutcome::Exited(code) => Status {
            metadata: Metadata {},
            status: "Failure",
            message: Some(format!(
                "command terminated with non-zero exit code: exit status {code}"
            )),
            reason: Some("NonZeroExitCode"),
            details: Some(Details {
                causes: vec![Cause {
                    reason: "ExitCode",
                    message: code.to_string(),
                }],
            }),
            code: None,
        },
        ExitOutcome::Failed(message) => Status {
            metadata: Metadata {},
            status: "Failure",
            message: Some(format!("Internal error occurred: {message}")),
            reason: Some("InternalError"),
            details: Some(Details {
                causes: vec![Cause {
                    reason: "",
                    message: message.clone(),
                }],
            }),
            code: Some(500),
        },
    };
    serde_json::to_vec(&status).expect("a struct of strings and numbers always serialises")
}

/// The error channel's content for protocols before v4: plain text, empty on success.
pub(crate) fn status_text(outcome: &ExitOutcome) -> Vec<u8> {
    match outcome {
        ExitOutcome::Exited(0) => Vec::new(),
        ExitOutcome::Exited(code) => {
            format!("error executing remote command: command terminated with non-zero exit code: exit status {code}")
                .into_bytes()
        }
        ExitOutcome::Failed(message) => format!("error executing remote command: {message}").into_bytes(),
    }
}

/// The body of a refused upgrade.
pub(crate) fn refusal_json(code: u16, reason: &str, message: &str) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Refusal<'a> {
        kind: &'a str,
        api_version: &'a str,
        metadata: Metadata,
        status: &'a str,
        message: &'a str,
        reason: &'a str,
        code: u16,
    }
    let refusal = Refusal {
        kind: "Status",
        api_version: "v1",
        metadata: Metadata {},
        status: "Failure",
        message,
        reason,
        code,
    };
    serde_json::to_vec(&refusal).expect("a struct of strings and numbers always serialises")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outcome: ExitOutcome, json: &str, text: &str) {
        assert_eq!(String::from_utf8(status_json(&outcome)).unwrap(), json);
        assert_eq!(String::from_utf8(status_text(&outcome)).unwrap(), text);
    }

    #[test]
    fn outcomes_are_worded_as_upstream() {
        check(ExitOutcome::Exited(0), r#"{"metadata":{},"status":"Success"}"#, "");
        check(
            ExitOutcome::Exited(3),
            r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: exit status 3","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#,
            "error executing remote command: command terminated with non-zero exit code: exit status 3",
        );
        check(
            ExitOutcome::Failed("no such container".into()),
            r#"{"metadata":{},"status":"Failure","message":"Internal error occurred: no such container","reason":"InternalError","details":{"causes":[{"reason":"","message":"no such container"}]},"code":500}"#,
            "error executing remote command: no such container",
        );
    }
}
