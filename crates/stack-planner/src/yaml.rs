//! YAML with CloudFormation's short forms (`!Ref`, `!GetAtt a.b`) as the same nodes that JSON gives.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::node::Node;

/// A collection that is being read.
enum Open {
    List(Vec<Node>),
    Map {
        entries: Vec<(String, Node)>,
        key: Option<String>,
    },
}

struct Frame {
    open: Open,
    tag: Option<String>,
    anchor: usize,
}

#[derive(Default)]
struct Reader {
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
}

/// Reads one document.
pub fn parse(text: &str) -> Result<Node, String> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| error.to_string())?;
        reader.take(event)?;
    }
    Ok(reader.root.unwrap_or_default())
}

/// The short form's name, `Ref` for `!Ref`.
fn short<T: AsRef<Tag>>(tag: Option<T>) -> Option<String> {
    let tag = tag?;
    let tag = tag.as_ref();
    (tag.handle() == "!").then(|| tag.suffix().to_owned())
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = if style == ScalarStyle::Plain && tag.is_none() {
                    plain(&text)
                } else {
                    Node::text(&*text)
                };
                self.put(with_tag(node, short(tag).as_deref()), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.stack.push(Frame {
                    open: Open::List(Vec::new()),
                    tag: short(tag),
                    anchor,
                });
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                let open = Open::Map {
                    entries: Vec::new(),
                    key: None,
                };
                self.stack.push(Frame {
                    open,
                    tag: short(tag),
                    anchor,
                });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.stack.pop() else { return Ok(()) };
                let node = match frame.open {
                    Open::List(items) => Node::List(items),
                    Open::Map { entries, .. } => Node::Map(entries),
                };
                self.put(with_tag(node, frame.tag.as_deref()), frame.anchor)
            }
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned().unwrap_or_default();
                self.put(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut().map(|frame| &mut frame.open) {
            None => self.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map { entries, key }) => match key.take() {
                None => *key = Some(node.scalar().ok_or("a key must be a text")?),
                Some(name) if entries.iter().any(|(known, _)| *known == name) => {
                    return Err(format!("duplicate key {name}"));
                }
                Some(name) => entries.push((name, node)),
            },
        }
        Ok(())
    }
}

fn with_tag(node: Node, tag: Option<&str>) -> Node {
    let Some(tag) = tag else { return node };
    let (name, node) = match (tag, node) {
        ("Ref" | "Condition", node) => (tag.to_owned(), node),
        ("GetAtt", Node::Text(dotted)) => {
            let (resource, attribute) = dotted.split_once('.').unwrap_or((&dotted, ""));
            (
                "Fn::GetAtt".to_owned(),
                Node::List(vec![Node::text(resource), Node::text(attribute)]),
            )
        }
        (_, node) => (format!("Fn::{tag}"), node),
    };
    Node::Map(vec![(name, node)])
}

/// A plain scalar by YAML's core rules, as far as CloudFormation tells them apart: versions such as 2010-09-09 stay texts.
fn plain(text: &str) -> Node {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Node::Null,
        "true" | "True" | "TRUE" => return Node::Bool(true),
        "false" | "False" | "FALSE" => return Node::Bool(false),
        _ => {}
    }
    let unsigned = text.trim_start_matches(['-', '+']);
    // Account numbers and modes with leading zeros keep them.
    let leading_zero = unsigned.len() > 1 && unsigned.starts_with('0') && !unsigned.starts_with("0.");
    if leading_zero || !unsigned.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.') {
        return Node::text(text);
    }
    // Other numbers stay as they are written: a version 1.30 is not 1.3.
    text.parse()
        .map_or_else(|_no_whole_number| Node::text(text), Node::Integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_the_long_ones() {
        let yaml = "a: !Ref X\nb: !GetAtt Y.Z.W\nc: !Sub '${X}-y'\nd: !Join ['-', [a, !Ref B]]\ne: !If [C, 1, !Ref 'AWS::NoValue']\nf: !Not [!Condition D]\ng: !GetAZs ''\nh: 2010-09-09\ni: 007\nj: 1.5\nk: yes\nl: &x [1]\nm: *x\n";
        let json = r#"{"a":{"Ref":"X"},"b":{"Fn::GetAtt":["Y","Z.W"]},"c":{"Fn::Sub":"${X}-y"},"d":{"Fn::Join":["-",["a",{"Ref":"B"}]]},
            "e":{"Fn::If":["C",1,{"Ref":"AWS::NoValue"}]},"f":{"Fn::Not":[{"Condition":"D"}]},"g":{"Fn::GetAZs":""},"h":"2010-09-09",
            "i":"007","j":"1.5","k":"yes","l":[1],"m":[1]}"#;
        let wanted: Node = serde_json::from_str(json).unwrap();
        assert_eq!(parse(yaml).unwrap(), wanted);
    }

    #[test]
    fn what_is_no_yaml_is_refused() {
        for text in ["a: [", "a: 1\na: 2", "- a\nb: c"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
