//! eksctl's commands and flags as data (`commands.txt`), and the command line that follows from them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use clap::{Arg, ArgAction, Command, value_parser};

use crate::arguments::duration;

/// A command of eksctl.
#[derive(Debug)]
pub struct Row {
    /// `create`.
    pub verb: &'static str,
    /// `cluster`.
    pub noun: &'static str,
    /// Other words for the noun.
    pub aliases: Vec<&'static str>,
    /// What it does.
    pub about: &'static str,
    /// Why it is not available here.
    pub refused: Option<&'static str>,
    /// Its flags.
    pub flags: Vec<Flag>,
}

/// A flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    /// One letter.
    pub short: Option<char>,
    /// What it takes.
    pub kind: Kind,
    /// Whether it is honoured.
    pub limit: Limit,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// Texts, joined by commas or given again.
    List,
    /// `key=value`, joined by commas or given again.
    Pairs,
    /// A whole number.
    Number,
    /// Nothing, true or false; false by default.
    Switch,
    /// The same; true by default.
    Toggle,
    /// For example `25m`.
    Duration,
}

/// Whether a flag is honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// It is.
    Honoured,
    /// It is refused, for that reason.
    Refused(&'static str),
    /// It is accepted and warned about.
    WithoutEffect(&'static str),
}

/// What the verbs do, in the order in which help shows them.
const VERBS: &[(&str, &str)] = &[
    ("create", "Create resource(s)"),
    ("get", "Get resource(s)"),
    ("update", "Update resource(s)"),
    ("upgrade", "Upgrade resource(s)"),
    ("delete", "Delete resource(s)"),
    ("set", "Set values"),
    ("unset", "Unset values"),
    ("scale", "Scale resource(s)"),
    ("drain", "Drain resource(s)"),
    ("enable", "Enable features in a cluster"),
    ("register", "Register a non-EKS cluster"),
    ("deregister", "Deregister a non-EKS cluster"),
    ("associate", "Associate resources with a cluster"),
    ("disassociate", "Disassociate resources from a cluster"),
    ("utils", "Various utils"),
];

/// Every command of eksctl, in the table's order.
pub fn commands() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| parse(include_str!("commands.txt")))
}

/// The command of those words.
pub fn find(verb: &str, noun: &str) -> Option<&'static Row> {
    commands().iter().find(|row| row.verb == verb && row.noun == noun)
}

fn parse(text: &'static str) -> Vec<Row> {
    let mut groups: BTreeMap<&str, Vec<Flag>> = BTreeMap::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut group = None;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some(line) = line.strip_prefix("  ") else {
            group = line.strip_prefix("group ");
            if group.is_none() {
                rows.push(row(line, &groups));
            }
            continue;
        };
        if let Some(group) = group {
            groups.entry(group).or_default().push(flag(line));
            continue;
        }
        let row = rows.last_mut().expect("flags stand below a command (tested)");
        match (line.strip_prefix("! "), line.strip_prefix('@')) {
            (Some(reason), _) => row.refused = Some(reason),
            (None, Some(group)) => row.flags.extend(&groups[group]),
            (None, None) => row.flags.push(flag(line)),
        }
    }
    rows
}

fn row(line: &'static str, groups: &BTreeMap<&str, Vec<Flag>>) -> Row {
    let (words, rest) = line
        .split_once(" [")
        .expect("a command has its aliases in brackets (tested)");
    let (aliases, about) = rest.split_once("] ").expect("a command says what it does (tested)");
    let (verb, noun) = words.split_once(' ').expect("a command is a verb and a noun (tested)");
    Row {
        verb,
        noun,
        aliases: aliases.split_whitespace().collect(),
        about,
        refused: None,
        flags: groups["all"].clone(),
    }
}

fn flag(line: &'static str) -> Flag {
    let (words, limit) = match (line.split_once(" ! "), line.split_once(" ~ ")) {
        (Some((words, reason)), _) => (words, Limit::Refused(reason)),
        (None, Some((words, reason))) => (words, Limit::WithoutEffect(reason)),
        (None, None) => (line, Limit::Honoured),
    };
    let (names, kind) = words.split_once(' ').expect("a flag has a kind (tested)");
    let (name, short) = names.split_once(',').unwrap_or((names, ""));
    let kind = match kind {
        "text" => Kind::Text,
        "list" => Kind::List,
        "pairs" => Kind::Pairs,
        "number" => Kind::Number,
        "switch" => Kind::Switch,
        "toggle" => Kind::Toggle,
        "duration" => Kind::Duration,
        other => panic!("{other} is no kind of flag (tested)"),
    };
    Flag {
        name,
        short: short.chars().next(),
        kind,
        limit,
    }
}

/// The command line with eksctl's commands added to Ondol's own.
pub fn augment(command: Command) -> Command {
    VERBS.iter().fold(command, |command, (verb, about)| {
        let rows = commands().iter().filter(|row| row.verb == *verb);
        let nouns = rows.map(subcommand);
        command.subcommand(
            Command::new(*verb)
                .about(*about)
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommands(nouns),
        )
    })
}

fn subcommand(row: &'static Row) -> Command {
    let name = Arg::new(super::given::POSITIONAL).value_name("NAME").num_args(0..=1);
    let command = Command::new(row.noun)
        .about(row.about)
        .visible_aliases(row.aliases.iter().copied())
        // `--version` is a Kubernetes version.
        .disable_version_flag(true)
        .arg(name);
    row.flags
        .iter()
        .fold(command, |command, flag| command.arg(argument(flag)))
}

fn argument(flag: &'static Flag) -> Arg {
    let arg = Arg::new(flag.name).long(flag.name);
    let arg = match flag.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    let arg = match flag.limit {
        Limit::Honoured => arg,
        Limit::Refused(reason) => arg.help(format!("Not available: {reason}")),
        Limit::WithoutEffect(reason) => arg.help(format!("Without effect: {reason}")),
    };
    let boolean = |arg: Arg, default: &'static str| {
        arg.action(ArgAction::Set)
            .value_parser(value_parser!(bool))
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value(default)
    };
    match flag.kind {
        Kind::Text => arg.action(ArgAction::Set),
        Kind::List | Kind::Pairs => arg.action(ArgAction::Append).value_delimiter(','),
        Kind::Number => arg
            .action(ArgAction::Set)
            .allow_negative_numbers(true)
            .value_parser(value_parser!(i64)),
        Kind::Switch => boolean(arg, "false"),
        Kind::Toggle => boolean(arg, "true"),
        Kind::Duration => arg.action(ArgAction::Set).value_parser(duration),
    }
}

#[cfg(test)]
mod tests;
