//! One page of a bucket: its keys, and for what lies deeper the folder instead. Source: `ListObjectsV2`.

use std::collections::BTreeSet;

/// What a page is asked for by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What keys begin with.
    pub prefix: String,
    /// What ends a folder; empty for none.
    pub delimiter: String,
    /// The key or folder after which the page begins.
    pub after: String,
    /// Keys and folders at most.
    pub most: usize,
}

/// A page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page<'k> {
    /// Keys.
    pub keys: Vec<&'k str>,
    /// Folders, with what ends them.
    pub folders: BTreeSet<&'k str>,
    /// Where the next page begins, if there is one.
    pub next: Option<&'k str>,
}

impl Wanted {
    /// The page of sorted keys that begin with the prefix.
    pub fn page<'k>(&self, keys: impl Iterator<Item = &'k str>) -> Page<'k> {
        let mut page = Page::default();
        let mut last = None;
        for key in keys {
            let entry = self.entry(key);
            if entry <= self.after.as_str() || page.folders.contains(entry) {
                continue;
            }
            if page.keys.len() + page.folders.len() == self.most {
                page.next = last;
                break;
            }
            last = Some(entry);
            if self.is_folder(entry) {
                page.folders.insert(entry);
            } else {
                page.keys.push(key);
            }
        }
        page
    }

    /// A key, or the folder below the prefix that it is in.
    fn entry<'k>(&self, key: &'k str) -> &'k str {
        let below = key.get(self.prefix.len()..).unwrap_or_default();
        match below.find(&self.delimiter).filter(|_| !self.delimiter.is_empty()) {
            Some(at) => &key[..self.prefix.len() + at + self.delimiter.len()],
            None => key,
        }
    }

    fn is_folder(&self, entry: &str) -> bool {
        !self.delimiter.is_empty() && entry.len() > self.prefix.len() && entry.ends_with(&self.delimiter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_deeper_is_a_folder_and_pages_follow_each_other() {
        let keys = ["a", "b/1", "b/2", "b/c/3", "d/", "e"];
        let wanted = |prefix: &str, delimiter: &str, after: &str, most: usize| Wanted {
            prefix: prefix.to_owned(),
            delimiter: delimiter.to_owned(),
            after: after.to_owned(),
            most,
        };
        let seen = |wanted: &Wanted| {
            let begin = |key: &&str| key.starts_with(&wanted.prefix);
            let page = wanted.page(keys.into_iter().filter(begin));
            (page.keys, page.folders.into_iter().collect::<Vec<_>>(), page.next)
        };
        assert_eq!(seen(&wanted("", "", "", 9)), (keys.to_vec(), vec![], None));
        assert_eq!(seen(&wanted("", "/", "", 9)), (vec!["a", "e"], vec!["b/", "d/"], None));
        assert_eq!(
            seen(&wanted("b/", "/", "", 9)),
            (vec!["b/1", "b/2"], vec!["b/c/"], None)
        );
        assert_eq!(seen(&wanted("", "/", "", 2)), (vec!["a"], vec!["b/"], Some("b/")));
        assert_eq!(seen(&wanted("", "/", "b/", 2)), (vec!["e"], vec!["d/"], None));
        assert_eq!(
            seen(&wanted("", "", "b/2", 2)),
            (vec!["b/c/3", "d/"], vec![], Some("d/"))
        );
    }
}
