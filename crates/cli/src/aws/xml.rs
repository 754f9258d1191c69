//! Answers in XML: texts of elements by name, or the tree where elements of one name are nested.

/// An answer of which only texts of elements are read.
pub struct Xml(pub(super) String);

impl Xml {
    /// The text of the first element of that name.
    pub fn first(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// The texts of all elements of that name, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let texts = self
            .0
            .split(open.as_str())
            .skip(1)
            .filter_map(|rest| rest.split(close.as_str()).next());
        texts.map(unescape).collect()
    }
}

/// An element with its children, or its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Its own text.
    pub text: String,
    /// What is in it.
    pub children: Vec<Element>,
}

impl Element {
    /// The root element of a document; `None` when the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut open = vec![Self::default()];
        let mut rest = text;
        while let Some(start) = rest.find('<') {
            open.last_mut()?.text.push_str(&unescape(&rest[..start]));
            let end = rest[start..].find('>')? + start;
            let tag = &rest[start + 1..end];
            rest = &rest[end + 1..];
            if tag.starts_with('?') || tag.starts_with('!') {
                continue;
            }
            if tag.starts_with('/') {
                let mut done = open.pop()?;
                if !done.children.is_empty() {
                    done.text.clear();
                }
                open.last_mut()?.children.push(done);
                continue;
            }
            let name = tag.trim_end_matches('/').split_whitespace().next()?.to_owned();
            let element = Self {
                name,
                ..Self::default()
            };
            if tag.ends_with('/') {
                open.last_mut()?.children.push(element);
            } else {
                open.push(element);
            }
        }
        let document = open.pop()?;
        if open.is_empty() {
            document.children.into_iter().next()
        } else {
            None
        }
    }

    /// The first element of that name below this one, at any depth, in the document's order.
    pub fn find(&self, name: &str) -> Option<&Self> {
        self.children.iter().find_map(|child| {
            if child.name == name {
                Some(child)
            } else {
                child.find(name)
            }
        })
    }

    /// The text of the child of that name.
    pub fn member(&self, name: &str) -> Option<&str> {
        let child = self.children.iter().find(|child| child.name == name)?;
        Some(&child.text)
    }

    /// The elements of the list of that name, wherever it is.
    pub fn list(&self, name: &str) -> &[Self] {
        self.find(name).map_or(&[], |list| &list.children)
    }
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&#39;", "'")
        .replace("&#34;", "\"")
        .replace("&#xA;", "\n")
        .replace("&#10;", "\n")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_lists_keep_their_elements_apart() {
        let text = "<?xml version=\"1.0\"?>\n<A xmlns=\"x\"><R><Stacks><member><N>a&amp;b</N><Tags><member><K>k</K></member></Tags></member>\
                    <member><N>c</N><Tags/></member></Stacks></R></A>";
        let root = Element::parse(text).unwrap();
        let names: Vec<&str> = root
            .list("Stacks")
            .iter()
            .filter_map(|stack| stack.member("N"))
            .collect();
        assert_eq!(names, ["a&b", "c"]);
        assert_eq!(root.list("Stacks")[0].list("Tags").len(), 1);
        assert_eq!(root.list("Stacks")[1].list("Tags").len(), 0);
        assert_eq!(Element::parse("no"), None);
        assert_eq!(Element::parse("<a><b></a>"), None);
    }
}
