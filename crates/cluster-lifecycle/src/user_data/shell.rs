//! Arguments of Amazon Linux 2's `bootstrap.sh`.

use super::Bootstrap;

/// Reads the call of `bootstrap.sh` in a script.
pub(super) fn read(script: &str, found: &mut Bootstrap) {
    let joined = script.replace("\\\n", " ");
    let call = joined
        .lines()
        .map(str::trim)
        .find(|line| !line.starts_with('#') && line.contains("bootstrap.sh"));
    let Some(arguments) = call.and_then(|line| line.split_once("bootstrap.sh")) else {
        return;
    };
    let mut words = words(arguments.1).into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--kubelet-extra-args" => {
                let flags = words.next().unwrap_or_default();
                self::words(&flags).iter().for_each(|flag| found.flag(flag));
            }
            "--apiserver-endpoint" => found.endpoint = words.next(),
            option if option.starts_with("--") => drop(words.next()),
            _ if found.cluster.is_empty() => found.cluster = word,
            _ => {}
        }
    }
}

/// Words as a shell splits them: quotes hold words together, a backslash takes the next letter as it is. Variables are not
/// known here and stay as they are written.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut open, mut quote) = (String::new(), false, None);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => {
                word.extend(letters.next());
                open = true;
            }
            ('\'' | '"', None) => {
                quote = Some(letter);
                open = true;
            }
            (letter, Some(end)) if letter == end => quote = None,
            (letter, None) if letter.is_whitespace() => {
                if open {
                    words.push(std::mem::take(&mut word));
                    open = false;
                }
            }
            (letter, _) => {
                word.push(letter);
                open = true;
            }
        }
    }
    if open {
        words.push(word);
    }
    words
}
