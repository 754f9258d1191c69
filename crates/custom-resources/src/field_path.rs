//! Paths to a field as validation rules name one: `.spec.list['key'].field`.

/// The names on the way; `None` when it is no path.
pub fn parse(path: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("['") {
            let (name, after) = after.split_once("']")?;
            names.push(name.replace("\\'", "'"));
            rest = after;
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let name = &after[..end];
            if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
                return None;
            }
            names.push(name.to_owned());
            rest = &after[end..];
        }
    }
    (!names.is_empty()).then_some(names)
}
