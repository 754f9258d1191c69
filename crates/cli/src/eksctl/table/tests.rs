//! The table can be read, and every command of it is dispatched or refused.

use super::*;

#[test]
fn the_table_makes_a_command_line() {
    augment(Command::new("ondol")).debug_assert();
    for row in commands() {
        assert!(
            VERBS.iter().any(|(verb, _)| *verb == row.verb),
            "{} is a verb",
            row.verb
        );
    }
    assert!(commands().len() > 60);
}

/// Flags of eksctl 0.215.0 by command, as its `--help` prints them.
const EKSCTL: &str = include_str!("eksctl_flags.txt");

#[test]
fn every_flag_of_eksctl_is_honoured_or_refused_by_name() {
    let mut missing = Vec::new();
    for line in EKSCTL.lines() {
        let (words, flags) = line.split_once(':').expect("a line is a command and its flags");
        let (verb, noun) = words.split_once(' ').expect("a command is a verb and a noun");
        let Some(row) = find(verb, noun) else {
            missing.push(words.to_owned());
            continue;
        };
        if row.refused.is_some() {
            continue;
        }
        for given in flags.split_whitespace() {
            let (name, short) = given.split_once(',').unwrap_or((given, ""));
            let known = row.flags.iter().find(|flag| flag.name == name);
            if known.is_none_or(|flag| flag.short != short.chars().next()) {
                missing.push(format!("{words} --{given}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}
