//! What was given on the command line to one of eksctl's commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::table::{self, Limit, Row};
use crate::arguments::Output;
use crate::progress::Progress;
use crate::session::CommandError;

/// The name of the argument that stands without a flag.
pub const POSITIONAL: &str = "positional";
/// eksctl's longest wait.
const TIMEOUT: Duration = Duration::from_mins(25);

/// A command and its flags.
pub struct Given {
    row: &'static Row,
    matches: ArgMatches,
}

impl Given {
    /// The eksctl command that a command line is, if it is one.
    pub fn find(matches: &ArgMatches) -> Option<Self> {
        let (verb, verb_matches) = matches.subcommand()?;
        let (noun, matches) = verb_matches.subcommand()?;
        Some(Self {
            row: table::find(verb, noun)?,
            matches: matches.clone(),
        })
    }

    /// The words of the command.
    pub fn words(&self) -> (&'static str, &'static str) {
        (self.row.verb, self.row.noun)
    }

    /// Refuses what is not available and warns about what has no effect.
    ///
    /// # Errors
    /// With the flag and the reason.
    pub fn check(&self) -> Result<(), CommandError> {
        if let Some(reason) = self.row.refused {
            let (verb, noun) = self.words();
            return Err(CommandError::Usage(format!("{verb} {noun} is not available: {reason}")));
        }
        for flag in self.row.flags.iter().filter(|flag| self.is_given(flag.name)) {
            match flag.limit {
                Limit::Honoured => {}
                // What is on by default and said again asks for nothing.
                Limit::Refused(reason) if self.switch(flag.name) != Some(false) => {
                    return Err(CommandError::Usage(format!(
                        "--{} is not available: {reason}",
                        flag.name
                    )));
                }
                Limit::Refused(_) => {}
                Limit::WithoutEffect(reason) => {
                    Progress::start().warning(format!("--{} has no effect: {reason}", flag.name));
                }
            }
        }
        Ok(())
    }

    /// Whether the user wrote it.
    pub fn is_given(&self, name: &str) -> bool {
        self.knows(name) && self.matches.value_source(name) == Some(ValueSource::CommandLine)
    }

    /// The flags that the user wrote, of these.
    pub fn given_of<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().copied().find(|name| self.is_given(name))
    }

    fn knows(&self, name: &str) -> bool {
        name == POSITIONAL || self.row.flags.iter().any(|flag| flag.name == name)
    }

    fn one<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Option<T> {
        if self.knows(name) {
            self.matches.get_one::<T>(name).cloned()
        } else {
            None
        }
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.one::<String>(name).filter(|text| !text.is_empty())
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// When it is not, in eksctl's words.
    pub fn required(&self, name: &str) -> Result<String, CommandError> {
        self.text(name)
            .ok_or_else(|| CommandError::Usage(format!("--{name} must be set")))
    }

    /// A list; empty when nothing was given.
    pub fn list(&self, name: &str) -> Vec<String> {
        if !self.knows(name) {
            return Vec::new();
        }
        let values = self.matches.get_many::<String>(name).into_iter().flatten();
        values.filter(|text| !text.is_empty()).cloned().collect()
    }

    /// A list; `None` when nothing was given.
    pub fn some_list(&self, name: &str) -> Option<Vec<String>> {
        Some(self.list(name)).filter(|list| !list.is_empty())
    }

    /// Pairs; `None` when nothing was given.
    ///
    /// # Errors
    /// When one is not `key=value`.
    pub fn pairs(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, CommandError> {
        let pair = |text: String| {
            let parts = text.split_once('=');
            let (key, value) =
                parts.ok_or_else(|| CommandError::Usage(format!("--{name}: {text:?} is not key=value")))?;
            Ok((key.to_owned(), value.to_owned()))
        };
        let pairs: BTreeMap<String, String> = self
            .list(name)
            .into_iter()
            .map(pair)
            .collect::<Result<_, CommandError>>()?;
        Ok((!pairs.is_empty()).then_some(pairs))
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.one(name)
    }

    /// A switch, as it was given or by default; `None` if the flag is none.
    fn switch(&self, name: &str) -> Option<bool> {
        let kind = self.row.flags.iter().find(|flag| flag.name == name)?.kind;
        if matches!(kind, table::Kind::Switch | table::Kind::Toggle) {
            self.one(name)
        } else {
            None
        }
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.switch(name) == Some(true)
    }

    /// Whether a switch was set to true or false by the user.
    pub fn set_to(&self, name: &str) -> Option<bool> {
        if self.is_given(name) { self.switch(name) } else { None }
    }

    /// How long to wait at most.
    pub fn timeout(&self) -> Duration {
        self.one("timeout").unwrap_or(TIMEOUT)
    }

    /// A duration.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.one(name)
    }

    /// The form of output.
    ///
    /// # Errors
    /// When it is none of eksctl's.
    pub fn output(&self) -> Result<Output, CommandError> {
        match self.text("output").as_deref() {
            None | Some("table") => Ok(Output::Table),
            Some("json") => Ok(Output::Json),
            Some("yaml") => Ok(Output::Yaml),
            Some(other) => Err(CommandError::Usage(format!(
                "unknown output printer type: expected {{\"yaml\", \"json\", \"table\"}} but got {other:?}"
            ))),
        }
    }

    /// The file, `-` is standard input.
    pub fn config_file(&self) -> Option<PathBuf> {
        self.text("config-file").map(PathBuf::from)
    }

    /// The name of what the command is about, by `flag` or as argument.
    ///
    /// # Errors
    /// When both are given.
    pub fn name(&self, flag: &str) -> Result<Option<String>, CommandError> {
        let argument = self.text(POSITIONAL);
        match (self.text(flag), argument) {
            (Some(name), Some(argument)) => Err(CommandError::Usage(format!(
                "--{flag}={name} and argument {argument} cannot be used at the same time"
            ))),
            (name, argument) => Ok(name.or(argument)),
        }
    }

    /// The kubeconfig file.
    pub fn kubeconfig(&self) -> Option<PathBuf> {
        self.text("kubeconfig").map(|path| Path::new(&path).to_owned())
    }

    /// Whether a change is only to be told. Files with many items and changes of clusters need `--approve`.
    pub fn is_plan(&self, approved_by_default: bool) -> bool {
        !self.set_to("approve").unwrap_or(approved_by_default)
    }
}
