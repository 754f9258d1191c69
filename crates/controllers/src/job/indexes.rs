//! Sets of completion indexes as the status writes them: `0,2-5,7`.

use std::collections::BTreeSet;

/// Reads the set; parts that are no numbers are left out.
pub(super) fn parse(text: Option<&str>) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    for part in text.unwrap_or_default().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) {
            found.extend(first..=last);
        }
    }
    found
}

/// Writes the set, neighbours as a range.
pub(super) fn format(indexes: &BTreeSet<i32>) -> String {
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for index in indexes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => ranges.push((*index, *index)),
        }
    }
    let texts = ranges.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    texts.collect::<Vec<String>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_written_as_ranges_and_read_back() {
        for text in ["", "0", "0,1", "0-2", "1,3-5,7"] {
            assert_eq!(format(&parse(Some(text))), text);
        }
    }
}
