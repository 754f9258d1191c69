//! Results on standard output, in eksctl's forms: tables of tab stops, JSON with four spaces, YAML.

pub mod sdk;

use std::collections::BTreeMap;

use serde::Serialize;
use stack_planner::Node;

use crate::arguments::Output;
use crate::session::{CommandError, Done};

/// Columns end at multiples of this.
const TAB: usize = 8;

/// Prints items: as a table of these columns (rows in order of their texts), or as they are.
///
/// # Errors
/// When the items cannot be written in the form.
pub fn print<T: Serialize, const N: usize>(
    output: Output,
    kind: &str,
    items: &[T],
    header: [&str; N],
    row: impl Fn(&T) -> [String; N],
) -> Done {
    match output {
        Output::Table if items.is_empty() => println!("No {kind} found"),
        Output::Table => print!("{}", table(header, items.iter().map(row).collect())),
        _ => print_items(output, items)?,
    }
    Ok(())
}

/// Prints items as JSON or YAML.
///
/// # Errors
/// When the items cannot be written in the form.
pub fn print_items<T: Serialize + ?Sized>(output: Output, items: &T) -> Done {
    match output {
        Output::Yaml => print!("{}", yaml(&sorted(plain(items)?))?),
        Output::Json | Output::Table => println!("{}", json(items)?),
    }
    Ok(())
}

/// YAML as eksctl writes it: a text is never folded, however long it is.
fn yaml<T: Serialize>(items: &T) -> Result<String, CommandError> {
    let unfolded = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let written = serde_saphyr::to_string_with_options(items, unfolded);
    written.map_err(|error| CommandError::Usage(format!("write YAML: {error}")))
}

/// JSON with four spaces, as eksctl writes it.
fn json<T: Serialize + ?Sized>(items: &T) -> Result<String, CommandError> {
    indented(items, b"    ")
}

/// Prints JSON with tabs, as some of eksctl's utilities do.
///
/// # Errors
/// When the items cannot be written.
pub fn print_tabbed<T: Serialize + ?Sized>(items: &T) -> Done {
    println!("{}", indented(items, b"\t")?);
    Ok(())
}

fn indented<T: Serialize + ?Sized>(items: &T, step: &[u8]) -> Result<String, CommandError> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(step);
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    let written = items.serialize(&mut serializer);
    written.map_err(|error| CommandError::Usage(format!("write JSON: {error}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A table whose columns are separated by tabs, rows in order.
fn table<const N: usize>(header: [&str; N], mut rows: Vec<[String; N]>) -> String {
    rows.sort();
    let mut widths = header.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(header.map(str::to_owned)).chain(rows) {
        let last = row.len() - 1;
        for (index, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if index < last {
                // The column is as wide as its widest cell and at least one more, up to the next tab stop.
                let end = (widths[index] / TAB + 1) * TAB;
                let tabs = (end - cell.chars().count()).div_ceil(TAB);
                text.push_str(&"\t".repeat(tabs));
            }
        }
        text.push('\n');
    }
    text
}

/// Labels or tags in a table.
pub fn labels(labels: Option<&BTreeMap<String, String>>) -> String {
    let pairs: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if pairs.is_empty() {
        "<none>".to_owned()
    } else {
        pairs.join(",")
    }
}

fn plain<T: Serialize + ?Sized>(items: &T) -> Result<Node, CommandError> {
    let wrong = |error: serde_json::Error| CommandError::Usage(format!("write JSON: {error}"));
    let text = serde_json::to_string(items).map_err(wrong)?;
    serde_json::from_str(&text).map_err(wrong)
}

/// Prints a ClusterConfig as eksctl's dry run does: what is not set is left out.
///
/// # Errors
/// When it cannot be written.
pub fn print_config<T: Serialize>(config: &T) -> Done {
    print!("{}", yaml(&sorted(set(plain(config)?)))?);
    Ok(())
}

/// Without what is null.
fn set(node: Node) -> Node {
    match node {
        Node::Map(entries) => {
            let given = entries.into_iter().filter(|(_, value)| *value != Node::Null);
            Node::Map(given.map(|(key, value)| (key, set(value))).collect())
        }
        Node::List(items) => Node::List(items.into_iter().map(set).collect()),
        other => other,
    }
}

/// With the keys of every map in order, as eksctl's YAML has them.
pub fn sorted(node: Node) -> Node {
    match node {
        Node::Map(entries) => {
            let mut entries: Vec<(String, Node)> =
                entries.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|left, right| left.0.cmp(&right.0));
            Node::Map(entries)
        }
        Node::List(items) => Node::List(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_end_at_tab_stops_and_rows_are_in_order() {
        let rows = [["workers", "x"], ["a", "longer than that"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            table(["NAME", "STATUS"], rows.to_vec()),
            "NAME\tSTATUS\na\tlonger than that\nworkers\tx\n"
        );
        let rows = vec![["12345678".to_owned(), "x".to_owned()]];
        assert_eq!(table(["NAME", "B"], rows), "NAME\t\tB\n12345678\tx\n");
    }

    #[test]
    fn long_texts_are_not_folded_in_yaml() {
        let long = format!("arn:aws:iam::000000000000:role/{}", "x".repeat(120));
        assert_eq!(yaml(&[&long]).unwrap(), format!("- {long}\n"));
    }

    #[test]
    fn json_has_four_spaces() {
        let shown = json(&[BTreeMap::from([("Name", "demo")])]).unwrap();
        assert_eq!(shown, "[\n    {\n        \"Name\": \"demo\"\n    }\n]");
    }
}
