//! An error and its causes as one line.

use std::error::Error;

/// `error` followed by its sources, separated by ": ". A source whose text already ends the line is left out, so
/// errors of other people's crates that print their own source are not repeated.
pub fn error_chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let text = source.to_string();
        if !text.is_empty() && !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = source.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Example {
        #[error("root")]
        Root,
        #[error("cannot open {0}")]
        Step(&'static str, #[source] Box<Example>),
        #[error("outer says: {0}")]
        Repeats(#[source] Box<Example>),
    }

    #[test]
    fn causes_follow_their_errors_once() {
        let step = || Example::Step("a.db", Box::new(Example::Root));
        let cases = [
            (Example::Root, "root"),
            (step(), "cannot open a.db: root"),
            (Example::Repeats(Box::new(Example::Root)), "outer says: root"),
            (Example::Repeats(Box::new(step())), "outer says: cannot open a.db: root"),
        ];
        for (error, expected) in cases {
            assert_eq!(error_chain(&error), expected);
        }
    }
}
