//! Macros: calls that become loops, bindings and tests before names are looked up.

use super::Issue;
use super::tree::{Expr, Mode, Tree};

/// A macro: name, number of arguments, how many of the first ones are names, and what it becomes.
type Rewrite = (&'static str, usize, usize, &'static str);

/// Macros that are called on something.
const ON_TARGET: &[Rewrite] = &[
    ("all", 2, 1, "@all"),
    ("exists", 2, 1, "@exists"),
    ("exists_one", 2, 1, "@exists_one"),
    ("existsOne", 2, 1, "@exists_one"),
    ("map", 2, 1, "@map"),
    ("map", 3, 1, "@map_filtered"),
    ("filter", 2, 1, "@filter"),
    ("all", 3, 2, "@all"),
    ("exists", 3, 2, "@exists"),
    ("exists_one", 3, 2, "@exists_one"),
    ("existsOne", 3, 2, "@exists_one"),
    ("transformList", 3, 2, "@map"),
    ("transformList", 4, 2, "@map_filtered"),
    ("transformMap", 3, 2, "@transform_map"),
    ("transformMap", 4, 2, "@transform_map_filtered"),
    ("transformMapEntry", 3, 2, "@transform_entries"),
    ("transformMapEntry", 4, 2, "@transform_entries_filtered"),
    ("sortBy", 2, 1, "@sort_by"),
    ("optMap", 2, 1, "@opt_map"),
    ("optFlatMap", 2, 1, "@opt_flat_map"),
];

/// What became of a call.
pub(super) enum Outcome {
    Made(Expr),
    /// It is no macro.
    Call(Tree, Vec<Tree>),
}

/// `target.name(args)`
pub(super) fn on_target(target: Tree, name: &str, args: Vec<Tree>) -> Result<Outcome, Issue> {
    if name == "bind" && args.len() == 3 && matches!(&target.expr, Expr::Name(name) if name == "cel") {
        check_names(&args[..1])?;
        return Ok(Outcome::Made(Expr::Macro("@bind", args)));
    }
    let found = ON_TARGET
        .iter()
        .find(|(known, count, ..)| *known == name && *count == args.len());
    let Some((_, _, names, made)) = found else {
        return Ok(Outcome::Call(target, args));
    };
    check_names(&args[..*names])?;
    let parts = std::iter::once(target).chain(args).collect();
    Ok(Outcome::Made(Expr::Macro(made, parts)))
}

/// `name(args)`
pub(super) fn global(at: usize, name: String, mut args: Vec<Tree>) -> Result<Expr, Issue> {
    if name != "has" || args.len() != 1 {
        return Ok(Expr::Call {
            name,
            member: false,
            args,
        });
    }
    match args.remove(0).expr {
        Expr::Select {
            of,
            field,
            mode: Mode::Plain,
        } => Ok(Expr::Select {
            of,
            field,
            mode: Mode::Test,
        }),
        _ => Err(Issue {
            at,
            problem: "invalid argument to has() macro".to_owned(),
        }),
    }
}

fn check_names(args: &[Tree]) -> Result<(), Issue> {
    for argument in args {
        match &argument.expr {
            Expr::Name(name) if !name.starts_with('.') => {}
            _ => {
                return Err(Issue {
                    at: argument.at,
                    problem: "argument must be a simple name".to_owned(),
                });
            }
        }
    }
    Ok(())
}
